#pragma once
// Server-sent events (WHATWG HTML, section 9.2) out of a byte stream that may be cut anywhere. Each
// event keeps its bytes as they came, so that a stream can be passed on unchanged event by event.

#include <optional>
#include <string>
#include <string_view>

namespace enhanced_gptcache::proxy {

struct SseEvent {
  std::string raw;   ///< all bytes, the blank line at the end included
  std::string data;  ///< the data lines, joined by line feeds
};

/// Thread rule: confined to its user. Cost: each byte is looked at once.
class SseReader {
 public:
  explicit SseReader(size_t event_bytes_max = size_t{1} << 20U) : event_bytes_max_(event_bytes_max) {}

  void feed(std::string_view bytes);
  /// The next complete event; nullopt until more bytes come.
  std::optional<SseEvent> next();
  /// Bytes of an event that has not ended yet; hands them over and forgets them.
  std::string take_rest();
  bool has_rest() const { return begin_ < buffer_.size(); }
  /// An event grew over the limit: the stream is to be passed on without being read.
  bool is_too_long() const { return buffer_.size() - begin_ > event_bytes_max_; }

 private:
  std::string buffer_;
  size_t begin_ = 0;  // of the event being read
  size_t line_ = 0;   // of the line being read
  size_t scan_ = 0;   // first byte not looked at
  size_t event_bytes_max_;
};

}  // namespace enhanced_gptcache::proxy

#include "proxy/sse_reader.h"

namespace enhanced_gptcache::proxy {
namespace {

/// Reads the data lines of one event; other fields (event, id, retry, comments) carry nothing we need.
std::string data_of(std::string_view event) {
  std::string data;
  bool first = true;
  while (!event.empty()) {
    const size_t end = event.find_first_of("\r\n");
    std::string_view line = event.substr(0, end);
    event.remove_prefix(end == std::string_view::npos ? event.size() : end + 1);
    if (line.substr(0, 3) == "\xEF\xBB\xBF") line.remove_prefix(3);
    if (line.substr(0, 5) != "data:") continue;
    line.remove_prefix(5);
    if (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    if (!first) data.push_back('\n');
    data.append(line);
    first = false;
  }
  return data;
}

}  // namespace

void SseReader::feed(std::string_view bytes) {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    line_ -= begin_;
    scan_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(bytes);
}

std::optional<SseEvent> SseReader::next() {
  while (scan_ < buffer_.size()) {
    const char c = buffer_[scan_];
    if (c != '\n' && c != '\r') {
      ++scan_;
      continue;
    }
    size_t after = scan_ + 1;
    if (c == '\r') {
      // A line feed may follow in the next piece; it belongs to this line end.
      if (after == buffer_.size()) return std::nullopt;
      if (buffer_[after] == '\n') ++after;
    }
    const bool blank = scan_ == line_;
    line_ = scan_ = after;
    if (!blank) continue;
    SseEvent event;
    event.raw = buffer_.substr(begin_, after - begin_);
    event.data = data_of(event.raw);
    begin_ = after;
    return event;
  }
  return std::nullopt;
}

std::string SseReader::take_rest() {
  std::string rest = buffer_.substr(begin_);
  buffer_.clear();
  begin_ = line_ = scan_ = 0;
  return rest;
}

}  // namespace enhanced_gptcache::proxy

#pragma once
// The chunked transfer coding (RFC 9112 section 7.1), decoded from bytes cut at any place. Strict:
// bare LF, signs, white space before the size, sizes over 15 hexadecimal digits and a missing CRLF
// after a chunk are errors, because proxies that disagree about them can be made to smuggle requests.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace enhanced_gptcache::http {

/// Confined to its owner.
class ChunkDecoder {
 public:
  /// Appends decoded bytes to `out` until `in` is used up, the body ends, or `out` has grown by
  /// `out_bytes_max`. Sets `used` to the bytes of `in` that were taken. nullptr, or what is wrong.
  const char* decode(std::string_view in, std::string& out, size_t out_bytes_max, size_t& used);
  /// The last chunk and the trailers have been read.
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State {
    kSize,
    kExtension,
    kSizeFeed,
    kData,
    kDataReturn,
    kDataFeed,
    kTrailer,
    kTrailerFeed,
    kDone
  };
  const char* step(char byte);
  const char* take_size(char byte);
  const char* take_trailer(char byte);

  State state_ = State::kSize;
  uint64_t remaining_ = 0;
  size_t digits_ = 0;
  size_t line_bytes_ = 0;      // of the extension or trailer line being read
  size_t overhead_bytes_ = 0;  // of all extensions and trailers
  size_t data_bytes_ = 0;
};

}  // namespace enhanced_gptcache::http

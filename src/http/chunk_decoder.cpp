#include "http/chunk_decoder.h"

#include <algorithm>

namespace enhanced_gptcache::http {
namespace {

// Extensions and trailers are thrown away, so a sender that sends many of them is only wasting our time.
constexpr size_t kLineBytesMax = 4096;
constexpr size_t kOverheadBytesMax = size_t{64} << 10U;
constexpr size_t kSizeDigitsMax = 15;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; }

}  // namespace

const char* ChunkDecoder::decode(std::string_view in, std::string& out, size_t out_bytes_max, size_t& used) {
  used = 0;
  size_t room = out_bytes_max;
  while (used < in.size() && state_ != State::kDone) {
    if (state_ != State::kData) {
      if (const char* wrong = step(in[used])) return wrong;
      ++used;
      continue;
    }
    if (room == 0) return nullptr;
    const size_t piece = std::min({static_cast<size_t>(remaining_), in.size() - used, room});
    out.append(in.data() + used, piece);
    used += piece;
    room -= piece;
    remaining_ -= piece;
    // Overhead is forgiven in proportion to data, so that a long stream of small chunks with
    // extensions is not cut, and a flood of empty lines is.
    data_bytes_ += piece;
    if (remaining_ == 0) state_ = State::kDataReturn;
  }
  return nullptr;
}

const char* ChunkDecoder::step(char byte) {
  switch (state_) {
    case State::kSize:
      return take_size(byte);
    case State::kExtension:
      ++overhead_bytes_;
      if (byte == '\r') {
        state_ = State::kSizeFeed;
      } else if (is_control(byte)) {
        return "a chunk extension has a control character";
      } else if (++line_bytes_ > kLineBytesMax || overhead_bytes_ > kOverheadBytesMax + data_bytes_) {
        return "chunk extensions are too long";
      }
      return nullptr;
    case State::kSizeFeed:
      if (byte != '\n') return "a chunk size line does not end in CRLF";
      state_ = remaining_ > 0 ? State::kData : State::kTrailer;
      digits_ = 0;
      line_bytes_ = 0;
      return nullptr;
    case State::kDataReturn:
      if (byte != '\r') return "a chunk is longer than its size";
      state_ = State::kDataFeed;
      return nullptr;
    case State::kDataFeed:
      if (byte != '\n') return "a chunk does not end in CRLF";
      state_ = State::kSize;
      remaining_ = 0;
      return nullptr;
    case State::kTrailer:
    case State::kTrailerFeed:
      return take_trailer(byte);
    case State::kData:
    case State::kDone:
      break;
  }
  return nullptr;
}

const char* ChunkDecoder::take_size(char byte) {
  if (const int digit = hex_value(byte); digit >= 0) {
    if (++digits_ > kSizeDigitsMax) return "a chunk size has more than 15 digits";
    remaining_ = remaining_ * 16 + static_cast<uint64_t>(digit);
    return nullptr;
  }
  if (digits_ == 0) return "a chunk size is not a hexadecimal number";
  if (byte == '\r') {
    state_ = State::kSizeFeed;
  } else if (byte == ';') {
    state_ = State::kExtension;
  } else {
    return "a chunk size is not a hexadecimal number";
  }
  return nullptr;
}

const char* ChunkDecoder::take_trailer(char byte) {
  if (state_ == State::kTrailerFeed) {
    if (byte != '\n') return "a trailer line does not end in CRLF";
    state_ = line_bytes_ == 0 ? State::kDone : State::kTrailer;
    line_bytes_ = 0;
    return nullptr;
  }
  if (byte == '\r') {
    state_ = State::kTrailerFeed;
    return nullptr;
  }
  if (is_control(byte)) return "a trailer line has a control character";
  if (++line_bytes_ > kLineBytesMax || ++overhead_bytes_ > kOverheadBytesMax + data_bytes_)
    return "trailers are too long";
  return nullptr;
}

}  // namespace enhanced_gptcache::http

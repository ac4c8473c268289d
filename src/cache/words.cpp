#include "cache/words.h"

#include <algorithm>

namespace enhanced_gptcache::cache {
namespace {

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
         byte >= 0x80;
}

}  // namespace

std::string_view Words::next() {
  const auto* const start = std::find_if(rest_.begin(), rest_.end(), is_word_byte);
  const auto* const end = std::find_if_not(start, rest_.end(), is_word_byte);
  const size_t length = std::min(static_cast<size_t>(end - start), word_.size());
  std::transform(start, start + length, word_.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  rest_.remove_prefix(static_cast<size_t>(end - rest_.begin()));
  return {word_.data(), length};
}

}  // namespace enhanced_gptcache::cache

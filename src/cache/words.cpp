#include "cache/words.h"

#include <algorithm>

#include "match/ascii.h"

namespace enhanced_gptcache::cache {

std::string_view Words::next() {
  const auto* const start = std::find_if(rest_.begin(), rest_.end(), match::is_word_byte);
  const auto* const end = std::find_if_not(start, rest_.end(), match::is_word_byte);
  const size_t length = std::min(static_cast<size_t>(end - start), word_.size());
  std::transform(start, start + length, word_.begin(), match::lower);
  rest_.remove_prefix(static_cast<size_t>(end - rest_.begin()));
  return {word_.data(), length};
}

}  // namespace enhanced_gptcache::cache

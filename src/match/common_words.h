#pragma once
// Words that say little about what a text is about: function words and the vocabulary of asking,
// telling and ordering. Whatever is not listed is taken for a subject.

#include <string_view>

namespace enhanced_gptcache::match {

/// By stem (words.h). Any thread.
bool is_common_word(std::string_view stem);

}  // namespace enhanced_gptcache::match

#pragma once
// Text that nobody wrote to be read: words of a question others will ask, in an order that only an encoder
// takes for one, around a request of another kind. Its embedding is searched for until it lies beside the
// victim's ("key collision", CacheAttack, arXiv 2601.23088: 86 % of answers replaced in caches that look at
// similarity). Found by the order of function words and by subjects that are named over and over. English.

#include <string_view>

namespace enhanced_gptcache::match {

/// Between 6 and 60 words of which the order is not that of a sentence. What is found is still cached, by
/// exact match. Cost in proportion to the text; any thread.
bool is_word_salad(std::string_view text);

}  // namespace enhanced_gptcache::match

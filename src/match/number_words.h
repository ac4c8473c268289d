#pragma once
// Numbers in words and digits, each in one spelling.

#include <vector>

#include "match/words.h"

namespace enhanced_gptcache::match {

/// The numbers of a text in order. Digits inside words count ("iphone7" has a 7); commas of thousands,
/// leading zeros and ordinal endings do not; "k", "million", "lakh" multiply; "II" to "XX" are read when
/// written in capitals.
std::vector<Number> numbers_of(const std::vector<Word>& words);

}  // namespace enhanced_gptcache::match

#pragma once
// Marks of a text that decide what it means: operators with their sides where these matter, signed numbers,
// flags, paths, slices, ranges, brackets of code. A part of writing.h.

#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::match {

/// In the order they stand, some more than once; at most 256.
std::vector<std::string> marks_of(std::string_view text);

/// Appends unless the list has 256 already, so that no text makes a guard slow.
void keep_some(std::vector<std::string>& list, std::string text);

}  // namespace enhanced_gptcache::match

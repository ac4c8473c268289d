#pragma once
// "Did you mean ...?": the candidate with the smallest edit distance.

#include <span>
#include <string>
#include <string_view>

namespace enhanced_gptcache::base {

/// Levenshtein distance. O(a*b) time, O(b) memory; names only.
size_t edit_distance(std::string_view a, std::string_view b);

/// The nearest of `names` (the first among equals); empty when none is near, that is within two edits in five
/// characters. Names longer than 200 bytes are compared by their first 200.
std::string nearest_name(std::string_view name, std::span<const std::string> names);
/// "; did you mean NAME?" for the end of a message; empty for an empty name.
std::string did_you_mean(std::string_view name);

}  // namespace enhanced_gptcache::base

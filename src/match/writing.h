#pragma once
// How a text is written, where that decides what it means: operators ("a // b"), signs, flags, paths, letter
// case
// ("10 GB", "10 Gb"), quoted words, accents, emoji. The embedder's word pieces are lower case without accents
// and keep little of it.

#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::match {

/// Thread rule: a value. All lists are sorted; all but the marks may hold repetitions.
struct Writing {
  /// Operators with their sides where these matter, signed numbers, flags, paths, brackets of code.
  std::vector<std::string> marks;
  /// Words with a capital, as written, at most 12 letters.
  std::vector<std::string> capitals;
  /// Letters between spaces, as written; not "I", "a" and the languages C and R, whose case people do not
  /// mind.
  std::vector<std::string> lone;
  /// What stands in quotes.
  std::vector<std::string> quoted;
  /// Words in which Latin letters stand beside others or carry accents, lower case.
  std::vector<std::string> accented;
  /// Runs of letters of other scripts, in a text that also has Latin letters.
  std::vector<std::string> foreign;
  std::vector<std::string> emoji;
};

/// Reads the first 4,096 bytes; at most 256 of each kind. `text` is UTF-8; what is not passes for other
/// letters.
Writing writing_of(std::string_view text);

/// Lower case and without accents: "Résumé" is "resume".
std::string without_accents(std::string_view text);

}  // namespace enhanced_gptcache::match

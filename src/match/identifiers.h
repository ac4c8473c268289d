#pragma once
// Tokens that name exactly one thing by how they are spelt: paths, addresses, flags, names in code, part
// and room numbers, single letters ("appendix B"). The words of a sentence encoder hardly tell them apart.

#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::match {

/// One such token, letters in lower case, other marks left out where writers differ ("node.js", "nodejs").
struct Identifier {
  std::string text;
  /// A path, address, flag or name in code: it must not even be missing on the other side. The others
  /// ("12a", a lone letter) are only missed where the other text has another one in its place.
  bool strong = false;
};

/// In order of appearance; at most 64, the rest of a longer list is one identifier of its own.
std::vector<Identifier> identifiers_of(std::string_view text);

}  // namespace enhanced_gptcache::match

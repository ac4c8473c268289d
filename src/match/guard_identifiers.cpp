// Identifiers: paths, addresses, code names, part numbers and lone letters must be the same ones.

#include <fmt/format.h>

#include <algorithm>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

using Identifiers = std::vector<Identifier>;

/// Marks may also be words on the other side: "node.js" and "node js".
bool is_in(const Identifier& wanted, const Identifiers& identifiers, const Words& words) {
  const auto same = [&](const Identifier& one) { return one.text == wanted.text; };
  if (std::any_of(identifiers.begin(), identifiers.end(), same)) return true;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i].text == wanted.text) return true;
    if (i + 1 < words.size() && wanted.text.size() == words[i].text.size() + words[i + 1].text.size() &&
        wanted.text.starts_with(words[i].text) && wanted.text.ends_with(words[i + 1].text))
      return true;
  }
  return false;
}

struct Missing {
  std::string strong;
  std::string weak;
};

Missing missing(const Words& a, const Words& b) {
  Missing missing;
  for (const Identifier& identifier : a.identifiers()) {
    if (is_in(identifier, b.identifiers(), b)) continue;
    (identifier.strong ? missing.strong : missing.weak) = identifier.text;
  }
  return missing;
}

}  // namespace

void append_identifier_anchors(const Words& words, std::vector<std::string>& anchors) {
  for (const Identifier& identifier : words.identifiers())
    anchors.push_back(fmt::format("identifier:{}", identifier.text));
}

std::string identifiers_refusal(const Words& query, const Words& candidate) {
  if (query.identifiers().empty() && candidate.identifiers().empty()) return {};
  const Missing a = missing(query, candidate);
  const Missing b = missing(candidate, query);
  if (!a.strong.empty()) return fmt::format("{} only in the query", a.strong);
  if (!b.strong.empty()) return fmt::format("{} only in the candidate", b.strong);
  if (!a.weak.empty() && !b.weak.empty()) return fmt::format("{} against {}", a.weak, b.weak);
  return {};
}

}  // namespace enhanced_gptcache::match

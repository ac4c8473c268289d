// Identifiers: paths, addresses, code names, part numbers and lone letters must be the same ones.

#include <fmt/format.h>

#include <algorithm>
#include <array>

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

/// "Phone 14" and "Phone 14 Pro": a variant named behind a number or a name that the other text has without
/// it.
std::string variant_only_in(const Words& a, const Words& b) {
  static constexpr auto kVariants =
      std::to_array<std::string_view>({"pro", "max", "plus", "mini", "ultra", "lite", "air", "se", "xl", "xs",
                                       "turbo", "premium", "enterprise", "lts"});
  for (size_t i = 1; i < a.size(); ++i) {
    const Word& before = a[i - 1];
    if (std::find(kVariants.begin(), kVariants.end(), a[i].text) == kVariants.end()) continue;
    const bool is_product = before.numeric || (before.capitalised && !before.sentence_start);
    const auto has = [&](std::string_view text) {
      return std::any_of(b.words().begin(), b.words().end(), [&](const Word& w) { return w.text == text; });
    };
    // Also when it has another variant there.
    if (is_product && has(before.text) && !has(a[i].text)) return std::string(a[i].text);
  }
  return {};
}

}  // namespace

void append_identifier_anchors(const Words& words, std::vector<std::string>& anchors) {
  for (const Identifier& identifier : words.identifiers())
    anchors.push_back(fmt::format("identifier:{}", identifier.text));
}

std::string identifiers_refusal(const Words& query, const Words& candidate) {
  if (const std::string only = variant_only_in(query, candidate); !only.empty())
    return fmt::format("{} only in the query", only);
  if (const std::string only = variant_only_in(candidate, query); !only.empty())
    return fmt::format("{} only in the candidate", only);
  if (query.identifiers().empty() && candidate.identifiers().empty()) return {};
  const Missing a = missing(query, candidate);
  const Missing b = missing(candidate, query);
  if (!a.strong.empty()) return fmt::format("{} only in the query", a.strong);
  if (!b.strong.empty()) return fmt::format("{} only in the candidate", b.strong);
  if (!a.weak.empty() && !b.weak.empty()) return fmt::format("{} against {}", a.weak, b.weak);
  return {};
}

}  // namespace enhanced_gptcache::match

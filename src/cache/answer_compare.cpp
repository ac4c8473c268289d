#include "cache/answer_compare.h"

#include <string>

#include "match/guards.h"

namespace enhanced_gptcache::cache {
namespace {

/// Lower case (ASCII), words joined by single spaces, marks dropped where they end or surround a word. Signs
/// inside a word stay: -1 and 1, 3.5 and 35 differ.
std::string plain(std::string_view text) {
  constexpr std::string_view kAround = "*_`#\"'.,;:!?()[]";
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t from = text.find_first_not_of(" \t\r\n", at);
    if (from == std::string_view::npos) break;
    const size_t to = std::min(text.size(), text.find_first_of(" \t\r\n", from));
    std::string_view word = text.substr(from, to - from);
    at = to;
    while (!word.empty() && kAround.find(word.front()) != std::string_view::npos) word.remove_prefix(1);
    while (!word.empty() && kAround.find(word.back()) != std::string_view::npos) word.remove_suffix(1);
    if (word.empty()) continue;
    if (!out.empty()) out.push_back(' ');
    for (const char c : word) out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
  }
  return out;
}

}  // namespace

bool is_same_text(std::string_view a, std::string_view b) {
  const std::string plain_a = plain(a);
  return !plain_a.empty() && plain_a == plain(b);
}

Agreement compare_answers(std::string_view a, const Embedding& of_a, std::string_view b,
                          const Embedding& of_b) {
  if (is_same_text(a, b)) return Agreement::kAgree;
  if (of_a.stats.truncated || of_b.stats.truncated || of_a.values.size() != of_b.values.size())
    return Agreement::kUndecided;
  double cosine = 0;
  for (size_t i = 0; i < of_a.values.size(); ++i)
    cosine += static_cast<double>(of_a.values[i]) * static_cast<double>(of_b.values[i]);
  if (!(cosine > kDisagreeTo)) return Agreement::kDisagree;
  if (cosine >= kAgreeFrom && !match::refusing_guard(a, b)) return Agreement::kAgree;
  return Agreement::kUndecided;
}

}  // namespace enhanced_gptcache::cache

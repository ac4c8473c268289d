#include "base/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace enhanced_gptcache::base {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string nearest_name(std::string_view name, std::span<const std::string> names) {
  const std::string_view wanted = name.substr(0, 200);
  const std::string* best = nullptr;
  size_t best_distance = 0;
  for (const std::string& candidate : names) {
    const size_t distance = edit_distance(wanted, std::string_view(candidate).substr(0, 200));
    if (best == nullptr || distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  // Beyond this it is another word, and a guess would mislead.
  const bool is_near = best != nullptr && best_distance * 5 <= std::max(wanted.size(), best->size()) * 2;
  return is_near ? *best : "";
}

std::string did_you_mean(std::string_view name) {
  return name.empty() ? "" : "; did you mean " + std::string(name) + "?";
}

}  // namespace enhanced_gptcache::base

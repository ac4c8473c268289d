#include "eval/metrics.h"

#include <algorithm>
#include <cmath>

namespace enhanced_gptcache::eval {
namespace {

struct Classes {
  uint64_t positives = 0;
  uint64_t negatives = 0;
};

Classes classes_of(std::span<const Scored> scored) {
  Classes classes;
  for (const Scored& one : scored) ++(one.positive ? classes.positives : classes.negatives);
  return classes;
}

std::vector<Scored> best_first(std::span<const Scored> scored) {
  std::vector<Scored> sorted(scored.begin(), scored.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Scored& a, const Scored& b) { return a.score > b.score; });
  return sorted;
}

}  // namespace

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

void Counts::add(bool is_positive, bool is_hit) {
  ++(is_positive ? positives : negatives);
  if (is_hit) ++(is_positive ? hits : false_hits);
}

Counts& Counts::operator+=(const Counts& other) {
  positives += other.positives;
  hits += other.hits;
  negatives += other.negatives;
  false_hits += other.false_hits;
  return *this;
}

std::optional<double> roc_auc(std::span<const Scored> scored) {
  const Classes classes = classes_of(scored);
  if (classes.positives == 0 || classes.negatives == 0) return std::nullopt;
  const std::vector<Scored> sorted = best_first(scored);
  double won = 0;
  uint64_t negatives_left = classes.negatives;
  for (size_t i = 0; i < sorted.size();) {
    Classes tied;
    const double score = sorted[i].score;
    for (; i < sorted.size() && sorted[i].score == score; ++i)
      ++(sorted[i].positive ? tied.positives : tied.negatives);
    negatives_left -= tied.negatives;
    won += static_cast<double>(tied.positives) *
           (static_cast<double>(negatives_left) + 0.5 * static_cast<double>(tied.negatives));
  }
  return won / (static_cast<double>(classes.positives) * static_cast<double>(classes.negatives));
}

std::optional<double> recall_at_precision(std::span<const Scored> scored, double precision) {
  const Classes classes = classes_of(scored);
  if (classes.positives == 0 || classes.negatives == 0) return std::nullopt;
  const std::vector<Scored> sorted = best_first(scored);
  double best = 0;
  Classes served;
  for (size_t i = 0; i < sorted.size(); ++i) {
    ++(sorted[i].positive ? served.positives : served.negatives);
    if (i + 1 < sorted.size() && sorted[i + 1].score == sorted[i].score) continue;
    if (share(served.positives, i + 1) >= precision) best = share(served.positives, classes.positives);
  }
  return best;
}

void Reliability::add(double probability, bool right) {
  const double clamped = std::isfinite(probability) ? std::clamp(probability, 0.0, 1.0) : 0.0;
  const auto width = static_cast<double>(bins.size());
  Bin& bin = bins[std::min(bins.size() - 1, static_cast<size_t>(clamped * width))];
  ++bin.count;
  bin.right += right ? 1 : 0;
  bin.stated_sum += clamped;
  ++count;
}

double Reliability::expected_error() const {
  double distance = 0;
  for (const Bin& bin : bins) distance += std::abs(bin.stated_sum - static_cast<double>(bin.right));
  return count == 0 ? 0 : distance / static_cast<double>(count);
}

std::optional<double> percentile(std::vector<double> values, double p) {
  if (values.empty()) return std::nullopt;
  const auto rank = static_cast<size_t>(p * static_cast<double>(values.size()));
  const auto place = values.begin() + static_cast<ptrdiff_t>(std::min(rank, values.size() - 1));
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

}  // namespace enhanced_gptcache::eval

#include "match/tau_aggregate.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/keyed_hash.h"

namespace enhanced_gptcache::match {

double combine_taus(std::vector<TauReport> reports) {
  EGPTC_CHECK(!reports.empty());
  const auto middle = reports.begin() + static_cast<std::ptrdiff_t>(reports.size() / 2);
  std::nth_element(reports.begin(), middle, reports.end(),
                   [](const TauReport& a, const TauReport& b) { return a.samples < b.samples; });
  const uint64_t weight_max = std::max<uint64_t>(1, middle->samples * kTauWeightCap);
  std::sort(reports.begin(), reports.end(), [](const TauReport& a, const TauReport& b) {
    return a.tau != b.tau ? a.tau < b.tau : a.samples < b.samples;
  });
  const auto wanted = static_cast<size_t>(std::ceil(kTauTrimShare * static_cast<double>(reports.size())));
  const size_t trim = std::min(wanted, (reports.size() - 1) / 2);  // one report is left at least
  double sum = 0;
  double weights = 0;
  for (size_t i = trim; i < reports.size() - trim; ++i) {
    const auto weight = static_cast<double>(std::clamp<uint64_t>(reports[i].samples, 1, weight_max));
    sum += weight * reports[i].tau;
    weights += weight;
  }
  return sum / weights;
}

double step_towards(double global, double combined, double step_max) {
  return global + std::clamp(combined - global, -step_max, step_max);
}

uint64_t draw_rank(std::string_view user, uint64_t round) {
  base::SecretKey key{};
  for (size_t i = 0; i < sizeof round; ++i) key[i] = static_cast<unsigned char>(round >> (8 * i));
  return base::keyed_hash(key, "tau draw", {user}).low;
}

}  // namespace enhanced_gptcache::match

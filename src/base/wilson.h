#pragma once
// The interval of a share (E. B. Wilson, "Probable inference, the law of succession, and statistical
// inference", JASA 22, 1927). Unlike the textbook interval it is right at 0 and at few trials.

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace enhanced_gptcache::base {

/// A share between 0 and 1 and what it may really be.
struct Interval {
  double low = 0;
  double high = 1;
};

/// `z` 1.96 is 95 %. No trials: 0 to 1.
inline Interval wilson(uint64_t successes, uint64_t trials, double z = 1.959963984540054) {
  if (trials == 0) return {};
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double z2 = z * z;
  const double centre = p + z2 / (2 * n);
  const double spread = z * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  const double scale = 1 + z2 / n;
  return {std::max(0.0, (centre - spread) / scale), std::min(1.0, (centre + spread) / scale)};
}

}  // namespace enhanced_gptcache::base

#include "index/prepared_query.h"

#include <algorithm>
#include <cmath>

#include "index/chunk.h"

namespace enhanced_gptcache::index {

PreparedQuery prepare(std::span<const float> query) {
  PreparedQuery prepared;
  const size_t length = padded_length(query.size());
  prepared.exact.assign(length, 0.0F);
  prepared.coarse.assign(length, 0);
  float largest = 0;
  for (const float value : query) {
    if (!std::isfinite(value)) return prepared;
    largest = std::max(largest, std::fabs(value));
  }
  if (largest <= 0) return prepared;
  prepared.coarse_scale = largest / static_cast<float>(kQueryMax);
  double squares = 0;
  double left_out = 0;
  for (size_t i = 0; i < query.size(); ++i) {
    prepared.exact[i] = query[i];
    const auto coarse = static_cast<int16_t>(std::lrint(query[i] / prepared.coarse_scale));
    prepared.coarse[i] = coarse;
    const double rest = static_cast<double>(query[i]) - static_cast<double>(coarse) * prepared.coarse_scale;
    squares += static_cast<double>(query[i]) * query[i];
    left_out += rest * rest;
  }
  prepared.length = static_cast<float>(std::sqrt(squares));
  prepared.error = static_cast<float>(std::sqrt(left_out));
  return prepared;
}

}  // namespace enhanced_gptcache::index

#include "index/prepared_query.h"

#include <algorithm>
#include <cmath>

#include "index/chunk.h"
#include "index/dot.h"
#include "index/rounding.h"

namespace enhanced_gptcache::index {
namespace {

constexpr float kFineMax = 127;

void prepare_fine(std::span<const float> query, float largest, PreparedQuery& prepared) {
  prepared.fine.assign((query.size() + kSignPad - 1) / kSignPad * kSignPad, 0);
  prepared.fine_scale = largest / kFineMax;
  const float inverse = kFineMax / largest;
  double left_out = 0;
  for (size_t i = 0; i < query.size(); ++i) {
    prepared.fine[i] = static_cast<int8_t>(rounded(query[i] * inverse));
    prepared.fine_sum += prepared.fine[i];
    const double rest =
        static_cast<double>(query[i]) - static_cast<double>(prepared.fine[i]) * prepared.fine_scale;
    left_out += rest * rest;
  }
  prepared.fine_error = static_cast<float>(std::sqrt(left_out));
}

}  // namespace

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
  for (size_t i = 0; i < query.size(); ++i) {
    prepared.exact[i] = query[i];
    prepared.coarse[i] = static_cast<int16_t>(rounded(query[i] / prepared.coarse_scale));
    squares += static_cast<double>(query[i]) * query[i];
  }
  prepared.length = static_cast<float>(std::sqrt(squares));
  prepare_fine(query, largest, prepared);
  return prepared;
}

}  // namespace enhanced_gptcache::index

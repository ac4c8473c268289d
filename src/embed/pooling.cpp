#include "embed/pooling.h"

#include <algorithm>
#include <cmath>

namespace enhanced_gptcache::embed {

void pool_rows(Pooling pooling, const float* rows, size_t stride, size_t tokens, size_t dimensions,
               float* out) {
  std::copy_n(rows, dimensions, out);
  if (pooling == Pooling::kCls) return;
  for (size_t t = 1; t < tokens; ++t) {
    const float* row = rows + t * stride;
    if (pooling == Pooling::kMax) {
      for (size_t d = 0; d < dimensions; ++d) out[d] = std::max(out[d], row[d]);
    } else {
      for (size_t d = 0; d < dimensions; ++d) out[d] += row[d];
    }
  }
  if (pooling == Pooling::kMax) return;
  const float count = static_cast<float>(tokens);
  const float factor = 1.0F / (pooling == Pooling::kMean ? count : std::sqrt(count));
  for (size_t d = 0; d < dimensions; ++d) out[d] *= factor;
}

void normalise(float* vector, size_t dimensions) {
  float squares = 0;
  for (size_t d = 0; d < dimensions; ++d) squares += vector[d] * vector[d];
  const float factor = 1.0F / std::max(std::sqrt(squares), 1e-12F);
  for (size_t d = 0; d < dimensions; ++d) vector[d] *= factor;
}

}  // namespace enhanced_gptcache::embed

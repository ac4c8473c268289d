#pragma once
// What both encoders (float_encoder.h, int8_encoder.h) do: word pieces in, unit vectors out.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "embed/pair_encoder.h"
#include "embed/pair_weights.h"

namespace enhanced_gptcache::embed {

/// Word pieces of one or more texts, one after the other, [CLS] and [SEP] included, nothing padded.
/// Text t is ids[ends[t - 1] .. ends[t]) (from 0 for the first); every text has at least one id and at
/// most max_positions, every id is in the vocabulary.
struct TokenBatch {
  std::span<const int32_t> ids;
  std::span<const size_t> ends;
};

/// Thread rule: encode may run on any number of threads at once. Rows of a batch share the matrix
/// products; a text's vector does not depend on the others in its batch.
class Encoder {
 public:
  virtual ~Encoder() = default;
  /// Writes hidden_size floats of length 1 per text. Working memory belongs to the calling thread
  /// and is kept for its next call.
  virtual void encode(const TokenBatch& batch, float* vectors) const = 0;
  /// A pair encoder of the same precision and kernels that reads this encoder's embeddings; it must not
  /// outlive this one.
  virtual std::unique_ptr<PairEncoder> make_pair_encoder(PairWeights weights) const = 0;
};

}  // namespace enhanced_gptcache::embed

#pragma once
// A cross-encoder over the base encoder's embeddings: two texts in one sequence, one number out
// (Nogueira and Cho, arXiv:1901.04085). It has layers of its own and shares tokenizer, word, position and
// type embeddings and their layer norm with the sentence encoder, so its file holds layers only.

#include <cstddef>
#include <cstdint>
#include <span>

namespace enhanced_gptcache::embed {

/// Word pieces of one or more pairs, one after the other, nothing padded: [CLS] a [SEP] b [SEP]. Pair p is
/// ids[ends[p - 1] .. ends[p]) (from 0 for the first); its second text, token type 1, begins at
/// ids[seconds[p]], after the first [SEP]. Every id is in the vocabulary; no pair is longer than
/// max_tokens().
struct PairBatch {
  std::span<const int32_t> ids;
  std::span<const size_t> ends;
  std::span<const size_t> seconds;
};

/// Thread rule: immutable once made; score may run on any number of threads at once. Must not outlive the
/// encoder that made it (Encoder::make_pair_encoder).
class PairEncoder {
 public:
  virtual ~PairEncoder() = default;
  /// Word pieces it was trained to see of each text.
  virtual size_t tokens_per_text() const = 0;
  /// One logit a pair; not finite when the weights are unfit. A pair's logit does not depend on the others in
  /// its batch. Working memory belongs to the calling thread and is kept for its next call.
  virtual void score(const PairBatch& batch, float* logits) const = 0;

  /// Of a whole pair: two texts, [CLS] and two [SEP].
  size_t max_tokens() const { return 2 * tokens_per_text() + 3; }
};

}  // namespace enhanced_gptcache::embed

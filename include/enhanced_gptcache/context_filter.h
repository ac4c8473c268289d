#pragma once
// Is the conversation before a question the same one? An entry learned with a non-empty context is
// served only in an equivalent context (design rule; MeanCache's context chain, arXiv 2403.02694).

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/options.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache {

struct Turn;

/// What is kept of a context with an entry: enough to compare, not the text itself.
struct ContextFingerprint {
  size_t turns = 0;         ///< of the whole context
  uint64_t exact_hash = 0;  ///< of roles and texts of all turns
  /// The unit vectors of the last window_size turns side by side, scaled to length 1 together; empty without
  /// turns, when not asked for, or when a turn is longer than the model sees.
  std::vector<float> vector;
  std::vector<std::string> anchors;  ///< sorted numbers, negations, names... of all turns that must agree
};

struct ContextVerdict {
  bool equivalent = false;
  double divergence = 0;  ///< 1 - cosine, 0 for two empty contexts, 2 at most
  std::string reason;     ///< why not equivalent
  /// Not equivalent as far as outlines tell; with the prompt's vector it may be. Only after outline().
  bool undecided = false;
};

/// Thread rule: immutable after construction; any thread.
class ContextFilter {
 public:
  /// `embedder` must outlive the filter; null: only identical contexts are equivalent.
  ContextFilter(const ContextOptions& options, const Embedder* embedder);

  /// All but the vector: no model call. Two equal conversations are recognised from it alone.
  ContextFingerprint outline(std::span<const Turn> context) const;
  /// Embeds the window (not for an empty context): one pass over window_size turns at most.
  Result<ContextFingerprint> fingerprint(std::span<const Turn> context) const;
  /// Both empty or identical: equivalent at once. One empty: not. Else the anchors must be equal and every
  /// turn of the window within the divergence threshold of its counterpart; fails closed on anything unseen.
  ContextVerdict compare(const ContextFingerprint& entry, const ContextFingerprint& prompt) const;

 private:
  ContextOptions options_;
  const Embedder* embedder_;
};

}  // namespace enhanced_gptcache

#pragma once
// One question asked of the real cache, reduced to what the figures need.

#include <optional>
#include <string>

#include "enhanced_gptcache/enhanced_cache.h"
#include "eval/rows.h"

namespace enhanced_gptcache::eval {

struct Answer {
  bool is_hit = false;
  bool is_exact = false;       ///< of a hit
  bool has_candidate = false;  ///< a hit, or a miss with a nearest entry
  double similarity = 0;       ///< of the hit or the nearest entry
  /// Of the hit or the nearest entry, rounded as /cache/lookup states it (six digits), so that scores
  /// that tie for a caller of the API tie here.
  double probability = 0;
  std::string reason;        ///< of a miss, "guard:numbers" for a guard
  double latency_ms = 0;     ///< of the lookup, in process
  bool is_semantic = false;  ///< the text was embedded and compared
  /// What was stored with the hit or the nearest entry; empty when there is none.
  std::string candidate;
};

Prompt prompt_of(const Question& question, std::string_view name_space);
/// Errors of the library as they are. `looked_up` (may be null) takes what the cache said.
Result<Answer> ask(EnhancedCache& cache, const Prompt& prompt, Lookup* looked_up = nullptr);
/// Stores `text` as the answer; `embedding` may be null.
Result<void> teach(EnhancedCache& cache, const Prompt& prompt, std::string text,
                   std::shared_ptr<const Embedding> embedding = nullptr);
/// "guard:numbers", "context", "ineligible:script"...
std::string reason_of(const Lookup& lookup);

}  // namespace enhanced_gptcache::eval

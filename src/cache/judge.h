#pragma once
// May this candidate answer this prompt? Gathers what src/match decides from: similarity, context,
// guards. One place, used by lookups (which stop at the first refusal) and by explain (which asks
// every check).

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/entry_store.h"
#include "cache/settings_cell.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/tau_manager.h"
#include "match/decision.h"

namespace enhanced_gptcache::cache {

struct Verdict {
  bool passes = false;
  MissReason reason = MissReason::kNoCandidate;  ///< of a refusal
  std::string detail;                            ///< guard name, or what differs in the contexts
};

/// Thread rule: one lookup's own. Everything given to it outlives it.
class Judge {
 public:
  /// `threshold` raises the floor of the policy; unset leaves it.
  Judge(const Settings& settings, const Prompt& prompt, const TauView& tau, std::optional<double> threshold);

  /// What a similarity must reach.
  double threshold() const { return threshold_; }
  Verdict judge(const Candidate& candidate);
  /// Every check's outcome.
  CandidateReport report(const Candidate& candidate);
  /// Estimate that the candidate's answer would be right.
  static double probability(double similarity);
  static Nearest nearest(const Candidate& candidate);

 private:
  /// `may_embed` false leaves open what only the model can tell.
  ContextVerdict judge_context(const Record& record, bool may_embed);
  ContextVerdict compare_conversations(const Record& record, bool may_embed);

  const Settings& settings_;
  const Prompt& prompt_;
  const match::Policy policy_;
  const double threshold_;
  // Of the prompt; each made when first needed.
  std::optional<ContextFingerprint> outline_;
  std::optional<Result<ContextFingerprint>> fingerprint_;
  std::optional<bool> is_self_contained_;
};

}  // namespace enhanced_gptcache::cache

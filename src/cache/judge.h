#pragma once
// May this candidate answer this prompt? Gathers what src/match decides from: similarity, context,
// guards. One place, used by lookups (which stop at the first refusal) and by explain (which asks
// every check).

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/entry_store.h"
#include "cache/settings_cell.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/tau_manager.h"
#include "match/decision.h"
#include "match/pair_features.h"
#include "match/verifier.h"
#include "match/words.h"

namespace enhanced_gptcache::cache {

struct Verdict {
  bool passes = false;
  MissReason reason = MissReason::kNoCandidate;  ///< of a refusal
  std::string detail;                            ///< guard name, or what differs in the contexts
};

/// A candidate as kVerified sees it. One refused for its context is not weighed: the other fields stay empty.
struct Examined {
  Candidate candidate;
  match::Candidate facts;
  std::string context_reason;  ///< of a refusal
  bool is_weighed = false;
  bool is_conversation = false;  ///< both questions follow a conversation, and it is the same one
  bool is_grey = false;          ///< the pair encoder may change the decision
  double stated = 0;  ///< the last log odds that were reckoned, whatever was decided for want of better
  match::PairFeatures features{};
};

/// What labels taught: log odds to add to what is required (cache/budgets.h).
struct LearnedShifts {
  double shift = 0;                            ///< of tenant and partition
  std::function<double(const Record&)> entry;  ///< of one entry; empty: none
};

/// Thread rule: one lookup's own. Everything given to it outlives it.
class Judge {
 public:
  /// `threshold` raises the floor of the policy; unset leaves it.
  Judge(const Settings& settings, const Embedder* embedder, const Prompt& prompt, const TauView& tau,
        std::optional<double> threshold, LearnedShifts learned = {});

  /// What a similarity must reach.
  double threshold() const { return threshold_; }
  /// The least cosine a question can have and still reach it.
  double search_floor() const;
  Verdict judge(const Candidate& candidate);
  /// kVerified: context and, when that agrees, guards and what is known without the pair encoder.
  Examined examine(const Candidate& candidate);
  /// kVerified: the likeliest that context, guards and threshold let pass; nullptr: none. The pair encoder
  /// reads the likeliest grey ones one after the other until one is likely enough, at most `pairs_max`. A
  /// grey candidate it did not read, or could not judge, has no odds at all.
  Examined* likeliest(std::span<Examined> examined, size_t pairs_max);
  /// Pairs the pair encoder has read so far.
  size_t pairs_read() const { return pairs_read_; }
  const match::Policy& policy() const { return policy_; }
  /// kVerified: the last step.
  Verdict verdict(const Examined& examined) const;
  /// Every check's outcome.
  CandidateReport report(const Candidate& candidate);
  /// Estimate that the candidate's answer would be right.
  static double probability(double similarity);
  static Nearest nearest(const Candidate& candidate);
  Nearest nearest(Examined& examined);

 private:
  /// `may_embed` false leaves open what only the model can tell.
  ContextVerdict judge_context(const Record& record, bool may_embed);
  ContextVerdict compare_conversations(const Record& record, bool may_embed);

  const match::Words& prompt_words();
  /// Two questions after one conversation are alike in what was said before them, too: the mean of both
  /// likenesses, unless the caller asked for a similarity of the questions themselves.
  double similarity_of(const Candidate& candidate, const ContextVerdict& context, bool is_conversation) const;
  const match::History& history();
  const match::VerifierStage& stage(const Examined& examined) const;
  /// Guards and the odds without the pair encoder.
  void weigh(Examined& examined);
  /// Everything but the verifier's opinion lets it pass.
  bool may_pass(const Examined& examined) const;
  bool fit_pair_encoder(std::string_view asked, std::string_view candidate) const;
  /// The odds of a grey candidate with it; no odds when it cannot tell. False: it was not asked, the texts
  /// are too long for it.
  bool ask_pair_encoder(Examined& examined);
  void report_verified(Examined& examined, CandidateReport& report);

  const Settings& settings_;
  const Embedder* const embedder_;
  const Prompt& prompt_;
  const match::Policy policy_;
  const double threshold_;
  const LearnedShifts learned_;
  size_t pairs_read_ = 0;
  // Of the prompt; each made when first needed.
  std::optional<match::Words> words_;
  std::optional<match::History> history_;
  std::optional<ContextFingerprint> outline_;
  std::optional<Result<ContextFingerprint>> fingerprint_;
  std::optional<bool> is_self_contained_;
};

}  // namespace enhanced_gptcache::cache

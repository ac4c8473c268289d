#pragma once
// The options in force, swapped as a whole while requests run.

#include <atomic>
#include <memory>

#include "base/epoch.h"
#include "enhanced_gptcache/context_filter.h"
#include "enhanced_gptcache/options.h"
#include "match/guards.h"
#include "match/verifier.h"

namespace enhanced_gptcache::cache {

/// Thread rule: immutable.
struct Settings : std::enable_shared_from_this<Settings> {
  Settings(const Options& given, const Embedder* embedder,
           std::shared_ptr<const match::Verifier> its_verifier, std::string its_verifier_problem)
      : options(given),
        context_filter(given.context, embedder),
        guards_off(match::guard_mask(given.guards_off).value_or(0)),
        verifier(std::move(its_verifier)),
        verifier_problem(std::move(its_verifier_problem)) {}
  /// The policy in force: without an artifact, by choice of the operator, kVerified is kAdaptive.
  DecisionPolicy decision() const {
    const bool is_blind = options.decision == DecisionPolicy::kVerified && options.verifier_path.empty();
    return is_blind ? DecisionPolicy::kAdaptive : options.decision;
  }
  /// An artifact is named and cannot be used: nothing may be served by meaning, as any other policy would
  /// serve more wrong answers than the one that was asked for.
  bool is_exact_only() const { return decision() == DecisionPolicy::kVerified && verifier == nullptr; }
  const Options options;
  const ContextFilter context_filter;
  const match::GuardMask guards_off;                      ///< check_options() has refused unknown names
  const std::shared_ptr<const match::Verifier> verifier;  ///< null: none could be had
  const std::string verifier_problem;                     ///< why kVerified has no verifier; else empty
};

/// Thread rule: any thread; readers wait for nobody. set() by one thread at a time.
class SettingsCell {
 public:
  ~SettingsCell() { delete holder_.load(std::memory_order_acquire); }

  void set(std::shared_ptr<const Settings> settings) {
    const auto* fresh = new std::shared_ptr<const Settings>(std::move(settings));
    const auto* old = holder_.exchange(fresh, std::memory_order_acq_rel);
    if (old != nullptr) base::epoch_retire(const_cast<std::shared_ptr<const Settings>*>(old));
  }
  /// For work that takes longer than a pinned section may.
  std::shared_ptr<const Settings> get() const {
    const base::EpochGuard pin;
    return *holder_.load(std::memory_order_acquire);
  }
  /// The caller is pinned for as long as it looks.
  const Settings& pinned() const { return **holder_.load(std::memory_order_acquire); }

 private:
  std::atomic<const std::shared_ptr<const Settings>*> holder_{nullptr};
};

}  // namespace enhanced_gptcache::cache

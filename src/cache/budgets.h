#pragma once
// What labels have taught about a tenant's hits, and about places inside it: its error budget
// (match/error_budget.h), and wrong hits by entry and by partition, so that a place that was wrong becomes
// strict without the rest paying for it. Evidence never leaves its tenant: every key holds the tenant.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "base/pointer_map.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "match/error_budget.h"

namespace enhanced_gptcache::cache {

/// A judged decision: what feedback, a shadow check or the judge says about it.
struct BudgetLabel {
  base::Hash128 tenant;
  base::Hash128 partition;
  uint64_t entry = 0;  ///< Budgets::entry_key(), 0 when it is unknown
  double logit = 0;    ///< stated when it was decided
  bool correct = true;
  LabelSource source = LabelSource::kFeedback;
};

/// Thread rule: observe() and the shifts from any thread without waiting; the rest from any thread.
class Budgets {
 public:
  /// The least recently labelled tenants are forgotten above this; so are colliding places above kCells.
  static constexpr size_t kTenantsMax = 4096;

  Budgets();
  ~Budgets();
  Budgets(const Budgets&) = delete;
  Budgets& operator=(const Budgets&) = delete;

  /// Of an entry that answers the request with this exact key: the answer that is learned again after a bad
  /// one was removed inherits the suspicion.
  static uint64_t entry_key(const base::Hash128& exact_key) { return exact_key.high ^ (exact_key.low << 1U); }

  /// Of the whole tenant; 0 while it has no labels.
  double tenant_shift(const base::Hash128& tenant) const;
  double partition_shift(const base::Hash128& tenant, const base::Hash128& partition) const;
  double entry_shift(const base::Hash128& tenant, uint64_t entry) const;
  /// A would-be hit of a tenant that has labels.
  void observe(const base::Hash128& tenant, double logit) const;

  void label(const BudgetLabel& label, double target);
  /// All budgets anew, after the target changed.
  void refresh(double target);
  match::BudgetView view(const base::Hash128& tenant) const;
  BudgetSummary summary() const;
  /// Grows with every label: whether there is anything new to save.
  uint64_t labels() const { return labels_.load(std::memory_order_relaxed); }
  /// What was learned is lost: tenants are stricter than calibrated until they have labels of their own
  /// again.
  void be_cautious() { caution_.store(kCautionShift, std::memory_order_relaxed); }
  static size_t bytes() { return kCells * (sizeof(Cell) + sizeof(std::atomic<uint64_t>)); }

  /// Versioned bytes with a checksum (docs/formats.md).
  std::string serialise() const;
  /// kCorrupt, kUnsupported: everything stays as it was.
  Result<void> restore(std::string_view bytes, double target);

 private:
  static constexpr size_t kCells = 1U << 15U;
  static constexpr double kCautionShift = 1.0;
  static constexpr uint32_t kCautionLabels = 20;
  struct Tenant {
    explicit Tenant(const base::Hash128& its_key) : key(its_key) {}
    const base::Hash128 key;
    match::ErrorBudget budget;
    std::atomic<uint32_t> labels{0};
    uint64_t last_label = 0;  // guarded by mutex_
  };
  /// Evidence about one place; one that hashes to the same cell takes it over.
  struct Cell {
    uint64_t place = 0;
    float expected = 0;
    float wrong = 0;
  };

  static uint64_t place_of(const base::Hash128& tenant, uint64_t a, uint64_t b);
  double shift_at(uint64_t place) const;
  Tenant& tenant_to_write(const base::Hash128& key);
  void drop_oldest();
  void add_evidence(uint64_t place, double expected, bool correct, double prior);
  void publish(const Cell& cell, double prior);

  base::PointerMap<Tenant> map_;
  /// The upper 48 bits of the place and its shift in thousandths; 0 is empty.
  const std::unique_ptr<std::atomic<uint64_t>[]> published_;
  std::atomic<uint64_t> labels_{0};
  std::atomic<double> caution_{0};

  mutable std::mutex mutex_;                                       // writers
  std::unordered_map<uint64_t, std::unique_ptr<Tenant>> tenants_;  // guarded by mutex_; by key.high
  std::vector<Cell> cells_;                                        // guarded by mutex_
};

}  // namespace enhanced_gptcache::cache

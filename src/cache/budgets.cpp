#include "cache/budgets.h"

#include <algorithm>
#include <cmath>

#include "base/epoch.h"
#include "match/verifier.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr std::string_view kMagic = "EGPTCBDG";
constexpr uint32_t kVersion = 1;
/// Errors that the prior is worth (match::evidence_shift). Entries differ much among each other: one wrong
/// answer makes an entry suspicious. Partitions differ little: they are told by several.
constexpr double kEntryPrior = 0.25;
constexpr double kPartitionPrior = 2.0;
constexpr uint64_t kPlaceMask = ~uint64_t{0xFFFF};
constexpr double kShiftUnit = 1000.0;

}  // namespace

Budgets::Budgets() : published_(std::make_unique<std::atomic<uint64_t>[]>(kCells)), cells_(kCells) {}
Budgets::~Budgets() = default;

/// Keys are keyed hashes already; this only spreads them (the finaliser of MurmurHash3).
uint64_t Budgets::place_of(const base::Hash128& tenant, uint64_t a, uint64_t b) {
  uint64_t mixed = tenant.high ^ (tenant.low * 0x9E3779B97F4A7C15ULL) ^ a ^ (b * 0xC2B2AE3D27D4EB4FULL);
  mixed = (mixed ^ (mixed >> 33U)) * 0xFF51AFD7ED558CCDULL;
  mixed = (mixed ^ (mixed >> 33U)) * 0xC4CEB9FE1A85EC53ULL;
  return mixed ^ (mixed >> 33U);
}

double Budgets::shift_at(uint64_t place) const {
  const uint64_t published = published_[place % kCells].load(std::memory_order_relaxed);
  if ((published & kPlaceMask) != (place & kPlaceMask)) return 0;
  return static_cast<double>(published & ~kPlaceMask) / kShiftUnit;
}

double Budgets::tenant_shift(const base::Hash128& tenant) const {
  const base::EpochGuard pin;
  const Tenant* found = map_.find(tenant);
  const double caution = caution_.load(std::memory_order_relaxed);
  if (found == nullptr) return caution;
  const bool is_known = found->labels.load(std::memory_order_relaxed) >= kCautionLabels;
  return is_known ? found->budget.shift() : std::max(caution, found->budget.shift());
}

double Budgets::partition_shift(const base::Hash128& tenant, const base::Hash128& partition) const {
  return shift_at(place_of(tenant, partition.high, partition.low));
}

double Budgets::entry_shift(const base::Hash128& tenant, uint64_t entry) const {
  return shift_at(place_of(tenant, entry, 1));
}

void Budgets::observe(const base::Hash128& tenant, double logit) const {
  const base::EpochGuard pin;
  if (Tenant* found = map_.find(tenant)) found->budget.observe(logit);
}

Budgets::Tenant& Budgets::tenant_to_write(const base::Hash128& key) {
  std::unique_ptr<Tenant>& slot = tenants_[key.high];
  if (slot != nullptr && slot->key == key) return *slot;
  if (slot != nullptr) {  // two tenants in 2^64: the older one is forgotten
    map_.erase(slot->key, slot.get());
    base::epoch_retire(slot.release());
  }
  slot = std::make_unique<Tenant>(key);
  Tenant& added = *slot;
  map_.exchange(key, &added);
  return added;
}

void Budgets::drop_oldest() {
  const auto oldest = std::min_element(tenants_.begin(), tenants_.end(), [](const auto& a, const auto& b) {
    return a.second->last_label < b.second->last_label;
  });
  map_.erase(oldest->second->key, oldest->second.get());
  base::epoch_retire(oldest->second.release());
  tenants_.erase(oldest);
}

void Budgets::publish(const Cell& cell, double prior) {
  const double shift = match::evidence_shift(cell.expected, cell.wrong, prior);
  const auto units = static_cast<uint64_t>(shift * kShiftUnit);
  published_[cell.place % kCells].store((cell.place & kPlaceMask) | units, std::memory_order_relaxed);
}

void Budgets::add_evidence(uint64_t place, double expected, bool correct, double prior) {
  Cell& cell = cells_[place % kCells];
  if (cell.place != place) {
    // What was never wrong loosens nothing, so it needs no cell, and cannot push out what was.
    if (correct) return;
    cell = {place, 0, 0};
  }
  cell.expected += static_cast<float>(expected);
  cell.wrong += correct ? 0.0F : 1.0F;
  publish(cell, prior);
}

void Budgets::label(const BudgetLabel& label, double target) {
  const std::lock_guard lock(mutex_);
  Tenant& tenant = tenant_to_write(label.tenant);
  tenant.last_label = labels_.fetch_add(1, std::memory_order_relaxed) + 1;
  tenant.labels.fetch_add(1, std::memory_order_relaxed);
  tenant.budget.observe(label.logit);
  tenant.budget.label(label.logit, label.correct, label.source, target);
  const double expected = match::probability_of_logit(-label.logit);
  const base::Hash128& partition = label.partition;
  add_evidence(place_of(label.tenant, partition.high, partition.low), expected, label.correct,
               kPartitionPrior);
  if (label.entry != 0)
    add_evidence(place_of(label.tenant, label.entry, 1), expected, label.correct, kEntryPrior);
  if (tenants_.size() > kTenantsMax) drop_oldest();
}

void Budgets::refresh(double target) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, tenant] : tenants_) tenant->budget.refresh(target);
}

match::BudgetView Budgets::view(const base::Hash128& tenant) const {
  const base::EpochGuard pin;
  const Tenant* found = map_.find(tenant);
  return found == nullptr ? match::BudgetView() : found->budget.view();
}

BudgetSummary Budgets::summary() const {
  BudgetSummary summary;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, tenant] : tenants_) {
    const double shift = tenant->budget.shift();
    ++(shift > 0 ? summary.tightened : shift < 0 ? summary.loosened : summary.calibrated);
    summary.shift_max = std::max(summary.shift_max, shift);
    summary.shift_min = std::min(summary.shift_min, shift);
  }
  return summary;
}

std::string Budgets::serialise() const {
  const std::lock_guard lock(mutex_);
  match::StateWriter writer(kMagic, kVersion);
  writer.put(labels());
  writer.put(static_cast<uint64_t>(tenants_.size()));
  for (const auto& [key, tenant] : tenants_) {
    writer.put(tenant->key.high);
    writer.put(tenant->key.low);
    writer.put(tenant->last_label);
    tenant->budget.save(writer);
  }
  return std::move(writer).finish();
}

Result<void> Budgets::restore(std::string_view bytes, double target) {
  EGPTC_TRY(match::StateReader reader, match::StateReader::open(bytes, kMagic, kVersion));
  uint64_t labels = 0;
  uint64_t count = 0;
  if (!reader.get(labels) || !reader.get(count) || count > kTenantsMax)
    return fail(ErrorCode::kCorrupt, "the header of the error budgets is damaged");
  std::vector<std::unique_ptr<Tenant>> restored;
  for (uint64_t i = 0; i < count; ++i) {
    base::Hash128 key;
    uint64_t last_label = 0;
    const bool read = reader.get(key.high) && reader.get(key.low) && reader.get(last_label);
    restored.push_back(std::make_unique<Tenant>(key));
    restored.back()->last_label = last_label;
    if (!read || last_label > labels || !restored.back()->budget.restore(reader))
      return fail(ErrorCode::kCorrupt, "error budget number " + std::to_string(i) + " is damaged");
  }
  if (reader.left() != 0) return fail(ErrorCode::kCorrupt, "bytes follow the last error budget");
  const std::lock_guard lock(mutex_);
  labels_.store(labels, std::memory_order_relaxed);
  for (auto& tenant : restored) {
    tenant->budget.refresh(target);
    tenant->labels.store(static_cast<uint32_t>(tenant->budget.view().labels()), std::memory_order_relaxed);
    std::unique_ptr<Tenant>& slot = tenants_[tenant->key.high];
    if (slot != nullptr) continue;  // what was learned since the start is newer
    map_.exchange(tenant->key, tenant.get());
    slot = std::move(tenant);
  }
  return {};
}

}  // namespace enhanced_gptcache::cache

#include "cache/recent_decisions.h"

#include <bit>

namespace enhanced_gptcache::cache {

void RecentDecisions::publish(Slot& slot, uint64_t number, const std::array<uint64_t, kWords>& words) {
  // Release on every word: a reader that sees a word of this decision also sees kWriting before it.
  for (size_t i = 0; i < kWords; ++i) slot.words[i].store(words[i], std::memory_order_release);
  slot.number.store(number, std::memory_order_release);
}

std::string RecentDecisions::record(const Decision& decision) {
  const uint64_t number = last_.fetch_add(1, std::memory_order_relaxed) + 1;
  Slot& slot = slots_[number % kSlots];
  const auto pair = [&](size_t i) {
    return uint64_t{decision.candidates[2 * i]} << 32U | decision.candidates[2 * i + 1];
  };
  const std::array<uint64_t, kWords> words = {decision.tenant.high,
                                              decision.tenant.low,
                                              decision.tau_user[0],
                                              decision.tau_user[1],
                                              decision.entry_id.high,
                                              decision.entry_id.low,
                                              static_cast<uint64_t>(decision.kind),
                                              decision.partition.high,
                                              decision.partition.low,
                                              std::bit_cast<uint64_t>(decision.logit),
                                              decision.principal,
                                              pair(0),
                                              pair(1),
                                              pair(2),
                                              pair(3)};
  // kSlots later one comes to the same slot; whoever finds it held or newer gives way and is not recorded.
  uint64_t held = slot.number.load(std::memory_order_relaxed);
  while (held < number && !slot.number.compare_exchange_weak(held, kWriting, std::memory_order_acquire)) {
  }
  if (held < number) publish(slot, number, words);
  return base::Hash128{number, keys_.request_tag(number)}.hex();
}

uint64_t RecentDecisions::number_of(std::string_view request_id) const {
  base::Hash128 id;
  if (!parse_hex128(request_id, id) || id.high == 0 || keys_.request_tag(id.high) != id.low) return 0;
  return id.high;
}

std::optional<Decision> RecentDecisions::find(std::string_view request_id) const {
  return read(number_of(request_id));
}

std::optional<Decision> RecentDecisions::read(uint64_t number) const {
  const Slot& slot = slots_[number % kSlots];
  if (number == 0 || slot.number.load(std::memory_order_acquire) != number) return std::nullopt;
  std::array<uint64_t, kWords> words{};
  for (size_t i = 0; i < kWords; ++i) words[i] = slot.words[i].load(std::memory_order_acquire);
  if (slot.number.load(std::memory_order_relaxed) != number) return std::nullopt;
  Decision decision;
  decision.tenant = {words[0], words[1]};
  decision.tau_user = {words[2], words[3]};
  decision.entry_id = {words[4], words[5]};
  decision.kind = static_cast<Decision::Kind>(words[6]);
  decision.partition = {words[7], words[8]};
  decision.logit = std::bit_cast<double>(words[9]);
  decision.principal = words[10];
  for (size_t i = 0; i < decision.candidates.size(); ++i)
    decision.candidates[i] = static_cast<uint32_t>(words[11 + i / 2] >> (i % 2 == 0 ? 32U : 0U));
  return decision;
}

std::optional<std::string> RecentDecisions::find_unjudged_hit(const std::array<uint64_t, 2>& tau_user,
                                                              const base::Hash128& entry_id) const {
  const uint64_t last = last_.load(std::memory_order_acquire);
  for (uint64_t number = last; number > 0 && last - number < kSlots; --number) {
    const Slot& slot = slots_[number % kSlots];
    // The words one by one first: nearly all are of others.
    if (slot.words[2].load(std::memory_order_relaxed) != tau_user[0] ||
        slot.words[5].load(std::memory_order_relaxed) != entry_id.low ||
        slot.judged.load(std::memory_order_relaxed) >= number)
      continue;
    const std::optional<Decision> decision = read(number);
    if (decision && decision->is_hit() && decision->tau_user == tau_user && decision->entry_id == entry_id)
      return base::Hash128{number, keys_.request_tag(number)}.hex();
  }
  return std::nullopt;
}

bool RecentDecisions::is_claimed(std::string_view request_id) const {
  const uint64_t number = number_of(request_id);
  return number != 0 && slots_[number % kSlots].judged.load(std::memory_order_relaxed) >= number;
}

bool RecentDecisions::claim(std::string_view request_id) {
  const uint64_t number = number_of(request_id);
  if (number == 0) return false;
  Slot& slot = slots_[number % kSlots];
  uint64_t judged = slot.judged.load(std::memory_order_relaxed);
  while (judged < number) {
    if (slot.judged.compare_exchange_weak(judged, number, std::memory_order_acq_rel)) return true;
  }
  return false;
}

}  // namespace enhanced_gptcache::cache

#pragma once
// Who else has asked exactly what an entry answers. An entry of a caller that is not trusted is served to
// others of the tenant by meaning only once enough of them have: a text that was made to be near somebody's
// question (Wu et al., NDSS 2026; CacheAttack, arXiv 2601.23088) is one that nobody else ever asks.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace enhanced_gptcache::cache {

/// A small set of principals. Thread rule: any thread, no locks. Two of them may look alike once in four
/// billion, which then costs a hit and never gives one.
class Vouchers {
 public:
  static constexpr size_t kMost = 8;

  Vouchers() = default;
  ~Vouchers() { delete others_.load(std::memory_order_acquire); }
  Vouchers(const Vouchers&) = delete;
  Vouchers& operator=(const Vouchers&) = delete;

  void add(std::string_view principal) { add_name(name_of(principal)); }
  void add_all(const Vouchers& others) {
    others.for_each([this](uint32_t name) { add_name(name); });
  }
  size_t count() const {
    size_t count = 0;
    for_each([&](uint32_t) { ++count; });
    return count;
  }
  /// Somebody who may decide for all has written it.
  void trust() { trusted_.store(true, std::memory_order_relaxed); }
  bool is_trusted() const { return trusted_.load(std::memory_order_relaxed); }

 private:
  static uint32_t name_of(std::string_view principal) {
    const auto hash = static_cast<uint32_t>(std::hash<std::string_view>()(principal));
    return hash == 0 ? 1 : hash;
  }
  using Others = std::array<std::atomic<uint32_t>, kMost - 1>;

  /// True when the name stands there from now on.
  static bool holds(std::atomic<uint32_t>& place, uint32_t name) {
    uint32_t present = place.load(std::memory_order_relaxed);
    if (present == 0 && place.compare_exchange_strong(present, name, std::memory_order_relaxed)) return true;
    return present == name;
  }
  void add_name(uint32_t name) {
    if (holds(first_, name)) return;
    Others* others = others_.load(std::memory_order_acquire);
    if (others == nullptr) {
      auto fresh = std::make_unique<Others>();
      // On failure `others` is what somebody else has made meanwhile.
      if (others_.compare_exchange_strong(others, fresh.get(), std::memory_order_acq_rel)) {
        others = fresh.release();
      }
    }
    for (std::atomic<uint32_t>& place : *others)
      if (holds(place, name)) return;
  }
  template <typename Visit>
  void for_each(const Visit& visit) const {
    if (const uint32_t name = first_.load(std::memory_order_relaxed); name != 0) visit(name);
    const Others* others = others_.load(std::memory_order_acquire);
    if (others == nullptr) return;
    for (const std::atomic<uint32_t>& place : *others)
      if (const uint32_t name = place.load(std::memory_order_relaxed); name != 0) visit(name);
  }

  std::atomic<Others*> others_{nullptr};  // most entries are asked for by one
  std::atomic<uint32_t> first_{0};
  std::atomic<bool> trusted_{false};
};

}  // namespace enhanced_gptcache::cache

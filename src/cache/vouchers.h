#pragma once
// Who else has asked exactly what an entry answers. An entry of a caller that is not trusted is served to
// others of the tenant by meaning only once enough of them have: a text that was made to be near somebody's
// question (Wu et al., NDSS 2026; CacheAttack, arXiv 2601.23088) is one that nobody else ever asks.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

namespace enhanced_gptcache::cache {

/// A small set of principals. Thread rule: any thread, no locks. Two of them may look alike once in four
/// billion, which then costs a hit and never gives one.
class Vouchers {
 public:
  static constexpr size_t kMost = 8;

  void add(std::string_view principal) { add_name(name_of(principal)); }
  void add_all(const Vouchers& others) {
    for (const std::atomic<uint32_t>& place : others.places_) {
      const uint32_t name = place.load(std::memory_order_relaxed);
      if (name != 0) add_name(name);
    }
  }
  size_t count() const {
    size_t count = 0;
    for (const std::atomic<uint32_t>& place : places_) count += place.load(std::memory_order_relaxed) != 0;
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
  void add_name(uint32_t name) {
    for (std::atomic<uint32_t>& place : places_) {
      uint32_t present = place.load(std::memory_order_relaxed);
      if (present == 0 && place.compare_exchange_strong(present, name, std::memory_order_relaxed)) return;
      if (present == name) return;
    }
  }

  std::array<std::atomic<uint32_t>, kMost> places_{};
  std::atomic<bool> trusted_{false};
};

}  // namespace enhanced_gptcache::cache

#pragma once
// A value that many threads read and few replace: readers wait for nobody.

#include <atomic>
#include <memory>

#include "base/epoch.h"

namespace enhanced_gptcache::base {

/// Thread rule: any thread.
template <typename T>
class Cell {
 public:
  explicit Cell(T value) : holder_(hold(std::move(value))) {}
  ~Cell() { delete holder_.load(std::memory_order_acquire); }
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  void set(T value) {
    const auto* old = holder_.exchange(hold(std::move(value)), std::memory_order_acq_rel);
    epoch_retire(const_cast<Held*>(old));
  }
  std::shared_ptr<const T> get() const {
    const EpochGuard pin;
    return *holder_.load(std::memory_order_acquire);
  }
  /// Valid while `pin` lives, and costs no shared counter.
  const T& peek(const EpochGuard& /*pin*/) const { return **holder_.load(std::memory_order_acquire); }

 private:
  using Held = std::shared_ptr<const T>;
  static const Held* hold(T value) { return new Held(std::make_shared<const T>(std::move(value))); }
  std::atomic<const Held*> holder_;
};

}  // namespace enhanced_gptcache::base

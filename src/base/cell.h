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
  explicit Cell(T value) : Cell(std::make_shared<const T>(std::move(value))) {}
  /// Not null.
  explicit Cell(std::shared_ptr<const T> value) : holder_(new Held(std::move(value))) {}
  ~Cell() { delete holder_.load(std::memory_order_acquire); }
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  void set(T value) { set(std::make_shared<const T>(std::move(value))); }
  void set(std::shared_ptr<const T> value) {
    const auto* old = holder_.exchange(new Held(std::move(value)), std::memory_order_acq_rel);
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
  std::atomic<const Held*> holder_;
};

}  // namespace enhanced_gptcache::base

#include "http/breaker.h"

#include <algorithm>

namespace enhanced_gptcache::http {

void Breaker::configure(size_t failures_max, int64_t open_us) {
  const std::lock_guard lock(mutex_);
  failures_max_ = std::max<size_t>(failures_max, 1);
  open_us_ = open_us;
}

bool Breaker::allow(int64_t now_us, bool& is_probe) {
  const std::lock_guard lock(mutex_);
  is_probe = false;
  if (!open_) return true;
  if (probing_ || now_us < retry_at_us_) return false;
  probing_ = true;
  is_probe = true;
  return true;
}

void Breaker::succeeded() {
  const std::lock_guard lock(mutex_);
  failures_ = 0;
  open_ = false;
  probing_ = false;
}

void Breaker::failed(int64_t now_us) {
  const std::lock_guard lock(mutex_);
  ++failures_;
  if (!probing_ && failures_ < failures_max_) return;
  // Requests that were under way when it opened may fail later; they do not extend the pause.
  if (open_ && !probing_) return;
  open_ = true;
  probing_ = false;
  retry_at_us_ = now_us + open_us_;
}

void Breaker::withdrawn() {
  const std::lock_guard lock(mutex_);
  probing_ = false;
}

Breaker::State Breaker::state() const {
  const std::lock_guard lock(mutex_);
  if (!open_) return State::kClosed;
  return probing_ ? State::kHalfOpen : State::kOpen;
}

int64_t Breaker::wait_us(int64_t now_us) const {
  const std::lock_guard lock(mutex_);
  return open_ ? std::max<int64_t>(retry_at_us_ - now_us, 0) : 0;
}

}  // namespace enhanced_gptcache::http

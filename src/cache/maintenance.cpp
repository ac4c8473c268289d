#include "cache/maintenance.h"

namespace enhanced_gptcache::cache {

Maintenance::Maintenance(std::chrono::milliseconds interval, std::function<void()> step)
    : interval_(interval), step_(std::move(step)), thread_([this] { loop(); }) {}

Maintenance::~Maintenance() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void Maintenance::loop() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, interval_, [this] { return is_stopping_; })) {
    lock.unlock();
    step_();
    lock.lock();
  }
}

}  // namespace enhanced_gptcache::cache

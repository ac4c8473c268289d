#pragma once
// The thread a cache owns: a step every so often until it is destroyed.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace enhanced_gptcache::cache {

/// Thread rule: constructed and destroyed by one thread. The destructor waits for the running step.
class Maintenance {
 public:
  Maintenance(std::chrono::milliseconds interval, std::function<void()> step);
  ~Maintenance();
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

 private:
  void loop();

  const std::chrono::milliseconds interval_;
  const std::function<void()> step_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool is_stopping_ = false;  // guarded by mutex_
  std::thread thread_;        // last: starts when everything else is there
};

}  // namespace enhanced_gptcache::cache

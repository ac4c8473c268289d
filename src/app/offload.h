#pragma once
// Work that may take long (flushes, explanations, health probes), off the connections' threads and
// with a limit on what may wait.

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <functional>

namespace enhanced_gptcache::app {

/// Thread rule: any thread. Destruction waits for what is running and drops nothing that was taken.
class OffloadPool {
 public:
  OffloadPool(size_t threads, size_t waiting_max);
  ~OffloadPool();
  OffloadPool(const OffloadPool&) = delete;
  OffloadPool& operator=(const OffloadPool&) = delete;

  /// False, and `work` is not run: `waiting_max` pieces wait or run already.
  bool run(std::function<void()> work);
  size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  const size_t waiting_max_;
  std::atomic<size_t> waiting_{0};
  boost::asio::thread_pool pool_;
};

}  // namespace enhanced_gptcache::app

#pragma once
// Work that may take long (flushes, explanations, health probes), off the connections' threads and
// with a limit on what may wait.

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <mutex>

namespace enhanced_gptcache::app {

/// Thread rule: any thread. Nothing that was taken is dropped. An exception of a piece of work is logged and
/// ends that piece only; the exchange it held then answers 500 when it goes.
class OffloadPool {
 public:
  OffloadPool(size_t threads, size_t waiting_max);
  ~OffloadPool();
  OffloadPool(const OffloadPool&) = delete;
  OffloadPool& operator=(const OffloadPool&) = delete;

  /// False, and `work` is not run: `waiting_max` pieces wait or run already, or stop() was called.
  bool run(std::function<void()> work);
  /// Finishes what was taken and ends the threads; run() takes nothing more. Not from a piece of work.
  void stop();
  size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  const size_t waiting_max_;
  std::atomic<size_t> waiting_{0};
  std::mutex mutex_;      // so that nothing is posted once stop() has begun
  bool stopped_ = false;  // guarded by mutex_
  boost::asio::thread_pool pool_;
};

/// For parts that know no pools; `pool` outlives its use.
inline std::function<bool(std::function<void()>)> on(OffloadPool& pool) {
  return [&pool](std::function<void()> work) { return pool.run(std::move(work)); };
}

}  // namespace enhanced_gptcache::app

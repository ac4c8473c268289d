#include "app/offload.h"

#include <boost/asio/post.hpp>
#include <exception>

#include "base/log.h"

namespace enhanced_gptcache::app {
namespace {

/// Nobody above a pool's thread could catch what a piece of work throws.
void run_guarded(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& thrown) {
    base::log_error("an administrative call ended by an exception: {}", thrown.what());
  } catch (...) {
    base::log_error("an administrative call ended by an exception of unknown type");
  }
}

}  // namespace

OffloadPool::OffloadPool(size_t threads, size_t waiting_max) : waiting_max_(waiting_max), pool_(threads) {}

OffloadPool::~OffloadPool() { stop(); }

void OffloadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  pool_.join();
}

bool OffloadPool::run(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || waiting_.load(std::memory_order_relaxed) >= waiting_max_) return false;
  waiting_.fetch_add(1, std::memory_order_relaxed);
  boost::asio::post(pool_, [this, work = std::move(work)] {
    run_guarded(work);
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  });
  return true;
}

}  // namespace enhanced_gptcache::app

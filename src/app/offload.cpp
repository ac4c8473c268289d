#include "app/offload.h"

#include <boost/asio/post.hpp>

namespace enhanced_gptcache::app {

OffloadPool::OffloadPool(size_t threads, size_t waiting_max) : waiting_max_(waiting_max), pool_(threads) {}

OffloadPool::~OffloadPool() { pool_.join(); }

bool OffloadPool::run(std::function<void()> work) {
  if (waiting_.fetch_add(1, std::memory_order_relaxed) >= waiting_max_) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  boost::asio::post(pool_, [this, work = std::move(work)] {
    work();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  });
  return true;
}

}  // namespace enhanced_gptcache::app

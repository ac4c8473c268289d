#include "embed/embed_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

namespace enhanced_gptcache::embed {
namespace {

tl::unexpected<Error> shutting_down() {
  return fail(ErrorCode::kUnavailable, "the embedder is shutting down");
}

/// What a callback calls is not ours, and nobody above a worker thread could catch what it throws.
void answer(const Embedder::Callback& done, Result<Embedding> result) {
  try {
    done(std::move(result));
  } catch (const std::exception& thrown) {
    base::log_error("a callback of the embedder threw: {}", thrown.what());
  } catch (...) {
    base::log_error("a callback of the embedder threw an exception of unknown type");
  }
}

}  // namespace

EmbedQueue::EmbedQueue(size_t threads, size_t queue_max, Work work)
    : queue_max_(queue_max), work_(std::move(work)) {
  EGPTC_CHECK(threads >= 1 && queue_max >= 1);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

EmbedQueue::~EmbedQueue() { stop(); }

void EmbedQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  waiting_.notify_all();
  const std::lock_guard lock(join_mutex_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void EmbedQueue::push(std::string text, Embedder::Callback done, int64_t wait_ms_max) {
  bool is_stopping = false;
  const int64_t expires_us = wait_ms_max > 0 ? base::system_clock().mono_us() + wait_ms_max * 1000
                                             : std::numeric_limits<int64_t>::max();
  {
    const std::lock_guard lock(mutex_);
    is_stopping = stopping_;
    if (!is_stopping && items_.size() < queue_max_) {
      items_.push_back({std::move(text), std::move(done), expires_us});
      done = nullptr;
    }
  }
  if (!done) {
    waiting_.notify_one();
    return;
  }
  if (is_stopping) return done(shutting_down());
  done(fail(ErrorCode::kOverloaded, fmt::format("{} texts wait for an embedding already", queue_max_)));
}

void EmbedQueue::run() {
  for (;;) {
    std::vector<Item> items = take();
    if (items.empty()) return;
    drop_expired(items);
    if (!items.empty()) serve(items);
  }
}

std::vector<EmbedQueue::Item> EmbedQueue::take() {
  std::unique_lock lock(mutex_);
  waiting_.wait(lock, [this] { return stopping_ || !items_.empty(); });
  std::vector<Item> batch;
  const int64_t now_us = base::system_clock().mono_us();
  for (size_t alive = 0; alive < kQueueBatchTexts && !items_.empty();) {
    if (items_.front().expires_us >= now_us) ++alive;
    batch.push_back(std::move(items_.front()));
    items_.pop_front();
  }
  if (!stopping_) return batch;
  lock.unlock();
  for (Item& item : batch) answer(item.done, shutting_down());
  // Keep coming back until nothing waits; an empty batch ends the worker.
  return batch.empty() ? batch : take();
}

void EmbedQueue::drop_expired(std::vector<Item>& items) {
  const int64_t now_us = base::system_clock().mono_us();
  std::erase_if(items, [now_us](Item& item) {
    if (item.expires_us >= now_us) return false;
    answer(item.done, fail(ErrorCode::kOverloaded, "the text waited too long for the embedder"));
    return true;
  });
}

Result<std::vector<Embedding>> EmbedQueue::embed(const std::vector<Item>& items) const {
  std::vector<std::string_view> texts;
  for (const Item& item : items) texts.push_back(item.text);
  try {
    return work_(texts);
  } catch (const std::exception& thrown) {
    base::log_error("the model ended by an exception: {}", thrown.what());
  } catch (...) {
    base::log_error("the model ended by an exception of unknown type");
  }
  return fail(ErrorCode::kInternal, "the model ended by an exception");
}

void EmbedQueue::serve(std::vector<Item>& items) const {
  auto result = embed(items);
  if (result) EGPTC_CHECK(result->size() == items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (result) {
      answer(items[i].done, std::move((*result)[i]));
    } else {
      answer(items[i].done, fail(result.error()));
    }
  }
}

}  // namespace enhanced_gptcache::embed

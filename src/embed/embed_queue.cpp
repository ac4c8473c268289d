#include "embed/embed_queue.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace enhanced_gptcache::embed {

EmbedQueue::EmbedQueue(size_t threads, size_t queue_max, Work work)
    : queue_max_(queue_max), work_(std::move(work)) {
  EGPTC_CHECK(threads >= 1 && queue_max >= 1);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

EmbedQueue::~EmbedQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  waiting_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void EmbedQueue::push(std::string text, Embedder::Callback done) {
  {
    const std::lock_guard lock(mutex_);
    if (items_.size() < queue_max_) {
      items_.push_back({std::move(text), std::move(done)});
      done = nullptr;
    }
  }
  if (!done) {
    waiting_.notify_one();
    return;
  }
  done(fail(ErrorCode::kOverloaded, fmt::format("{} texts wait for an embedding already", queue_max_)));
}

void EmbedQueue::run() {
  for (;;) {
    std::vector<Item> items = take();
    if (items.empty()) return;
    serve(items);
  }
}

std::vector<EmbedQueue::Item> EmbedQueue::take() {
  std::unique_lock lock(mutex_);
  waiting_.wait(lock, [this] { return stopping_ || !items_.empty(); });
  std::vector<Item> batch;
  const size_t count = std::min(items_.size(), kQueueBatchTexts);
  for (size_t i = 0; i < count; ++i) {
    batch.push_back(std::move(items_.front()));
    items_.pop_front();
  }
  if (!stopping_) return batch;
  lock.unlock();
  for (Item& item : batch) item.done(fail(ErrorCode::kUnavailable, "the embedder is shutting down"));
  // Keep coming back until nothing waits; an empty batch ends the worker.
  return batch.empty() ? batch : take();
}

void EmbedQueue::serve(std::vector<Item>& items) const {
  std::vector<std::string_view> texts;
  for (const Item& item : items) texts.push_back(item.text);
  auto result = work_(texts);
  if (result) EGPTC_CHECK(result->size() == items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (result) {
      items[i].done(std::move((*result)[i]));
    } else {
      items[i].done(fail(result.error()));
    }
  }
}

}  // namespace enhanced_gptcache::embed

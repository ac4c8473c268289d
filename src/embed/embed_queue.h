#pragma once
// The worker threads behind Embedder::embed_async: a bounded queue whose workers take what already
// waits, a few texts at once, and never wait for more.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "enhanced_gptcache/embedder.h"

namespace enhanced_gptcache::embed {

/// Texts a worker takes at once. The matrix products reach full speed at about 14 rows (one text), so a
/// larger batch would gain little and make its first text wait for its last.
constexpr size_t kQueueBatchTexts = 4;

/// Thread rule: push() and stop() from any thread but a worker. Destroy after the last push. An exception of
/// `work` or of a callback ends neither worker nor process: the texts get kInternal, and it is logged.
class EmbedQueue final {
 public:
  using Work = std::function<Result<std::vector<Embedding>>(std::span<const std::string_view>)>;

  /// `threads` >= 1 and `queue_max` >= 1.
  EmbedQueue(size_t threads, size_t queue_max, Work work);
  ~EmbedQueue();
  EmbedQueue(const EmbedQueue&) = delete;
  EmbedQueue& operator=(const EmbedQueue&) = delete;

  /// Calls `done` once: on a worker, or at once here, with kOverloaded when queue_max texts wait and with
  /// kUnavailable after stop(). A text that waited for more than `wait_ms_max` > 0 (0: however long) gets
  /// kOverloaded on a worker instead of an embedding, so that after a burst the workers are busy with
  /// questions whose askers are still there.
  void push(std::string text, Embedder::Callback done, int64_t wait_ms_max = 0);
  /// Lets running batches end, gives every waiting text kUnavailable on a worker thread, and joins: no
  /// callback runs any more when it returns. Does nothing the second time.
  void stop();

 private:
  struct Item {
    std::string text;
    Embedder::Callback done;
    int64_t expires_us;  ///< by the monotonic clock
  };

  void run();
  /// Up to kQueueBatchTexts texts, and before them any number that waited too long. Empty when stopping and
  /// nothing waits.
  std::vector<Item> take();
  /// Answers those that waited too long and leaves the others.
  static void drop_expired(std::vector<Item>& items);
  void serve(std::vector<Item>& items) const;
  Result<std::vector<Embedding>> embed(const std::vector<Item>& items) const;

  const size_t queue_max_;
  const Work work_;
  std::mutex mutex_;
  std::condition_variable waiting_;
  std::deque<Item> items_;  ///< guarded by mutex_
  bool stopping_ = false;   ///< guarded by mutex_
  std::mutex join_mutex_;
  std::vector<std::thread> threads_;  ///< guarded by join_mutex_
};

}  // namespace enhanced_gptcache::embed

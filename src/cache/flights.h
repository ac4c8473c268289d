#pragma once
// Single flight: of callers that compute the same answer at the same time one computes, the others
// wait for what it got.

#include <array>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::cache {

/// Thread rule: any thread.
class Flights {
 public:
  struct Outcome {
    Result<std::string> answer;
    bool joined = false;  ///< another caller's answer
  };

  /// Runs `compute` unless a flight for `key` is in the air; then waits for that one. When the leader
  /// fails, each follower tries once more (leading or joining); a second failure is returned.
  Outcome run(const base::Hash128& key, const std::function<Result<std::string>()>& compute);

 private:
  struct Flight {
    std::mutex mutex;
    std::condition_variable landed;
    bool is_done = false;                                                  // guarded by mutex
    Result<std::string> answer = fail(ErrorCode::kInternal, "no answer");  // guarded by mutex
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<base::Hash128, std::shared_ptr<Flight>, base::Hash128Hasher> flights;  // guarded
  };
  static constexpr size_t kShards = 16;

  Outcome run_once(const base::Hash128& key, const std::function<Result<std::string>()>& compute);
  Result<std::string> lead(Shard& shard, const base::Hash128& key, Flight& flight,
                           const std::function<Result<std::string>()>& compute);

  std::array<Shard, kShards> shards_;
};

}  // namespace enhanced_gptcache::cache

#include "cache/flights.h"

#include <exception>

namespace enhanced_gptcache::cache {
namespace {

/// The caller's function may throw (it may be a Python function); waiting callers must be told all the same.
Result<std::string> guarded(const std::function<Result<std::string>()>& compute) {
  try {
    return compute();
  } catch (const std::exception& error) {
    return fail(ErrorCode::kUpstream, std::string("compute failed: ") + error.what());
  } catch (...) {
    return fail(ErrorCode::kUpstream, "compute failed with an exception of unknown type");
  }
}

}  // namespace

Result<std::string> Flights::lead(Shard& shard, const base::Hash128& key, Flight& flight,
                                  const std::function<Result<std::string>()>& compute) {
  Result<std::string> answer = guarded(compute);
  {
    const std::lock_guard lock(shard.mutex);
    shard.flights.erase(key);
  }
  {
    const std::lock_guard lock(flight.mutex);
    flight.answer = answer;
    flight.is_done = true;
  }
  flight.landed.notify_all();
  return answer;
}

Flights::Outcome Flights::run_once(const base::Hash128& key,
                                   const std::function<Result<std::string>()>& compute) {
  Shard& shard = shards_[key.high % kShards];
  std::shared_ptr<Flight> flight;
  bool is_leader = false;
  {
    const std::lock_guard lock(shard.mutex);
    auto [found, inserted] = shard.flights.try_emplace(key);
    if (inserted) found->second = std::make_shared<Flight>();
    flight = found->second;
    is_leader = inserted;
  }
  if (is_leader) return {lead(shard, key, *flight, compute), false};
  std::unique_lock lock(flight->mutex);
  flight->landed.wait(lock, [&] { return flight->is_done; });
  return {flight->answer, true};
}

Flights::Outcome Flights::run(const base::Hash128& key, const std::function<Result<std::string>()>& compute) {
  Outcome first = run_once(key, compute);
  if (first.answer || !first.joined) return first;
  return run_once(key, compute);
}

}  // namespace enhanced_gptcache::cache

#pragma once
// Which flights are in the air, by the request they answer.

#include <array>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/keyed_hash.h"
#include "proxy/flight.h"

namespace enhanced_gptcache::proxy {

/// Thread rule: any thread. A lock per shard is held for a look-up only.
class FlightTable : public std::enable_shared_from_this<FlightTable> {
 public:
  struct Seat {
    FlightPtr flight;
    Flight::WatcherPtr watcher;
    bool leads = false;  ///< the caller must start the flight
  };
  /// Joins the flight of this key, or makes one whose leader runs on `executor`.
  Seat take_seat(const base::Hash128& key, const asio::any_io_executor& executor, const FlightLimits& limits);
  /// A flight nobody can join (refreshes, requests that bypass the cache).
  static Seat own_flight(const asio::any_io_executor& executor, const FlightLimits& limits);
  size_t size() const;

 private:
  static constexpr size_t kShards = 16;
  struct Shard {
    mutable std::mutex mutex;
    /// Weak: a flight belongs to the coroutines that work on it, and goes with them at shutdown, before the
    /// event loops whose timers it holds.
    std::unordered_map<base::Hash128, std::weak_ptr<Flight>, base::Hash128Hasher> flights;
  };
  void erase(const base::Hash128& key, const Flight* flight);
  Shard& shard(const base::Hash128& key) { return shards_[key.high % kShards]; }
  std::array<Shard, kShards> shards_;
};

}  // namespace enhanced_gptcache::proxy

#include "proxy/flight_table.h"

namespace enhanced_gptcache::proxy {

FlightTable::Seat FlightTable::take_seat(const base::Hash128& key, const asio::any_io_executor& executor,
                                         const FlightLimits& limits) {
  Shard& home = shard(key);
  const std::lock_guard lock(home.mutex);
  const auto found = home.flights.find(key);
  if (found != home.flights.end()) {
    FlightPtr flight = found->second.lock();
    Flight::WatcherPtr watcher = flight != nullptr ? flight->join(executor, true) : nullptr;
    if (watcher != nullptr) return {std::move(flight), std::move(watcher), false};
  }
  Seat seat = own_flight(executor, limits);
  seat.flight->on_closed([table = weak_from_this(), key, flight = seat.flight.get()] {
    if (const auto alive = table.lock()) alive->erase(key, flight);
  });
  home.flights[key] = seat.flight;
  return seat;
}

FlightTable::Seat FlightTable::own_flight(const asio::any_io_executor& executor, const FlightLimits& limits) {
  Seat seat;
  seat.flight = std::make_shared<Flight>(executor, limits);
  seat.watcher = seat.flight->join(executor, false);
  seat.leads = true;
  return seat;
}

void FlightTable::erase(const base::Hash128& key, const Flight* flight) {
  Shard& home = shard(key);
  const std::lock_guard lock(home.mutex);
  const auto found = home.flights.find(key);
  // A newer flight may have this key already; the closing one is alive while it says so.
  if (found != home.flights.end() && found->second.lock().get() == flight) home.flights.erase(found);
}

size_t FlightTable::size() const {
  size_t total = 0;
  for (const Shard& one : shards_) {
    const std::lock_guard lock(one.mutex);
    total += one.flights.size();
  }
  return total;
}

}  // namespace enhanced_gptcache::proxy

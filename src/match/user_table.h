#pragma once
// Users and their taus: readers walk it pinned (base/epoch.h) and never wait; one writer at a time
// inserts, updates and drops the least recently updated.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::match {

/// Tau and its evidence. Readers look at `name` and `tau` only.
struct UserTau {
  std::string name;  // constant
  std::atomic<double> tau{0};
  // The writer's own.
  uint64_t samples = 0;        ///< updates of this user, ever
  uint64_t last_update = 0;    ///< number of the user's latest update among all
  uint64_t tenant_update = 0;  ///< the same among those of its tenant
  UserTau* newer = nullptr;
  UserTau* older = nullptr;
};

/// Thread rule: find() from any thread that holds an EpochGuard; everything else by one writer at a time.
class UserTable {
 public:
  explicit UserTable(size_t users_max);
  ~UserTable();
  UserTable(const UserTable&) = delete;
  UserTable& operator=(const UserTable&) = delete;

  const UserTau* find(std::string_view name) const;
  size_t size() const { return size_.load(std::memory_order_relaxed); }

  UserTau* find_to_write(std::string_view name) { return const_cast<UserTau*>(find(name)); }
  /// Adds a user who is not there, as the most recent one; drops the least recent when full.
  UserTau* insert(std::string_view name, double tau);
  /// Makes this user the most recent one.
  void touch(UserTau* user);
  bool erase(std::string_view name);
  void clear();
  UserTau* newest() { return newest_; }
  const UserTau* newest() const { return newest_; }
  const UserTau* oldest() const { return oldest_; }

 private:
  /// Open addressing, linear probing; a slot is empty, a tombstone or a user.
  struct Slots {
    explicit Slots(size_t n) : count(n), users(std::make_unique<std::atomic<UserTau*>[]>(n)) {}
    const size_t count;  // a power of two
    std::unique_ptr<std::atomic<UserTau*>[]> users;
  };

  size_t home(std::string_view name, const Slots& slots) const;
  void rebuild();
  void place(Slots& slots, UserTau* user);
  void link_newest(UserTau* user);
  void unlink(UserTau* user);

  const size_t users_max_;
  const base::SecretKey key_ = base::random_key();  // callers choose names: no aiming at one bucket
  std::atomic<Slots*> slots_;
  std::atomic<size_t> size_{0};
  size_t filled_ = 0;  // users and tombstones
  UserTau* newest_ = nullptr;
  UserTau* oldest_ = nullptr;
};

}  // namespace enhanced_gptcache::match

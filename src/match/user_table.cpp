#include "match/user_table.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/epoch.h"

namespace enhanced_gptcache::match {
namespace {

constexpr size_t kSlotsMin = 16;

/// Stands where a user was, so that probing goes on past it.
UserTau* tombstone() {
  static UserTau marker;
  return &marker;
}

}  // namespace

UserTable::UserTable(size_t users_max) : users_max_(users_max), slots_(new Slots(kSlotsMin)) {
  EGPTC_CHECK(users_max > 0);
}

UserTable::~UserTable() {
  for (UserTau* user = newest_; user != nullptr;) {
    UserTau* const next = user->older;
    delete user;
    user = next;
  }
  delete slots_.load(std::memory_order_acquire);
}

size_t UserTable::home(std::string_view name, const Slots& slots) const {
  return base::keyed_hash(key_, "tau user", {name}).low & (slots.count - 1);
}

const UserTau* UserTable::find(std::string_view name) const {
  if (size() == 0) return nullptr;  // no label yet: the usual case costs no hash
  const Slots& slots = *slots_.load(std::memory_order_acquire);
  for (size_t i = home(name, slots);; i = (i + 1) & (slots.count - 1)) {
    const UserTau* user = slots.users[i].load(std::memory_order_acquire);
    if (user == nullptr) return nullptr;
    if (user != tombstone() && user->name == name) return user;
  }
}

void UserTable::place(Slots& slots, UserTau* user) {
  size_t i = home(user->name, slots);
  while (slots.users[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & (slots.count - 1);
  slots.users[i].store(user, std::memory_order_release);
}

/// A fresh array without tombstones, at most a quarter full, for the users there are.
void UserTable::rebuild() {
  auto fresh = std::make_unique<Slots>(std::bit_ceil(std::max(kSlotsMin, (size() + 1) * 4)));
  for (UserTau* user = newest_; user != nullptr; user = user->older) place(*fresh, user);
  filled_ = size();
  const size_t bytes = sizeof(Slots) + fresh->count * sizeof(void*);
  base::epoch_retire(slots_.exchange(fresh.release(), std::memory_order_acq_rel), bytes);
}

UserTau* UserTable::insert(std::string_view name, double tau) {
  if (size() >= users_max_) erase(std::string(oldest_->name));
  if ((filled_ + 1) * 2 > slots_.load(std::memory_order_acquire)->count) rebuild();
  auto user = std::make_unique<UserTau>();
  user->name = name;
  user->tau.store(tau, std::memory_order_relaxed);
  UserTau* const added = user.release();
  link_newest(added);
  place(*slots_.load(std::memory_order_acquire), added);
  ++filled_;
  size_.fetch_add(1, std::memory_order_relaxed);
  return added;
}

bool UserTable::erase(std::string_view name) {
  Slots& slots = *slots_.load(std::memory_order_acquire);
  for (size_t i = home(name, slots);; i = (i + 1) & (slots.count - 1)) {
    UserTau* user = slots.users[i].load(std::memory_order_acquire);
    if (user == nullptr) return false;
    if (user == tombstone() || user->name != name) continue;
    slots.users[i].store(tombstone(), std::memory_order_release);
    unlink(user);
    size_.fetch_sub(1, std::memory_order_relaxed);
    base::epoch_retire(user, sizeof(UserTau) + user->name.capacity());
    return true;
  }
}

void UserTable::clear() {
  while (oldest_ != nullptr) erase(std::string(oldest_->name));
  rebuild();
}

void UserTable::touch(UserTau* user) {
  unlink(user);
  link_newest(user);
}

void UserTable::link_newest(UserTau* user) {
  user->newer = nullptr;
  user->older = newest_;
  if (newest_ != nullptr) newest_->newer = user;
  newest_ = user;
  if (oldest_ == nullptr) oldest_ = user;
}

void UserTable::unlink(UserTau* user) {
  (user->newer != nullptr ? user->newer->older : newest_) = user->older;
  (user->older != nullptr ? user->older->newer : oldest_) = user->newer;
}

}  // namespace enhanced_gptcache::match

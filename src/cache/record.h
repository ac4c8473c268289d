#pragma once
// One entry while it is in memory: the bytes of the store, read in place, and its places in the
// cache's tables, lists and heaps.

#include <atomic>
#include <memory>

#include "cache/indexed_heap.h"
#include "cache/intrusive_list.h"
#include "cache/vouchers.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "store/entry_codec.h"

namespace enhanced_gptcache::cache {

/// Thread rule: what Entry shows is immutable. `hits`, `used_us` and `live` are atomic; every other
/// field belongs to the structure named beside it and is guarded by that structure's lock.
class Record final : public Entry {
  // First, so that an exact hit touches few cache lines.
  const store::EntryBytes bytes_;

 public:
  /// `bytes` came from pack_entry or encode_entry. `id` is the id in the bytes.
  static std::shared_ptr<Record> make(store::EntryBytes bytes, const base::Hash128& id);
  explicit Record(store::EntryBytes bytes, const base::Hash128& id);

  std::string_view id() const override { return view().text(store::EntryText::kId); }
  std::string_view query() const override { return view().text(store::EntryText::kQuery); }
  std::string_view model() const override { return view().text(store::EntryText::kModel); }
  std::string_view name_space() const override { return view().text(store::EntryText::kNamespace); }
  std::string_view response_json() const override { return view().text(store::EntryText::kResponseJson); }
  std::string_view text() const override { return view().text(store::EntryText::kText); }
  std::string_view completion() const override { return view().text(store::EntryText::kCompletion); }
  std::string_view dialect() const override { return view().text(store::EntryText::kDialect); }
  int64_t created_ms() const override { return view().created_ms(); }
  int64_t expires_ms() const override { return view().expires_ms(); }
  std::vector<std::string_view> tags() const override { return view().list(store::EntryText::kTags); }
  std::string_view subject() const override { return view().text(store::EntryText::kSubject); }
  bool semantic() const override { return is_indexed; }
  uint64_t hits() const override { return hit_count.load(std::memory_order_relaxed); }
  uint64_t tokens_prompt() const override { return view().tokens_prompt(); }
  uint64_t tokens_completion() const override { return view().tokens_completion(); }

  double latency_ms() const override { return view().latency_ms(); }

  /// What it shows of an indexed entry has no embedding (that is with the index), and often no model epoch.
  store::EntryView view() const { return store::EntryView::trusted(bytes_.view()); }
  std::string_view tenant() const { return view().text(store::EntryText::kTenant); }
  std::string_view principal() const { return view().text(store::EntryText::kPrincipal); }
  const base::Hash128& id_hash() const { return id_hash_; }
  base::Hash128 exact_key() const { return view().exact_key(); }
  bool is_expired(int64_t now_ms) const { return expires_ms() != 0 && expires_ms() <= now_ms; }
  /// Real bytes of this record alone: the block, this object, allocator overhead.
  size_t bytes() const;

  /// A reference of its own, for whoever is pinned or holds a lock under which the record is linked.
  std::shared_ptr<Record> shared() const { return owner; }
  /// Hands the cache's own reference to the epoch: the record is unlinked everywhere.
  static void retire(Record& record);

  mutable std::atomic<int64_t> used_us{0};  ///< last use, monotonic clock
  mutable std::atomic<uint64_t> hit_count{0};
  mutable Vouchers vouchers;
  std::shared_ptr<Record> owner;           ///< the cache's reference, from insertion to retire()
  uint64_t sequence = 0;                   ///< grows with every insertion; set once
  ListHook<Record> in_tenant;              ///< Scopes
  ListHook<Record> in_namespace;           ///< Scopes
  uint32_t place_in_recency = kNotInHeap;  ///< Ledger
  uint32_t place_in_expiry = kNotInHeap;   ///< Ledger
  uint32_t place_in_tenant = kNotInHeap;   ///< Scopes
  uint32_t place_in_load = kNotInHeap;     ///< where its vector waits for the index, at start
  std::atomic<bool> live{false};           ///< true while stored; written under the key's stripe lock
  bool is_indexed = false;                 ///< a partition holds its vector; set once, before it is found

 private:
  const base::Hash128 id_hash_;
};

using RecordPtr = std::shared_ptr<Record>;

}  // namespace enhanced_gptcache::cache

#pragma once
// The last decisions by request id, so that feedback can name one. A fixed ring of fixed-size slots
// written without locks; an id carries its slot number and a keyed tag, so that nobody can guess one.

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/keyed_hash.h"
#include "cache/keys.h"

namespace enhanced_gptcache::cache {

/// The first candidates of a miss, by a part of their ids; 0 is none.
using CandidateTags = std::array<uint32_t, 8>;
inline uint32_t candidate_tag(const base::Hash128& entry_id) {
  return std::max<uint32_t>(1, static_cast<uint32_t>(entry_id.low));
}

/// What feedback needs to know of a decision: hashes only, no text.
struct Decision {
  /// kWithheld: would have been a semantic hit, but shadow mode or serve_percent kept it back.
  enum class Kind : uint32_t { kMiss, kExactHit, kSemanticHit, kWithheld };
  Kind kind = Kind::kMiss;
  base::Hash128 tenant;
  std::array<uint64_t, 2> tau_user{};  ///< Keys::tau_user
  base::Hash128 entry_id;              ///< of a hit
  base::Hash128 partition;             ///< of a semantic or withheld hit, or a miss that a threshold caused
  double logit = 0;                    ///< the same: stated log odds of its answer being right
  uint64_t principal = 0;              ///< whose credential it was made with; 0: none
  CandidateTags candidates{};  ///< of a miss: those at or above the similarity threshold, nearest first

  bool is_hit() const { return kind == Kind::kExactHit || kind == Kind::kSemanticHit; }
};

/// Thread rule: any thread; record() and find() wait for nobody.
class RecentDecisions {
 public:
  explicit RecentDecisions(const Keys& keys) : keys_(keys), slots_(std::make_unique<Slot[]>(kSlots)) {}

  /// The id under which it is found until kSlots later decisions were recorded.
  std::string record(const Decision& decision);
  /// Empty: no such id, forged, or too old.
  std::optional<Decision> find(std::string_view request_id) const;
  /// The request id of the newest hit of this user on this entry that nobody has judged yet. Reads them all.
  std::optional<std::string> find_unjudged_hit(const std::array<uint64_t, 2>& tau_user,
                                               const base::Hash128& entry_id) const;
  /// True for the first caller only: a decision is judged once.
  bool claim(std::string_view request_id);
  bool is_claimed(std::string_view request_id) const;
  static size_t bytes() { return kSlots * sizeof(Slot); }

 private:
  static constexpr size_t kSlots = 8192;
  static constexpr size_t kWords = 15;
  static constexpr uint64_t kWriting = ~uint64_t{0};
  /// `number` is kWriting while the words are being written.
  struct Slot {
    std::atomic<uint64_t> number{0};
    std::array<std::atomic<uint64_t>, kWords> words{};
    std::atomic<uint64_t> judged{0};  ///< number of the decision that was judged here last
  };

  std::optional<Decision> read(uint64_t number) const;
  static void publish(Slot& slot, uint64_t number, const std::array<uint64_t, kWords>& words);
  /// 0 when the id was not given out by this instance.
  uint64_t number_of(std::string_view request_id) const;

  const Keys& keys_;
  const std::unique_ptr<Slot[]> slots_;
  std::atomic<uint64_t> last_{0};
};

}  // namespace enhanced_gptcache::cache

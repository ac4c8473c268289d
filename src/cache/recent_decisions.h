#pragma once
// The last decisions by request id, so that feedback can name one. A fixed ring of fixed-size slots
// written without locks; an id carries its slot number and a keyed tag, so that nobody can guess one.

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/keyed_hash.h"
#include "cache/keys.h"

namespace enhanced_gptcache::cache {

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
};

/// Thread rule: any thread; record() and find() wait for nobody.
class RecentDecisions {
 public:
  explicit RecentDecisions(const Keys& keys) : keys_(keys), slots_(std::make_unique<Slot[]>(kSlots)) {}

  /// The id under which it is found until kSlots later decisions were recorded.
  std::string record(const Decision& decision);
  /// Empty: no such id, forged, or too old.
  std::optional<Decision> find(std::string_view request_id) const;
  /// True for the first caller only: a decision is judged once.
  bool claim(std::string_view request_id);
  bool is_claimed(std::string_view request_id) const;
  static size_t bytes() { return kSlots * sizeof(Slot); }

 private:
  static constexpr size_t kSlots = 8192;
  static constexpr size_t kWords = 10;
  static constexpr uint64_t kWriting = ~uint64_t{0};
  /// `number` is kWriting while the words are being written.
  struct Slot {
    std::atomic<uint64_t> number{0};
    std::array<std::atomic<uint64_t>, kWords> words{};
    std::atomic<uint64_t> judged{0};  ///< number of the decision that was judged here last
  };

  static void publish(Slot& slot, uint64_t number, const std::array<uint64_t, kWords>& words);
  /// 0 when the id was not given out by this instance.
  uint64_t number_of(std::string_view request_id) const;

  const Keys& keys_;
  const std::unique_ptr<Slot[]> slots_;
  std::atomic<uint64_t> last_{0};
};

}  // namespace enhanced_gptcache::cache

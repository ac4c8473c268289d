#pragma once
// Counters that threads bump without meeting: each thread adds to one of a few cache lines, a reader
// adds them up.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace enhanced_gptcache::cache {

enum class Count : uint8_t {
  kExactHits,
  kExactMisses,
  kSemanticHits,
  kSemanticMisses,
  kStores,
  kStoreRefused,
  kStorageRefused,
  kPersonalSkipped,   ///< not stored, because of Options::privacy
  kLopsided,          ///< another's candidate, far longer than the question, was passed over
  kInjections,        ///< stored for exact match only: the question dictates an answer
  kPersonalRedacted,  ///< stored without the question's text
  kEvictionsSize,
  kEvictionsExpired,
  kEvictionsQuota,  ///< of a tenant over its quota
  kRemovals,
  kFlightsJoined,
  kEmbedFailures,
  kEmbedOverloads,  ///< not embedded for want of time, which is no failure of the model
  kLabelRight0,     ///< first of three, indexed by LabelSource
  kLabelRightLast = kLabelRight0 + 2,
  kLabelWrong0,
  kLabelWrongLast = kLabelWrong0 + 2,
  kModelErrorMicros,  ///< millionths of a wrong hit, by the stated probability
  kVerifiedDecisions,
  kPairEncoderDecisions,
  kVerifierUnavailable,  ///< semantic lookups not made, because its artifact cannot be used
  kMissReason0,          ///< first of nine, indexed by MissReason
  kMissReasonLast = kMissReason0 + 8,
  kCount,
};

/// Thread rule: any thread.
class Counters {
 public:
  void add(Count count, uint64_t n = 1) {
    rows_[row()].values[static_cast<size_t>(count)].fetch_add(n, std::memory_order_relaxed);
  }
  uint64_t sum(Count count) const {
    uint64_t total = 0;
    for (const Row& row : rows_)
      total += row.values[static_cast<size_t>(count)].load(std::memory_order_relaxed);
    return total;
  }

 private:
  static constexpr size_t kRows = 16;
  struct alignas(64) Row {
    std::array<std::atomic<uint64_t>, static_cast<size_t>(Count::kCount)> values{};
  };
  static size_t row() {
    static std::atomic<size_t> threads{0};
    thread_local const size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kRows;
    return mine;
  }

  std::array<Row, kRows> rows_;
};

}  // namespace enhanced_gptcache::cache

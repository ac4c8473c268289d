#pragma once
// How judged decisions fell by the probability that was stated when they were made. A fixed grid of counts
// since the start: no text, no tenant, no names.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::cache {

/// Decisions with a stated probability in [i / kBins, (i + 1) / kBins).
struct LabelBin {
  std::array<uint64_t, kLabelSources> right{}, wrong{};  ///< semantic hits, served or withheld
  uint64_t lost = 0;  ///< misses below the threshold that a caller says should have been hits
};

/// Thread rule: any thread; a reader may see a label that is a moment newer than another.
class LabelScores {
 public:
  static constexpr size_t kBins = 100;

  void add(double probability, LabelSource source, bool correct) {
    Cell& cell = cells_[bin_of(probability)];
    auto& counts = correct ? cell.right : cell.wrong;
    counts[static_cast<size_t>(source)].fetch_add(1, std::memory_order_relaxed);
  }
  void add_lost(double probability) {
    cells_[bin_of(probability)].lost.fetch_add(1, std::memory_order_relaxed);
  }

  /// kBins of them, by rising probability.
  std::vector<LabelBin> bins() const {
    std::vector<LabelBin> bins(kBins);
    for (size_t i = 0; i < kBins; ++i) {
      for (size_t source = 0; source < kLabelSources; ++source) {
        bins[i].right[source] = cells_[i].right[source].load(std::memory_order_relaxed);
        bins[i].wrong[source] = cells_[i].wrong[source].load(std::memory_order_relaxed);
      }
      bins[i].lost = cells_[i].lost.load(std::memory_order_relaxed);
    }
    return bins;
  }

  /// NaN counts as 0.
  static size_t bin_of(double probability) {
    const double place = probability > 0 ? std::min(probability, 1.0) * kBins : 0;
    return std::min(static_cast<size_t>(place), kBins - 1);
  }

 private:
  struct Cell {
    std::array<std::atomic<uint64_t>, kLabelSources> right{}, wrong{};
    std::atomic<uint64_t> lost{0};
  };
  std::array<Cell, kBins> cells_;
};

}  // namespace enhanced_gptcache::cache

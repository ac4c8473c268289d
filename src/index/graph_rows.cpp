#include "index/graph_rows.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "index/rounding.h"

namespace enhanced_gptcache::index {
namespace {

constexpr float kValueMax = 127;
constexpr size_t kHugePage = size_t{2} << 20U;

size_t up_to(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

struct Sums {
  float largest = 0;
  double absolutes = 0, squares = 0;
};

/// In lanes: with one sum, each addition waits for the one before.
Sums sums_of(std::span<const float> vector) {
  constexpr size_t kLanes = 8;
  Sums lanes[kLanes];
  const auto add = [&vector](Sums& sums, size_t i) {
    const float absolute = std::fabs(vector[i]);
    sums.largest = std::max(sums.largest, absolute);
    sums.absolutes += absolute;
    sums.squares += static_cast<double>(absolute) * absolute;
  };
  size_t i = 0;
  for (; i + kLanes <= vector.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) add(lanes[lane], i + lane);
  for (; i < vector.size(); ++i) add(lanes[0], i);
  Sums all;
  for (const Sums& lane : lanes) {
    all.largest = std::max(all.largest, lane.largest);
    all.absolutes += lane.absolutes;
    all.squares += lane.squares;
  }
  return all;
}

/// A bit for each number above zero. Without a branch: half of the guesses would be wrong.
void write_signs(std::span<const float> vector, uint8_t* signs) {
  for (size_t i = 0; i < vector.size(); i += 8) {
    unsigned byte = 0;
    for (size_t bit = 0; bit < std::min<size_t>(8, vector.size() - i); ++bit)
      byte |= static_cast<unsigned>(vector[i + bit] > 0) << bit;
    signs[i / 8] = static_cast<uint8_t>(byte);
  }
}

}  // namespace

GraphRows::GraphRows(size_t dimensions)
    : row_bytes_(padded_length(dimensions)),
      sign_length_(dimensions < kSignsFrom ? 0 : up_to(dimensions, kSignPad)),
      head_bytes_(sign_length_ == 0 ? sizeof(Head) : up_to(sizeof(Head) + sign_length_ / 8, kLine)),
      links_at_(kSegmentRows * head_bytes_),
      vectors_at_(links_at_ + kSegmentRows * kLinksMax * sizeof(std::atomic<uint32_t>)) {}

GraphRows::~GraphRows() {
  for (auto& segment : segments_) std::free(segment.load(std::memory_order_acquire));
}

void GraphRows::add_segment(size_t index) {
  const size_t bytes = up_to(vectors_at_ + kSegmentRows * row_bytes_, kLine);
  // A walk jumps from row to row: with small pages, each jump would be a miss of the translation buffer, too.
  const bool is_large = bytes >= kHugePage;
  // Not aligned_alloc, which wants a multiple of the alignment.
  void* place = nullptr;
  EGPTC_CHECK(::posix_memalign(&place, is_large ? kHugePage : kLine, bytes) == 0);
  auto* const memory = static_cast<std::byte*>(place);
  // Advice: without huge pages it is slower and no less right.
  if (is_large) ::madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  for (size_t i = 0; i < kSegmentRows; ++i) new (memory + i * head_bytes_) Head{kDeadLabel, 0, 0};
  for (size_t i = 0; i < kSegmentRows * kLinksMax; ++i)
    new (memory + links_at_ + i * sizeof(std::atomic<uint32_t>)) std::atomic<uint32_t>(kNoRow);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  segments_[index].store(memory, std::memory_order_release);
}

uint32_t GraphRows::append() {
  const uint32_t row = used_.load(std::memory_order_relaxed);
  EGPTC_CHECK(!is_full());
  if (at(row) == 0) add_segment(row / kSegmentRows);
  used_.store(row + 1, std::memory_order_release);
  return row;
}

void GraphRows::fill(uint32_t row, std::span<const float> vector) {
  Head& place = head(row);
  std::byte* bytes = segment(row) + vectors_at_ + at(row) * row_bytes_;
  auto* signs = reinterpret_cast<uint8_t*>(&place) + sizeof(Head);
  std::memset(bytes, 0, row_bytes_);
  std::memset(signs, 0, sign_length_ / 8);
  place.scale = 0;
  place.sign_scale = 0;
  const Sums sums = sums_of(vector);
  // A vector that is not finite is stored as zeros: no search with a positive floor finds it.
  if (!std::isfinite(sums.squares) || sums.largest <= 0) return;
  const float inverse = kValueMax / sums.largest;
  auto* out = reinterpret_cast<int8_t*>(bytes);
  for (size_t i = 0; i < vector.size(); ++i) out[i] = static_cast<int8_t>(rounded(vector[i] * inverse));
  place.scale = sums.largest / kValueMax;
  if (sign_length_ == 0) return;
  write_signs(vector, signs);
  place.sign_scale = static_cast<float>(sums.squares / sums.absolutes);
}

void GraphRows::set_links(uint32_t row, std::span<const uint32_t> links) {
  std::atomic<uint32_t>* list = this->links(row);
  // A walk steps on to a linked row without asking used(). With a relaxed store a processor with a weak
  // memory order may show the link before the pointer to a segment that was added for the new row.
  for (size_t i = 0; i < kLinksMax; ++i)
    list[i].store(i < links.size() ? links[i] : kNoRow, std::memory_order_release);
}

}  // namespace enhanced_gptcache::index

#include "index/graph_rows.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"

namespace enhanced_gptcache::index {
namespace {

constexpr float kValueMax = 127;
constexpr size_t kHugePage = size_t{2} << 20U;

size_t up_to(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

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
  float largest = 0;
  double absolutes = 0;
  double squares = 0;
  for (const float value : vector) {
    largest = std::max(largest, std::fabs(value));
    absolutes += std::fabs(value);
    squares += static_cast<double>(value) * value;
  }
  // A vector that is not finite is stored as zeros: no search with a positive floor finds it.
  if (!std::isfinite(squares) || largest <= 0) return;
  const float inverse = kValueMax / largest;
  auto* out = reinterpret_cast<int8_t*>(bytes);
  for (size_t i = 0; i < vector.size(); ++i) out[i] = static_cast<int8_t>(std::lrint(vector[i] * inverse));
  place.scale = largest / kValueMax;
  if (sign_length_ == 0) return;
  for (size_t i = 0; i < vector.size(); ++i) {
    if (vector[i] > 0) signs[i / 8] = static_cast<uint8_t>(signs[i / 8] | 1U << i % 8);
  }
  place.sign_scale = static_cast<float>(squares / absolutes);
}

void GraphRows::set_links(uint32_t row, std::span<const uint32_t> links) {
  std::atomic<uint32_t>* list = this->links(row);
  for (size_t i = 0; i < kLinksMax; ++i)
    list[i].store(i < links.size() ? links[i] : kNoRow, std::memory_order_relaxed);
}

}  // namespace enhanced_gptcache::index

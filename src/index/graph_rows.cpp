#include "index/graph_rows.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"

namespace enhanced_gptcache::index {
namespace {

constexpr size_t kLine = 64;
constexpr float kValueMax = 127;

}  // namespace

void GraphRows::Segment::Free::operator()(std::byte* memory) const { std::free(memory); }

GraphRows::~GraphRows() {
  for (auto& segment : segments_) delete segment.load(std::memory_order_acquire);
}

void GraphRows::add_segment(size_t index) {
  constexpr size_t kLabelBytes = kSegmentRows * sizeof(std::atomic<uint64_t>);
  constexpr size_t kScaleBytes = kSegmentRows * sizeof(float);
  constexpr size_t kLinkBytes = kSegmentRows * kLinksMax * sizeof(std::atomic<uint32_t>);
  const size_t bytes = kLabelBytes + kScaleBytes + kLinkBytes + kSegmentRows * row_bytes_;
  auto made = std::make_unique<Segment>();
  made->memory.reset(static_cast<std::byte*>(std::aligned_alloc(kLine, (bytes + kLine - 1) / kLine * kLine)));
  std::byte* place = made->memory.get();
  EGPTC_CHECK(place != nullptr);
  made->labels = reinterpret_cast<std::atomic<uint64_t>*>(place);
  made->scales = reinterpret_cast<float*>(place + kLabelBytes);
  made->links = reinterpret_cast<std::atomic<uint32_t>*>(place + kLabelBytes + kScaleBytes);
  made->vectors = reinterpret_cast<int8_t*>(place + kLabelBytes + kScaleBytes + kLinkBytes);
  for (size_t i = 0; i < kSegmentRows; ++i) new (made->labels + i) std::atomic<uint64_t>(kDeadLabel);
  for (size_t i = 0; i < kSegmentRows * kLinksMax; ++i) new (made->links + i) std::atomic<uint32_t>(kNoRow);
  bytes_.fetch_add(bytes + sizeof(Segment), std::memory_order_relaxed);
  segments_[index].store(made.release(), std::memory_order_release);
}

uint32_t GraphRows::append() {
  const uint32_t row = used_.load(std::memory_order_relaxed);
  EGPTC_CHECK(!is_full());
  if (at(row) == 0) add_segment(row / kSegmentRows);
  used_.store(row + 1, std::memory_order_release);
  return row;
}

void GraphRows::fill(uint32_t row, std::span<const float> vector) {
  const Segment& place = segment(row);
  int8_t* out = place.vectors + at(row) * row_bytes_;
  std::memset(out, 0, row_bytes_);
  float largest = 0;
  bool is_finite = true;
  for (const float value : vector) {
    largest = std::max(largest, std::fabs(value));
    is_finite = is_finite && std::isfinite(value);
  }
  // A vector that is not finite is stored as zeros: no search with a positive floor finds it.
  if (!is_finite || largest <= 0) {
    place.scales[at(row)] = 0;
    return;
  }
  const float inverse = kValueMax / largest;
  for (size_t i = 0; i < vector.size(); ++i) out[i] = static_cast<int8_t>(std::lrint(vector[i] * inverse));
  place.scales[at(row)] = largest / kValueMax;
}

void GraphRows::set_links(uint32_t row, std::span<const uint32_t> links) {
  std::atomic<uint32_t>* list = segment(row).links + at(row) * kLinksMax;
  for (size_t i = 0; i < kLinksMax; ++i)
    list[i].store(i < links.size() ? links[i] : kNoRow, std::memory_order_relaxed);
}

}  // namespace enhanced_gptcache::index

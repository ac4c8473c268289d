#include "index/flat_index.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/epoch.h"
#include "index/dot.h"
#include "index/prepared_query.h"

namespace enhanced_gptcache::index {
namespace {

constexpr size_t kChunkRowsMax = 1024;
/// A chunk is this share of what is there already: little over-allocation, few chunks.
constexpr size_t kGrowthDivisor = 4;
/// Rows scored between two looks at the best so far.
constexpr size_t kBlockRows = 64;
/// Fewer live rows than a quarter of the places: the index is rewritten compactly.
constexpr size_t kSparseDivisor = 4;
constexpr size_t kSparseRowsMin = 16;

/// Scores `labels.size()` neighbouring live rows from `first` on. A row's coarse score differs from
/// the true one by at most residual * |query| + error of the query (Cauchy-Schwarz, the row has
/// length 1), so a row that cannot reach the floor even so is skipped without loss: the search stays
/// exact.
void score_rows(const Chunk& chunk, size_t first, std::span<const uint64_t> labels,
                const PreparedQuery& query, float similarity_min, Best& best) {
  std::array<int32_t, kBlockRows> sums;
  std::array<float, kBlockRows> most;
  const DotKernels& kernels = dot_kernels();
  kernels.sweep(query.fine.data(), chunk.high(first), chunk.row_bytes(), labels.size(), sums.data());
  constexpr float kRounding = 1e-5F;      // of the float arithmetic in this function
  constexpr float kRowLengthMax = 1.05F;  // of the high plane of a unit vector, with room
  const float unit = 256.0F * query.fine_scale;
  const float room = kRowLengthMax * query.fine_error + kRounding;
  // Apart from the loop below, so that the compiler makes vectors of it.
  for (size_t i = 0; i < labels.size(); ++i)
    most[i] = static_cast<float>(sums[i]) * unit * chunk.scale(first + i) +
              chunk.residual(first + i) * query.length + room;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (most[i] < best.floor()) continue;
    const size_t row = first + i;
    const float sum = kernels.rescore(query.exact.data(), chunk.high(row), chunk.low(row), chunk.row_bytes());
    // Fixed point may round a cosine of 1 up a little; callers are promised [-1, 1].
    best.offer({labels[i], std::clamp(sum * chunk.scale(row), -1.0F, 1.0F)}, similarity_min);
  }
}

/// Of the nearest by estimate, how many are compared in full.
constexpr size_t kRefined = 96;
/// The standard error of an estimate is about 0.04 at 384 dimensions; a row this much below the floor is not
/// looked at again.
constexpr float kEstimateRoom = 0.3F;

struct EstimatedRow {
  float estimate;
  uint32_t row;
  const Chunk* chunk;
  uint64_t label;
};

/// The kRefined rows with the highest estimates. Candidates gather behind them until there are as many again;
/// then the lower half goes. That takes a tenth of the time of a heap, which would move with each.
class Nearby {
 public:
  explicit Nearby(float estimate_min) : floor_(estimate_min) { rows_.reserve(2 * kRefined); }

  void estimate(const Chunk& chunk, size_t first, std::span<const uint64_t> labels,
                const PreparedQuery& query) {
    std::array<int32_t, kBlockRows> sums;
    std::array<float, kBlockRows> estimates;
    dot_kernels().sweep_signs(query.fine.data(), chunk.signs(first), chunk.sign_length(), labels.size(),
                              sums.data());
    for (size_t i = 0; i < labels.size(); ++i)
      estimates[i] =
          static_cast<float>(2 * sums[i] - query.fine_sum) * query.fine_scale * chunk.sign_scale(first + i);
    for (size_t i = 0; i < labels.size(); ++i) {
      if (estimates[i] <= floor_) continue;
      rows_.push_back({estimates[i], static_cast<uint32_t>(first + i), &chunk, labels[i]});
      if (rows_.size() == 2 * kRefined) drop_lower();
    }
  }
  /// Highest estimate first.
  std::span<const EstimatedRow> sorted() {
    if (rows_.size() > kRefined) drop_lower();
    std::sort(rows_.begin(), rows_.end(), is_higher);
    return rows_;
  }

 private:
  static bool is_higher(const EstimatedRow& a, const EstimatedRow& b) { return a.estimate > b.estimate; }
  void drop_lower() {
    const auto last = rows_.begin() + kRefined - 1;
    std::nth_element(rows_.begin(), last, rows_.end(), is_higher);
    floor_ = last->estimate;
    rows_.resize(kRefined);
  }

  float floor_;
  std::vector<EstimatedRow> rows_;
};

/// Calls `score(first, labels)` for the live rows of [first, first + count). Labels are read first, because
/// the bytes of a dead row may be written to at any moment; the live rows between the dead ones are then
/// scored together.
template <typename Score>
void for_live_rows(const Chunk& chunk, size_t first, size_t count, const Score& score) {
  std::array<uint64_t, kBlockRows> labels;
  for (size_t i = 0; i < count; ++i) labels[i] = chunk.label(first + i);
  size_t begin = 0;
  while (begin < count) {
    size_t end = begin;
    while (end < count && labels[end] != kDeadLabel) ++end;
    if (end > begin) score(first + begin, std::span<const uint64_t>(labels).subspan(begin, end - begin));
    begin = end + 1;
  }
}

template <typename Visit>
void for_blocks(const Chunk* chunk, const Visit& visit) {
  for (; chunk != nullptr; chunk = chunk->next()) {
    const size_t used = chunk->used();
    for (size_t first = 0; first < used; first += kBlockRows)
      visit(*chunk, first, std::min(kBlockRows, used - first));
  }
}

/// Reads the signs of every row and the vectors of the nearest by them only.
void search_by_signs(const Chunk* head, const PreparedQuery& query, float similarity_min, Best& best) {
  Nearby nearby(similarity_min - kEstimateRoom);
  for_blocks(head, [&](const Chunk& chunk, size_t first, size_t count) {
    for_live_rows(chunk, first, count, [&](size_t row, std::span<const uint64_t> labels) {
      nearby.estimate(chunk, row, labels, query);
    });
  });
  constexpr size_t kAhead = 4;
  const std::span<const EstimatedRow> rows = nearby.sorted();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i + kAhead < rows.size()) {
      const EstimatedRow& later = rows[i + kAhead];
      for (size_t at = 0; at < later.chunk->row_bytes(); at += 64)
        __builtin_prefetch(later.chunk->high(later.row) + at);
    }
    score_rows(*rows[i].chunk, rows[i].row, {&rows[i].label, 1}, query, similarity_min, best);
  }
}

}  // namespace

FlatIndex::FlatIndex(size_t dimensions) : dimensions_(dimensions) {
  EGPTC_CHECK(dimensions > 0 && dimensions <= kDimensionsMax);
}

FlatIndex::~FlatIndex() { free_chain(head_.load(std::memory_order_acquire)); }

void FlatIndex::free_chain(Chunk* chunk) {
  while (chunk != nullptr) {
    Chunk::Ptr owned(chunk);
    chunk = chunk->next();
  }
}

bool FlatIndex::reuse_dead_row(uint64_t label, std::span<const float> vector) {
  if (dead_first_ == dead_.size() || !base::epoch_passed(dead_[dead_first_].stamp)) return false;
  const DeadRow& place = dead_[dead_first_];
  place.chunk->publish(place.row, label, vector);
  ++dead_first_;
  if (dead_first_ == dead_.size() || dead_first_ >= 256) {
    dead_.erase(dead_.begin(), dead_.begin() + static_cast<std::ptrdiff_t>(dead_first_));
    dead_first_ = 0;
  }
  return true;
}

Chunk* FlatIndex::grow(size_t rows_there) {
  const size_t capacity = std::clamp<size_t>(rows_there / kGrowthDivisor, 1, kChunkRowsMax);
  Chunk* fresh = Chunk::create(capacity, padded_length(dimensions_)).release();
  places_ += capacity;
  chunk_bytes_ += fresh->bytes();
  account();
  if (tail_ == nullptr)
    head_.store(fresh, std::memory_order_release);
  else
    tail_->set_next(fresh);
  tail_ = fresh;
  return fresh;
}

void FlatIndex::add(uint64_t label, std::span<const float> vector) {
  EGPTC_CHECK(vector.size() == dimensions_ && label != kDeadLabel);
  if (!reuse_dead_row(label, vector)) {
    Chunk* chunk = tail_;
    if (chunk == nullptr || chunk->used() == chunk->capacity()) chunk = grow(places_);
    const size_t row = chunk->used();
    chunk->publish(row, label, vector);
    chunk->set_used(row + 1);
  }
  size_.fetch_add(1, std::memory_order_relaxed);
}

bool FlatIndex::find_near(uint64_t label, Chunk*& chunk, size_t& row) const {
  if (found_in_ == nullptr) return false;
  const size_t used = found_in_->used();
  for (const size_t near : {found_at_ + 1, found_at_ - 1}) {
    if (near >= used || found_in_->label(near) != label) continue;
    chunk = found_in_;
    row = near;
    return true;
  }
  return false;
}

bool FlatIndex::find(uint64_t label, Chunk*& chunk, size_t& row) const {
  if (find_near(label, chunk, row)) return true;
  for (chunk = head_.load(std::memory_order_acquire); chunk != nullptr; chunk = chunk->next()) {
    const size_t used = chunk->used();
    for (row = 0; row < used; ++row) {
      if (chunk->label(row) == label) return true;
    }
  }
  return false;
}

bool FlatIndex::remove(uint64_t label) {
  Chunk* chunk = nullptr;
  size_t row = 0;
  if (label == kDeadLabel || !find(label, chunk, row)) return false;
  chunk->kill(row);
  const size_t left = size_.fetch_sub(1, std::memory_order_relaxed) - 1;
  const bool sparse = left == 0 || (places_ >= kSparseRowsMin && left < places_ / kSparseDivisor);
  if (sparse) {
    rewrite();
  } else if (is_first_spent(chunk, row)) {
    drop_first();
  } else {
    dead_.push_back({chunk, row, base::epoch_stamp()});
  }
  account();
  return true;
}

/// Rows that move into a graph leave in their order: whole chunks are empty long before the index is sparse.
bool FlatIndex::is_first_spent(const Chunk* chunk, size_t row) const {
  if (chunk != head_.load(std::memory_order_relaxed) || chunk == tail_ || row + 1 != chunk->used())
    return false;
  for (size_t i = 0; i < row; ++i) {
    if (chunk->label(i) != kDeadLabel) return false;
  }
  return true;
}

void FlatIndex::drop_first() {
  found_in_ = nullptr;
  Chunk* const old = head_.load(std::memory_order_relaxed);
  head_.store(old->next(), std::memory_order_release);
  places_ -= old->capacity();
  chunk_bytes_ -= old->bytes();
  dead_.erase(dead_.begin(), dead_.begin() + static_cast<std::ptrdiff_t>(dead_first_));
  dead_first_ = 0;
  std::erase_if(dead_, [&](const DeadRow& dead) { return dead.chunk == old; });
  base::epoch_retire(
      old, [](void* memory) { Chunk::Free()(static_cast<Chunk*>(memory)); }, old->bytes());
}

/// Copies the live rows into one chain of just the right size and retires the old one: after a
/// flush or a mass expiry the memory goes back.
void FlatIndex::rewrite() {
  found_in_ = nullptr;
  Chunk* const old = head_.load(std::memory_order_acquire);
  Chunk* fresh_head = nullptr;
  Chunk* fresh_tail = nullptr;
  size_t left = size();
  places_ = 0;
  chunk_bytes_ = 0;
  for (const Chunk* from = old; from != nullptr; from = from->next()) {
    for (size_t row = 0; row < from->used(); ++row) {
      if (from->label(row) == kDeadLabel) continue;
      if (fresh_tail == nullptr || fresh_tail->used() == fresh_tail->capacity()) {
        const size_t capacity = std::min(left, kChunkRowsMax);
        Chunk* fresh = Chunk::create(capacity, padded_length(dimensions_)).release();
        if (fresh_tail == nullptr)
          fresh_head = fresh;
        else
          fresh_tail->set_next(fresh);
        fresh_tail = fresh;
        places_ += capacity;
        chunk_bytes_ += fresh->bytes();
      }
      fresh_tail->publish_copy(fresh_tail->used(), *from, row);
      fresh_tail->set_used(fresh_tail->used() + 1);
      --left;
    }
  }
  head_.store(fresh_head, std::memory_order_release);
  tail_ = fresh_tail;
  std::vector<DeadRow>().swap(dead_);
  dead_first_ = 0;
  for (Chunk* chunk = old; chunk != nullptr;) {
    Chunk* const next = chunk->next();
    base::epoch_retire(
        chunk, [](void* memory) { Chunk::Free()(static_cast<Chunk*>(memory)); }, chunk->bytes());
    chunk = next;
  }
}

void FlatIndex::search(const PreparedQuery& query, float similarity_min, Best& best) const {
  const Chunk* const head = head_.load(std::memory_order_acquire);
  // Looking for more than a few, or among a few: every vector is read.
  if (head != nullptr && head->sign_length() > 0 && size() >= kSignsFromRows && best.k() <= kRefined / 4)
    return search_by_signs(head, query, similarity_min, best);
  for_blocks(head, [&](const Chunk& chunk, size_t first, size_t count) {
    for_live_rows(chunk, first, count, [&](size_t row, std::span<const uint64_t> labels) {
      score_rows(chunk, row, labels, query, similarity_min, best);
    });
  });
}

void FlatIndex::read_row(const Chunk& chunk, size_t row, std::vector<float>& vector) const {
  vector.resize(dimensions_);
  for (size_t i = 0; i < dimensions_; ++i)
    vector[i] = static_cast<float>(256 * chunk.high(row)[i] + chunk.low(row)[i]) * chunk.scale(row);
}

bool FlatIndex::vector_of(uint64_t label, std::vector<float>& vector) const {
  Chunk* chunk = nullptr;
  size_t row = 0;
  if (label == kDeadLabel || !find(label, chunk, row)) return false;
  found_in_ = chunk;
  found_at_ = row;
  read_row(*chunk, row, vector);
  return true;
}

void FlatIndex::for_each(const VisitRow& visit) const {
  std::vector<float> vector;
  for (const Chunk* chunk = head_.load(std::memory_order_relaxed); chunk != nullptr; chunk = chunk->next()) {
    for (size_t row = 0; row < chunk->used(); ++row) {
      if (chunk->label(row) == kDeadLabel) continue;
      read_row(*chunk, row, vector);
      visit(chunk->label(row), vector);
    }
  }
}

bool FlatIndex::first(uint64_t& label, std::vector<float>& vector) const {
  for (const Chunk* chunk = head_.load(std::memory_order_relaxed); chunk != nullptr; chunk = chunk->next()) {
    for (size_t row = 0; row < chunk->used(); ++row) {
      label = chunk->label(row);
      if (label == kDeadLabel) continue;
      read_row(*chunk, row, vector);
      return true;
    }
  }
  return false;
}

}  // namespace enhanced_gptcache::index

#include "index/graph_index.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/epoch.h"
#include "index/dot.h"

namespace enhanced_gptcache::index {
namespace {

/// Breadth of a walk that looks for the nearest, and of one that looks for the links of a new row.
constexpr size_t kSearchBreadth = 160;
constexpr size_t kBuildBreadth = 160;
/// Links a new row is given; others may add theirs up to kLinksMax. A list that overflows is cut to
/// kLinksKept, so that not every further link costs a choice.
constexpr size_t kLinksWanted = 28;
constexpr size_t kLinksKept = 30;
/// Rows looked at to find where a walk starts, and how many of them it starts from.
constexpr size_t kSample = 128;
constexpr size_t kStarts = 3;
/// Rows a walk may look at: bounds its time, whatever the graph looks like.
constexpr size_t kVisitedMax = 12'000;

/// Set of row numbers of one walk.
class Visited {
 public:
  void clear() {
    slots_.fill(kNoRow);
    count_ = 0;
  }
  bool is_full() const { return count_ >= kVisitedMax; }
  /// False when it was there.
  bool insert(uint32_t row) {
    size_t slot = row * 0x9E3779B1U >> kShift;
    while (slots_[slot] != kNoRow) {
      if (slots_[slot] == row) return false;
      slot = (slot + 1) % kSlots;
    }
    slots_[slot] = row;
    ++count_;
    return true;
  }

 private:
  static constexpr size_t kSlots = 16'384;
  static constexpr unsigned kShift = 32 - 14;
  static_assert(kVisitedMax < kSlots);

  std::array<uint32_t, kSlots> slots_{};
  size_t count_ = 0;
};

}  // namespace

/// What one walk needs; kept by the thread, so that no search allocates.
struct GraphIndex::Walk {
  Visited visited;
  std::vector<Scored> open;   // heap, nearest in front
  std::vector<Scored> found;  // heap, farthest in front

  static Walk& of_this_thread() {
    static thread_local Walk walk;
    return walk;
  }
  bool is_worth(float similarity, size_t breadth) const {
    return found.size() < breadth || similarity > found.front().similarity;
  }
  void push(const Scored& scored, size_t breadth) {
    const auto farther = [](const Scored& a, const Scored& b) { return is_nearer(b, a); };
    open.push_back(scored);
    std::push_heap(open.begin(), open.end(), farther);
    if (found.size() == breadth) {
      std::pop_heap(found.begin(), found.end(), is_nearer);
      found.pop_back();
    }
    found.push_back(scored);
    std::push_heap(found.begin(), found.end(), is_nearer);
  }
  Scored pop() {
    const auto farther = [](const Scored& a, const Scored& b) { return is_nearer(b, a); };
    std::pop_heap(open.begin(), open.end(), farther);
    const Scored top = open.back();
    open.pop_back();
    return top;
  }
};

/// A row as a query. Its bytes fit 16-bit numbers as they are.
class GraphIndex::RowQuery {
 public:
  RowQuery(const GraphRows& rows, uint32_t row)
      : rows_(&rows),
        scale_(rows.scale(row)),
        coarse_(rows.vector(row), rows.vector(row) + rows.row_bytes()) {}
  float similarity(uint32_t row) const {
    int32_t sum = 0;
    dot_kernels().scan(coarse_.data(), rows_->vector(row), rows_->row_bytes(), 1, &sum);
    return static_cast<float>(sum) * scale_ * rows_->scale(row);
  }

 private:
  const GraphRows* rows_;
  float scale_;
  std::vector<int16_t> coarse_;
};

GraphIndex::GraphIndex(size_t dimensions) : dimensions_(dimensions), rows_(dimensions), table_(rows_) {
  account();
}

float GraphIndex::similarity(const PreparedQuery& query, uint32_t row) const {
  int32_t sum = 0;
  dot_kernels().scan(query.coarse.data(), rows_.vector(row), rows_.row_bytes(), 1, &sum);
  return static_cast<float>(sum) * query.coarse_scale * rows_.scale(row);
}

void GraphIndex::start(const PreparedQuery& query, size_t breadth, Walk& walk) const {
  const uint64_t used = rows_.used();
  const size_t count = std::min<uint64_t>(used, kSample);
  std::array<Scored, kSample> sample;
  size_t alive = 0;
  for (size_t i = 0; i < count; ++i) rows_.prefetch(static_cast<uint32_t>(i * used / count));
  for (size_t i = 0; i < count; ++i) {
    const auto row = static_cast<uint32_t>(i * used / count);
    if (rows_.is_alive(row)) sample[alive++] = {similarity(query, row), row};
  }
  const size_t starts = std::min(alive, kStarts);
  std::partial_sort(sample.begin(), sample.begin() + starts, sample.begin() + alive, is_nearer);
  for (size_t i = 0; i < starts; ++i) {
    walk.visited.insert(sample[i].row);
    walk.push(sample[i], breadth);
  }
}

void GraphIndex::expand(const PreparedQuery& query, uint32_t row, size_t breadth, Walk& walk) const {
  std::array<uint32_t, kLinksMax> fresh;
  size_t count = 0;
  for (size_t i = 0; i < kLinksMax; ++i) {
    const uint32_t link = rows_.link(row, i);
    if (link == kNoRow) break;
    if (!walk.visited.insert(link)) continue;
    rows_.prefetch(link);
    fresh[count++] = link;
  }
  for (size_t i = 0; i < count; ++i) {
    if (!rows_.is_alive(fresh[i])) continue;
    const Scored scored{similarity(query, fresh[i]), fresh[i]};
    if (!walk.is_worth(scored.similarity, breadth)) continue;
    rows_.prefetch_links(fresh[i]);
    walk.push(scored, breadth);
  }
}

std::span<const GraphIndex::Scored> GraphIndex::walk(const PreparedQuery& query, size_t breadth,
                                                     Walk& walk) const {
  walk.visited.clear();
  walk.open.clear();
  walk.found.clear();
  start(query, breadth, walk);
  while (!walk.open.empty() && !walk.visited.is_full()) {
    const Scored next = walk.pop();
    const bool is_settled = walk.found.size() == breadth && is_nearer(walk.found.front(), next);
    if (is_settled) break;
    expand(query, next.row, breadth, walk);
  }
  std::sort(walk.found.begin(), walk.found.end(), is_nearer);
  return walk.found;
}

void GraphIndex::search(const PreparedQuery& query, size_t k, float similarity_min, Best& best) const {
  if (size() == 0) return;
  for (const Scored& scored : walk(query, std::max(kSearchBreadth, 2 * k), Walk::of_this_thread())) {
    if (scored.similarity < similarity_min) break;
    const uint64_t label = rows_.label(scored.row);
    // Rounding to bytes may pass 1 a little; callers are promised [-1, 1].
    if (label != kDeadLabel) best.offer({label, std::clamp(scored.similarity, -1.0F, 1.0F)}, similarity_min);
  }
}

uint32_t GraphIndex::take_row() {
  if (dead_first_ < dead_.size() && base::epoch_passed(dead_[dead_first_].stamp)) {
    const uint32_t row = dead_[dead_first_++].row;
    if (dead_first_ * 2 >= dead_.size()) {
      dead_.erase(dead_.begin(), dead_.begin() + static_cast<std::ptrdiff_t>(dead_first_));
      dead_first_ = 0;
    }
    return row;
  }
  return rows_.is_full() ? kNoRow : rows_.append();
}

std::vector<uint32_t> GraphIndex::choose(std::span<const Scored> candidates, size_t wanted) const {
  std::vector<uint32_t> chosen;
  std::vector<RowQuery> queries;
  std::vector<uint32_t> hidden;
  queries.reserve(wanted);
  for (const Scored& candidate : candidates) {
    if (chosen.size() == wanted) break;
    const bool is_hidden = std::any_of(queries.begin(), queries.end(), [&](const RowQuery& nearer) {
      return nearer.similarity(candidate.row) >= candidate.similarity;
    });
    if (is_hidden) {
      hidden.push_back(candidate.row);
      continue;
    }
    chosen.push_back(candidate.row);
    queries.emplace_back(rows_, candidate.row);
  }
  for (const uint32_t row : hidden) {
    if (chosen.size() * 2 >= wanted) break;
    chosen.push_back(row);
  }
  return chosen;
}

std::vector<uint32_t> GraphIndex::links_of(uint32_t row) const {
  std::vector<uint32_t> links;
  for (size_t i = 0; i < kLinksMax && rows_.link(row, i) != kNoRow; ++i) {
    const uint32_t link = rows_.link(row, i);
    if (link != row && rows_.is_alive(link)) links.push_back(link);
  }
  return links;
}

bool GraphIndex::leads_to(uint32_t from, uint32_t to) const {
  for (size_t i = 0; i < kLinksMax && rows_.link(from, i) != kNoRow; ++i) {
    if (rows_.link(from, i) == to) return true;
  }
  return false;
}

void GraphIndex::relink(uint32_t row, std::span<const uint32_t> candidates, size_t wanted) {
  const RowQuery query(rows_, row);
  std::vector<Scored> scored;
  for (const uint32_t candidate : candidates) scored.push_back({query.similarity(candidate), candidate});
  std::sort(scored.begin(), scored.end(), is_nearer);
  rows_.set_links(row, choose(scored, wanted));
}

void GraphIndex::link_back(uint32_t from, uint32_t to) {
  if (leads_to(from, to)) return;
  std::vector<uint32_t> links = links_of(from);
  links.push_back(to);
  if (links.size() <= kLinksMax)
    rows_.set_links(from, links);
  else
    relink(from, links, kLinksKept);
}

bool GraphIndex::add(uint64_t label, std::span<const float> vector) {
  const uint32_t row = take_row();
  if (row == kNoRow) return false;
  rows_.fill(row, vector);
  const PreparedQuery query = prepare(vector);
  std::vector<uint32_t> links;
  if (query.length > 0 && size() > 0) {
    const base::EpochGuard pin;
    links = choose(walk(query, kBuildBreadth, Walk::of_this_thread()), kLinksWanted);
  }
  rows_.set_links(row, links);
  rows_.publish(row, label);
  table_.insert(row);
  size_.fetch_add(1, std::memory_order_relaxed);
  for (const uint32_t link : links) link_back(link, row);
  // However crowded the neighbourhood is, the nearest one leads here.
  if (!links.empty() && !leads_to(links.front(), row)) {
    std::vector<uint32_t> nearest = links_of(links.front());
    nearest.back() = row;
    rows_.set_links(links.front(), nearest);
  }
  account();
  return true;
}

bool GraphIndex::remove(uint64_t label) {
  const uint32_t row = label == kDeadLabel ? kNoRow : table_.find(label);
  if (row == kNoRow) return false;
  table_.erase(label);
  rows_.kill(row);
  size_.fetch_sub(1, std::memory_order_relaxed);
  const std::vector<uint32_t> neighbours = links_of(row);
  for (const uint32_t neighbour : neighbours) {
    if (!leads_to(neighbour, row)) continue;
    std::vector<uint32_t> candidates = links_of(neighbour);
    for (const uint32_t other : neighbours) {
      const bool is_known = std::find(candidates.begin(), candidates.end(), other) != candidates.end();
      if (other != neighbour && !is_known) candidates.push_back(other);
    }
    relink(neighbour, candidates, kLinksKept);
  }
  dead_.push_back({row, base::epoch_stamp()});
  account();
  return true;
}

bool GraphIndex::first(uint64_t& label, std::vector<float>& vector) {
  for (; first_ < rows_.used(); ++first_) {
    label = rows_.label(first_);
    if (label == kDeadLabel) continue;
    vector.assign(rows_.vector(first_), rows_.vector(first_) + dimensions_);
    for (float& value : vector) value *= rows_.scale(first_);
    return true;
  }
  return false;
}

void GraphIndex::account() {
  bytes_.store(sizeof(GraphIndex) - sizeof(GraphRows) + table_.bytes() + dead_.capacity() * sizeof(DeadRow),
               std::memory_order_relaxed);
}

}  // namespace enhanced_gptcache::index

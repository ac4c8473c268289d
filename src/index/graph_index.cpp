#include "index/graph_index.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/epoch.h"
#include "index/dot.h"

namespace enhanced_gptcache::index {
namespace {

/// Breadth of a walk that looks for the nearest, and of one that looks for the links of a new row. Signs tell
/// less in a crowd: of 1,000,000 rows, 160 find the nearest 98 times of 100.
constexpr size_t kSearchBreadth = 160;
constexpr size_t kBreadthPerDoubling = 60;
constexpr size_t kDoublingFrom = 250'000;
constexpr size_t kBuildBreadth = 160;
/// Of the nearest by estimate, how many are compared in full: the true nearest is among the first 32 of
/// 100,000 in 999 of 1,000 searches.
constexpr size_t kRefined = 64;
/// Links a new row is given; others may add theirs up to kLinksMax. A list that overflows is cut to
/// kLinksKept, so that not every further link costs a choice.
constexpr size_t kLinksWanted = 20;
constexpr size_t kLinksKept = 22;
/// Rows looked at to find where a walk starts, and how many of them it starts from.
constexpr size_t kSample = 128;
constexpr size_t kStarts = 3;

uint64_t next_number() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

/// What one walk needs; kept by the thread, so that no search allocates.
struct GraphIndex::Walk {
  VisitedRows visited;
  NearestRows nearest;

  static Walk& of_this_thread() {
    static thread_local Walk walk;
    return walk;
  }
};

GraphIndex::GraphIndex(size_t dimensions)
    : dimensions_(dimensions), number_(next_number()), rows_(dimensions), table_(rows_) {
  account();
}

float GraphIndex::similarity(const PreparedQuery& query, uint32_t row) const {
  int32_t sum = 0;
  dot_kernels().scan(query.coarse.data(), rows_.vector(row), rows_.row_bytes(), 1, &sum);
  return static_cast<float>(sum) * query.coarse_scale * rows_.scale(row);
}

float GraphIndex::similarity(uint32_t a, uint32_t b) const {
  const int32_t sum = dot_kernels().pair(rows_.vector(a), rows_.vector(b), rows_.row_bytes());
  return static_cast<float>(sum) * rows_.scale(a) * rows_.scale(b);
}

float GraphIndex::estimate(const PreparedQuery& query, uint32_t row) const {
  if (rows_.sign_length() == 0) return similarity(query, row);
  const int32_t sum = dot_kernels().signs(query.fine.data(), rows_.signs(row), rows_.sign_length());
  return static_cast<float>(2 * sum - query.fine_sum) * query.fine_scale * rows_.sign_scale(row);
}

void GraphIndex::start(const PreparedQuery& query, Walk& walk) const {
  const uint64_t used = rows_.used();
  const size_t count = std::min<uint64_t>(used, kSample);
  std::array<ScoredRow, kSample> sample;
  size_t alive = 0;
  for (size_t i = 0; i < count; ++i) rows_.prefetch(static_cast<uint32_t>(i * used / count));
  for (size_t i = 0; i < count; ++i) {
    const auto row = static_cast<uint32_t>(i * used / count);
    if (rows_.is_alive(row)) sample[alive++] = {estimate(query, row), row};
  }
  const size_t starts = std::min(alive, kStarts);
  std::partial_sort(sample.begin(), sample.begin() + starts, sample.begin() + alive, is_nearer);
  for (size_t i = 0; i < starts; ++i) {
    walk.visited.insert(sample[i].row);
    walk.nearest.push(sample[i]);
  }
}

void GraphIndex::expand(const PreparedQuery& query, uint32_t row, Walk& walk) const {
  std::array<uint32_t, kLinksMax> fresh;
  size_t count = 0;
  for (size_t i = 0; i < kLinksMax; ++i) {
    const uint32_t link = rows_.link(row, i);
    if (link == kNoRow) break;
    if (!walk.visited.insert(link)) continue;
    rows_.prefetch(link);
    fresh[count++] = link;
  }
  // Most often the next one to be looked at, unless one of these is nearer.
  if (const uint32_t next = walk.nearest.peek(); next != kNoRow) rows_.prefetch_links(next);
  for (size_t i = 0; i < count; ++i) {
    if (!rows_.is_alive(fresh[i])) continue;
    const ScoredRow scored{estimate(query, fresh[i]), fresh[i]};
    if (walk.nearest.is_worth(scored.similarity)) walk.nearest.push(scored);
  }
}

std::span<const ScoredRow> GraphIndex::walk(const PreparedQuery& query, size_t breadth,
                                            size_t refined) const {
  Walk& walk = Walk::of_this_thread();
  walk.visited.clear();
  walk.nearest.start(breadth);
  start(query, walk);
  for (uint32_t row = walk.nearest.take(); row != kNoRow && !walk.visited.is_full();
       row = walk.nearest.take())
    expand(query, row, walk);
  std::span<ScoredRow> found = walk.nearest.found();
  if (rows_.sign_length() == 0) return found;
  found = found.first(std::min(found.size(), refined));
  for (const ScoredRow& one : found) rows_.prefetch_vector(one.row);
  for (ScoredRow& one : found) one.similarity = similarity(query, one.row);
  std::sort(found.begin(), found.end(), is_nearer);
  return found;
}

size_t GraphIndex::search_breadth() const {
  size_t breadth = kSearchBreadth;
  for (size_t rows = kDoublingFrom; rows < size(); rows *= 2) breadth += kBreadthPerDoubling;
  return breadth;
}

void GraphIndex::search(const PreparedQuery& query, size_t k, float similarity_min, Best& best) const {
  if (size() == 0) return;
  const size_t breadth = search_breadth();
  const size_t refined = kRefined * breadth / kSearchBreadth;
  for (const ScoredRow& scored : walk(query, std::max(breadth, 4 * k), std::max(refined, 4 * k))) {
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

std::vector<uint32_t> GraphIndex::choose(std::span<const ScoredRow> candidates, size_t wanted) const {
  std::vector<uint32_t> chosen;
  std::vector<uint32_t> hidden;
  chosen.reserve(wanted);
  for (const ScoredRow& candidate : candidates) {
    if (chosen.size() == wanted) break;
    const bool is_hidden = std::any_of(chosen.begin(), chosen.end(), [&](uint32_t nearer) {
      return similarity(nearer, candidate.row) >= candidate.similarity;
    });
    (is_hidden ? hidden : chosen).push_back(candidate.row);
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
  for (const uint32_t candidate : candidates) rows_.prefetch_vector(candidate);
  std::vector<ScoredRow> scored;
  scored.reserve(candidates.size());
  for (const uint32_t candidate : candidates) scored.push_back({similarity(row, candidate), candidate});
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
    links = choose(walk(query, kBuildBreadth, kBuildBreadth), kLinksWanted);
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
  changes_.fetch_add(1, std::memory_order_relaxed);
  account();
  return true;
}

bool GraphIndex::remove(uint64_t label) {
  const uint32_t row = label == kDeadLabel ? kNoRow : table_.find(label);
  if (row == kNoRow) return false;
  table_.erase(label);
  rows_.kill(row);
  size_.fetch_sub(1, std::memory_order_relaxed);
  unlink(row);
  changes_.fetch_add(1, std::memory_order_relaxed);
  account();
  return true;
}

void GraphIndex::unlink(uint32_t row) {
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
}

void GraphIndex::read_row(uint32_t row, std::vector<float>& vector) const {
  vector.assign(rows_.vector(row), rows_.vector(row) + dimensions_);
  for (float& value : vector) value *= rows_.scale(row);
}

bool GraphIndex::vector_of(uint64_t label, std::vector<float>& vector) const {
  const uint32_t row = label == kDeadLabel ? kNoRow : table_.find(label);
  if (row == kNoRow) return false;
  read_row(row, vector);
  return true;
}

void GraphIndex::for_each(const VisitRow& visit) const {
  std::vector<float> vector;
  for (uint32_t row = 0; row < rows_.used(); ++row) {
    if (!rows_.is_alive(row)) continue;
    read_row(row, vector);
    visit(rows_.label(row), vector);
  }
}

bool GraphIndex::first(uint64_t& label, std::vector<float>& vector) {
  for (; first_ < rows_.used(); ++first_) {
    label = rows_.label(first_);
    if (label == kDeadLabel) continue;
    read_row(first_, vector);
    return true;
  }
  return false;
}

void GraphIndex::account() {
  bytes_.store(sizeof(GraphIndex) - sizeof(GraphRows) + table_.bytes() + dead_.capacity() * sizeof(DeadRow),
               std::memory_order_relaxed);
}

}  // namespace enhanced_gptcache::index

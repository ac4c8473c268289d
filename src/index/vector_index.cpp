#include "index/vector_index.h"

#include <algorithm>

#include "base/check.h"
#include "base/epoch.h"
#include "index/flat_index.h"

namespace enhanced_gptcache::index {
namespace {

/// Rows that move from one tier to another with each one that is added or removed: no single call pays for
/// the change.
constexpr size_t kMovedPerCall = 8;

/// Adds to `found` what it does not hold: a row on its way stands in two tiers.
void merge(std::vector<Neighbour>& found, Best&& best) {
  for (const Neighbour& one : std::move(best).sorted()) {
    const bool is_there = std::any_of(found.begin(), found.end(),
                                      [&](const Neighbour& other) { return other.label == one.label; });
    if (!is_there) found.push_back(one);
  }
}

}  // namespace

/// Rows only ever move from `leaving_` to `flat_` or `graph_` and from `flat_` to `graph_`, and stand in both
/// until they are removed from the first: a search that looks at the tiers in this order misses none.
class VectorIndex::Impl {
 public:
  Impl(size_t dimensions, size_t graph_from)
      : dimensions_(dimensions), graph_from_(graph_from), flat_(dimensions) {}
  ~Impl() {
    delete graph_.load(std::memory_order_acquire);
    delete leaving_.load(std::memory_order_acquire);
  }

  void add(uint64_t label, std::span<const float> vector) {
    if (graph_.load(std::memory_order_relaxed) == nullptr && flat_.size() >= graph_from_)
      graph_.store(new GraphIndex(dimensions_), std::memory_order_release);
    add_to_target(label, vector);
    settle(kMovedPerCall);
  }

  bool remove(uint64_t label) {
    GraphIndex* graph = graph_.load(std::memory_order_relaxed);
    GraphIndex* leaving = leaving_.load(std::memory_order_relaxed);
    const bool was_there = flat_.remove(label) || (graph != nullptr && graph->remove(label)) ||
                           (leaving != nullptr && leaving->remove(label));
    if (!was_there) return false;
    if (graph != nullptr && leaving == nullptr && graph->is_sparse()) leave(graph);
    settle(kMovedPerCall);
    return true;
  }

  std::vector<Neighbour> search(std::span<const float> query, size_t k, float similarity_min) const;

  uint64_t graph() const {
    const base::EpochGuard pin;
    return of(graph_, &GraphIndex::number);
  }
  uint64_t graph_changes() const {
    const base::EpochGuard pin;
    return of(graph_, &GraphIndex::changes);
  }
  bool copy_graph(uint64_t number, uint32_t from, uint32_t count_max, std::vector<LinkedRow>& rows) const {
    const GraphIndex* graph = graph_.load(std::memory_order_acquire);
    if (graph == nullptr || graph->number() != number) return false;
    graph->copy_rows(from, count_max, rows);
    return true;
  }
  void restore(std::span<const LinkedRow> rows, const GraphIndex::VectorOf& vector_of, size_t threads) {
    if (restored_ == nullptr) restored_ = std::make_unique<GraphIndex>(dimensions_);
    restored_->restore(rows, vector_of, threads);
  }
  void finish_restore() {
    EGPTC_CHECK(size() == 0 && restored_ != nullptr);
    restored_->finish_restore();
    graph_.store(restored_.release(), std::memory_order_release);
  }
  void abandon_restore() { restored_.reset(); }
  bool is_in_graph(uint64_t label) const {
    const GraphIndex* graph = graph_.load(std::memory_order_relaxed);
    return graph != nullptr && graph->contains(label);
  }
  bool vector_of(uint64_t label, std::vector<float>& vector) const {
    const GraphIndex* graph = graph_.load(std::memory_order_relaxed);
    const GraphIndex* leaving = leaving_.load(std::memory_order_relaxed);
    return (graph != nullptr && graph->vector_of(label, vector)) || flat_.vector_of(label, vector) ||
           (leaving != nullptr && leaving->vector_of(label, vector));
  }
  void for_each(const VisitRow& visit) const {
    flat_.for_each(visit);
    for (const auto* tier : {&graph_, &leaving_})
      if (const GraphIndex* graph = tier->load(std::memory_order_relaxed)) graph->for_each(visit);
  }
  void add_unsettled(uint64_t label, std::span<const float> vector) { flat_.add(label, vector); }
  bool settle_now(size_t count_max) {
    if (graph_.load(std::memory_order_relaxed) == nullptr && flat_.size() > graph_from_)
      graph_.store(new GraphIndex(dimensions_), std::memory_order_release);
    const size_t before = unsettled();
    settle(count_max);
    const size_t left = unsettled();
    return left > 0 && left < before;  // a full graph takes no more
  }
  size_t unsettled() const {
    const base::EpochGuard pin;
    const size_t leaving = of(leaving_, &GraphIndex::size);
    const bool has_graph = graph_.load(std::memory_order_acquire) != nullptr;
    return leaving + (has_graph || flat_.size() > graph_from_ ? flat_.size() : 0);
  }

  size_t dimensions() const { return dimensions_; }
  size_t size() const {
    const base::EpochGuard pin;
    return flat_.size() + of(graph_, &GraphIndex::size) + of(leaving_, &GraphIndex::size);
  }
  size_t bytes() const {
    const base::EpochGuard pin;
    return sizeof(VectorIndex) + sizeof(Impl) + flat_.bytes() + of(graph_, &GraphIndex::bytes) +
           of(leaving_, &GraphIndex::bytes);
  }

 private:
  template <typename T>
  static T of(const std::atomic<GraphIndex*>& tier, T (GraphIndex::*what)() const) {
    const GraphIndex* graph = tier.load(std::memory_order_acquire);
    return graph == nullptr ? 0 : (graph->*what)();
  }
  void add_to_target(uint64_t label, std::span<const float> vector) {
    GraphIndex* graph = graph_.load(std::memory_order_relaxed);
    if (graph == nullptr || !graph->add(label, vector)) flat_.add(label, vector);
  }
  /// Most of its places are empty: its rows move out, then it goes.
  void leave(GraphIndex* graph) {
    leaving_.store(graph, std::memory_order_release);
    const bool is_large = graph->size() >= graph_from_;
    graph_.store(is_large ? new GraphIndex(dimensions_) : nullptr, std::memory_order_release);
  }
  void settle(size_t count_max);
  std::vector<Neighbour> search_tiers(const PreparedQuery& query, const GraphIndex* graph, size_t k,
                                      float similarity_min) const;

  const size_t dimensions_;
  const size_t graph_from_;
  FlatIndex flat_;
  std::atomic<GraphIndex*> graph_{nullptr};    // these two are replaced by the writer, read when pinned
  std::atomic<GraphIndex*> leaving_{nullptr};  // set before graph_ lets go of it
  std::vector<float> moving_;                  // the writer's own, as the next
  std::unique_ptr<GraphIndex> restored_;       // on its way to graph_
};

void VectorIndex::Impl::settle(size_t count_max) {
  uint64_t label = 0;
  for (size_t i = 0; i < count_max; ++i) {
    GraphIndex* leaving = leaving_.load(std::memory_order_relaxed);
    GraphIndex* graph = graph_.load(std::memory_order_relaxed);
    if (leaving != nullptr && leaving->first(label, moving_)) {
      add_to_target(label, moving_);
      leaving->remove(label);
    } else if (leaving != nullptr) {
      leaving_.store(nullptr, std::memory_order_release);
      base::epoch_retire(leaving, leaving->bytes());
    } else if (graph != nullptr && flat_.first(label, moving_) && graph->add(label, moving_)) {
      flat_.remove(label);
    } else {
      return;
    }
  }
}

std::vector<Neighbour> VectorIndex::Impl::search_tiers(const PreparedQuery& query, const GraphIndex* graph,
                                                       size_t k, float similarity_min) const {
  std::vector<Neighbour> found;
  if (const GraphIndex* leaving = leaving_.load(std::memory_order_acquire)) {
    Best best(k, similarity_min);
    leaving->search(query, k, similarity_min, best);
    merge(found, std::move(best));
  }
  Best best(k, similarity_min);
  flat_.search(query, similarity_min, best);
  merge(found, std::move(best));
  if (graph != nullptr) {
    Best nearest(k, similarity_min);
    graph->search(query, k, similarity_min, nearest);
    merge(found, std::move(nearest));
  }
  std::sort(found.begin(), found.end(), is_better);
  if (found.size() > k) found.resize(k);
  return found;
}

std::vector<Neighbour> VectorIndex::Impl::search(std::span<const float> query, size_t k,
                                                 float similarity_min) const {
  EGPTC_CHECK(query.size() == dimensions_);
  const base::EpochGuard pin;
  if (k == 0 || size() == 0) return {};
  const PreparedQuery prepared = prepare(query);
  if (prepared.length <= 0) return {};
  while (true) {
    const GraphIndex* graph = graph_.load(std::memory_order_acquire);
    std::vector<Neighbour> found = search_tiers(prepared, graph, k, similarity_min);
    // A graph that came or went meanwhile may hold what was looked for elsewhere. Happens once in thousands
    // of writes.
    if (graph_.load(std::memory_order_acquire) == graph) return found;
  }
}

VectorIndex::VectorIndex(size_t dimensions, size_t graph_from)
    : impl_(std::make_unique<Impl>(dimensions, graph_from)) {}
VectorIndex::~VectorIndex() = default;
void VectorIndex::add(uint64_t label, std::span<const float> vector) {
  EGPTC_CHECK(vector.size() == impl_->dimensions() && label != kDeadLabel);
  impl_->add(label, vector);
}
bool VectorIndex::remove(uint64_t label) { return impl_->remove(label); }
std::vector<Neighbour> VectorIndex::search(std::span<const float> query, size_t k,
                                           float similarity_min) const {
  return impl_->search(query, k, similarity_min);
}
uint64_t VectorIndex::graph() const { return impl_->graph(); }
uint64_t VectorIndex::graph_changes() const { return impl_->graph_changes(); }
bool VectorIndex::copy_graph(uint64_t graph, uint32_t from, uint32_t count_max,
                             std::vector<LinkedRow>& rows) const {
  return impl_->copy_graph(graph, from, count_max, rows);
}
void VectorIndex::restore(std::span<const LinkedRow> rows, const GraphIndex::VectorOf& vector_of,
                          size_t threads) {
  impl_->restore(rows, vector_of, threads);
}
void VectorIndex::finish_restore() { impl_->finish_restore(); }
void VectorIndex::abandon_restore() { impl_->abandon_restore(); }
bool VectorIndex::vector_of(uint64_t label, std::vector<float>& vector) const {
  return impl_->vector_of(label, vector);
}
void VectorIndex::for_each(const VisitRow& visit) const { impl_->for_each(visit); }
bool VectorIndex::is_in_graph(uint64_t label) const { return impl_->is_in_graph(label); }
void VectorIndex::add_unsettled(uint64_t label, std::span<const float> vector) {
  EGPTC_CHECK(vector.size() == impl_->dimensions() && label != kDeadLabel);
  impl_->add_unsettled(label, vector);
}
bool VectorIndex::settle(size_t count_max) { return impl_->settle_now(count_max); }
size_t VectorIndex::unsettled() const { return impl_->unsettled(); }
size_t VectorIndex::dimensions() const { return impl_->dimensions(); }
size_t VectorIndex::size() const { return impl_->size(); }
size_t VectorIndex::bytes() const { return impl_->bytes(); }

}  // namespace enhanced_gptcache::index

// A graph over a restart: its rows and links go out without their vectors, which the entries have, and come
// back with them. Choosing the links is what building a graph costs.

#include <algorithm>
#include <thread>

#include "base/epoch.h"
#include "index/graph_index.h"

namespace enhanced_gptcache::index {
namespace {

/// Fewer rows are not worth a thread.
constexpr size_t kRowsPerThreadMin = 512;

}  // namespace

void GraphIndex::copy_rows(uint32_t from, uint32_t count_max, std::vector<LinkedRow>& rows) const {
  const uint32_t used = rows_.used();
  const uint32_t end = from >= used ? from : from + std::min(count_max, used - from);
  for (uint32_t row = from; row < end; ++row) {
    LinkedRow& copy = rows.emplace_back();
    copy.label = rows_.label(row);
    if (copy.label == kDeadLabel) {
      copy.links.fill(kNoRow);
      continue;
    }
    for (size_t i = 0; i < kLinksMax; ++i) copy.links[i] = rows_.link(row, i);
  }
}

/// A row whose vector is gone keeps its links until its neighbours are joined.
void GraphIndex::restore_row(uint32_t row, const LinkedRow& from, const VectorOf& vector_of) {
  const auto end = std::find(from.links.begin(), from.links.end(), kNoRow);
  rows_.set_links(row, std::span(from.links.begin(), end));
  static thread_local std::vector<float> vector;
  if (from.label == kDeadLabel || !vector_of(from.label, vector)) return;
  rows_.fill(row, vector);
  rows_.publish(row, from.label);
}

void GraphIndex::restore(std::span<const LinkedRow> rows, const VectorOf& vector_of, size_t threads) {
  const uint32_t first = rows_.used();
  const size_t count = std::min<size_t>(rows.size(), kRowsMax - first);
  for (size_t i = 0; i < count; ++i) rows_.append();
  const size_t share = std::max(kRowsPerThreadMin, (count + threads - 1) / std::max<size_t>(threads, 1));
  const auto fill = [&](size_t from) {
    for (size_t i = from; i < std::min(count, from + share); ++i)
      restore_row(first + static_cast<uint32_t>(i), rows[i], vector_of);
  };
  std::vector<std::thread> others;
  for (size_t from = share; from < count; from += share) others.emplace_back(fill, from);
  fill(0);
  for (std::thread& other : others) other.join();
}

/// A snapshot is taken while the graph changes: some links lead to rows that came too late for it.
void GraphIndex::drop_links_from(uint32_t row, uint32_t end) {
  std::array<uint32_t, kLinksMax> kept;
  size_t count = 0;
  bool is_whole = true;
  for (size_t i = 0; i < kLinksMax && rows_.link(row, i) != kNoRow; ++i) {
    const uint32_t link = rows_.link(row, i);
    if (link < end)
      kept[count++] = link;
    else
      is_whole = false;
  }
  if (!is_whole) rows_.set_links(row, std::span(kept).first(count));
}

void GraphIndex::finish_restore() {
  const uint32_t used = rows_.used();
  std::vector<uint32_t> dead;
  for (uint32_t row = 0; row < used; ++row) {
    drop_links_from(row, used);
    const uint64_t label = rows_.label(row);
    if (contains(label)) rows_.kill(row);
    if (!rows_.is_alive(row)) {
      dead.push_back(row);
      continue;
    }
    table_.insert(row);
    size_.fetch_add(1, std::memory_order_relaxed);
  }
  for (const uint32_t row : dead) unlink(row);
  account();
}

}  // namespace enhanced_gptcache::index

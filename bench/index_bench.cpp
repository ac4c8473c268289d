// Nearest-neighbour search in one partition: recall@1 against the exact answer, latency, build time, memory,
// and the same after half of the rows were replaced. Vectors are read from a file of raw floats (rows of
// DIMENSIONS), the last QUERIES of them are the queries; bench/index_compare.py runs it beside hnswlib and
// faiss. Pin it: `taskset -c 1 index_bench ...`.
//
// usage: index_bench FILE DIMENSIONS QUERIES [ROWS...]
//        index_bench FILE DIMENSIONS QUERIES partitions COUNT ROWS_EACH
// The second: many small partitions, each query to one of them, and again after half of the rows of each were
// replaced one by one.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "index/vector_index.h"

namespace {

using enhanced_gptcache::index::Neighbour;
using enhanced_gptcache::index::VectorIndex;
using Clock = std::chrono::steady_clock;

struct Vectors {
  size_t dimensions = 0;
  std::vector<float> values;

  size_t size() const { return values.size() / dimensions; }
  std::span<const float> operator[](size_t i) const {
    return std::span(values).subspan(i * dimensions, dimensions);
  }
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Vectors read_vectors(const std::string& path, size_t dimensions) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  Vectors vectors{dimensions, {}};
  if (!file) return vectors;
  vectors.values.resize(static_cast<size_t>(file.tellg()) / sizeof(float) / dimensions * dimensions);
  file.seekg(0);
  file.read(reinterpret_cast<char*>(vectors.values.data()),
            static_cast<std::streamsize>(vectors.values.size() * sizeof(float)));
  return vectors;
}

float dot(std::span<const float> a, std::span<const float> b) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Labels are row numbers of `all`; `held` says which are in the index.
void measure(const VectorIndex& index, const Vectors& all, const std::vector<bool>& held, size_t queries,
             const char* state) {
  const size_t first_query = all.size() - queries;
  std::vector<double> times;
  size_t right = 0;
  for (size_t q = first_query; q < all.size(); ++q) {
    const auto start = Clock::now();
    const std::vector<Neighbour> found = index.search(all[q], 8, -1.0F);
    times.push_back(seconds_since(start) * 1e6);
    float best = -2;
    for (size_t row = 0; row < held.size(); ++row) {
      if (held[row]) best = std::max(best, dot(all[row], all[q]));
    }
    // A row as near as the nearest is as good: stored bytes are rounded.
    if (!found.empty() && dot(all[found.front().label], all[q]) >= best - 1e-3F) ++right;
  }
  std::sort(times.begin(), times.end());
  std::printf(
      "{\"rows\": %zu, \"state\": \"%s\", \"recall_at_1\": %.4f, \"p50_us\": %.1f, \"p95_us\": %.1f, "
      "\"p99_us\": %.1f, \"bytes_per_row\": %.1f}\n",
      index.size(), state, static_cast<double>(right) / static_cast<double>(queries), times[times.size() / 2],
      times[times.size() * 95 / 100], times[times.size() * 99 / 100],
      static_cast<double>(index.bytes()) / static_cast<double>(index.size()));
  std::fflush(stdout);
}

void run(const Vectors& all, size_t rows, size_t queries) {
  VectorIndex index(all.dimensions);
  const size_t spare = std::min(rows / 2, all.size() - queries - rows);
  std::vector<bool> held(rows + spare, false);
  const auto start = Clock::now();
  for (size_t row = 0; row < rows; ++row) {
    index.add(row, all[row]);
    held[row] = true;
  }
  const double seconds = seconds_since(start);
  std::printf("{\"rows\": %zu, \"build_seconds\": %.1f, \"rows_per_second\": %.0f}\n", rows, seconds,
              static_cast<double>(rows) / seconds);
  measure(index, all, held, queries, "built");
  const auto churn = Clock::now();
  for (size_t i = 0; i < spare; ++i) {
    const size_t gone = i * 2 + 1;  // every other one of the first
    if (gone >= rows) break;
    index.remove(gone);
    held[gone] = false;
    index.add(rows + i, all[rows + i]);
    held[rows + i] = true;
  }
  std::printf("{\"rows\": %zu, \"churned\": %zu, \"churn_seconds\": %.1f}\n", rows, spare,
              seconds_since(churn));
  if (spare > 0) measure(index, all, held, queries, "after churn");
}

/// Rows of partition `p` are p * each ..., and what replaced them comes from behind all of those.
struct Partitions {
  std::vector<std::unique_ptr<VectorIndex>> indexes;
  std::vector<std::vector<size_t>> held;
};

void measure(const Partitions& all, const Vectors& vectors, size_t queries, const char* state) {
  std::vector<double> times;
  size_t right = 0, rows = 0, bytes = 0;
  for (const auto& index : all.indexes) {
    rows += index->size();
    bytes += index->bytes();
  }
  for (size_t q = 0; q < queries; ++q) {
    const std::span<const float> query = vectors[vectors.size() - 1 - q];
    const size_t p = q * 7919 % all.indexes.size();
    const auto start = Clock::now();
    const std::vector<Neighbour> found = all.indexes[p]->search(query, 8, -1.0F);
    times.push_back(seconds_since(start) * 1e6);
    float best = -2;
    for (const size_t row : all.held[p]) best = std::max(best, dot(vectors[row], query));
    if (!found.empty() && dot(vectors[found.front().label], query) >= best - 1e-3F) ++right;
  }
  std::sort(times.begin(), times.end());
  std::printf(
      "{\"partitions\": %zu, \"rows\": %zu, \"state\": \"%s\", \"recall_at_1\": %.4f, \"p50_us\": %.1f, "
      "\"p99_us\": %.1f, \"bytes_per_row\": %.1f}\n",
      all.indexes.size(), rows, state, static_cast<double>(right) / static_cast<double>(queries),
      times[times.size() / 2], times[times.size() * 99 / 100],
      static_cast<double>(bytes) / static_cast<double>(rows));
  std::fflush(stdout);
}

int run_partitions(const Vectors& vectors, size_t count, size_t each, size_t queries) {
  const size_t replaced = each / 2;
  if (count == 0 || each < 2 || count * (each + replaced) + queries > vectors.size()) {
    std::fprintf(stderr, "COUNT ROWS_EACH: %zu and %zu need more rows than the file's %zu\n", count, each,
                 vectors.size());
    return 2;
  }
  Partitions all{{}, std::vector<std::vector<size_t>>(count)};
  const auto start = Clock::now();
  for (size_t p = 0; p < count; ++p) {
    all.indexes.push_back(std::make_unique<VectorIndex>(vectors.dimensions));
    for (size_t row = p * each; row < (p + 1) * each; ++row) {
      all.indexes[p]->add(row, vectors[row]);
      all.held[p].push_back(row);
    }
  }
  std::printf("{\"partitions\": %zu, \"rows_each\": %zu, \"build_seconds\": %.2f}\n", count, each,
              seconds_since(start));
  measure(all, vectors, queries, "built");
  const auto churn = Clock::now();
  for (size_t p = 0; p < count; ++p) {
    for (size_t i = 0; i < replaced; ++i) {
      const size_t row = count * each + p * replaced + i;
      all.indexes[p]->remove(all.held[p][i * 2]);
      all.indexes[p]->add(row, vectors[row]);
      all.held[p][i * 2] = row;
    }
  }
  std::printf("{\"partitions\": %zu, \"churned\": %zu, \"churn_seconds\": %.2f}\n", count, count * replaced,
              seconds_since(churn));
  measure(all, vectors, queries, "after churn");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: index_bench FILE DIMENSIONS QUERIES [ROWS... | partitions COUNT ROWS_EACH]\n", stderr);
    return 2;
  }
  const size_t dimensions = std::strtoul(argv[2], nullptr, 10);
  const size_t queries = std::strtoul(argv[3], nullptr, 10);
  const Vectors all = read_vectors(argv[1], std::max<size_t>(dimensions, 1));
  if (dimensions == 0 || all.size() <= queries) {
    std::fprintf(stderr, "%s holds no more than %zu rows of %zu floats\n", argv[1], queries, dimensions);
    return 1;
  }
  if (argc == 7 && std::string_view(argv[4]) == "partitions")
    return run_partitions(all, std::strtoul(argv[5], nullptr, 10), std::strtoul(argv[6], nullptr, 10),
                          queries);
  for (int i = 4; i < argc; ++i) {
    const size_t rows = std::strtoul(argv[i], nullptr, 10);
    if (rows == 0 || rows + queries > all.size()) {
      std::fprintf(stderr, "ROWS %s: the file has %zu rows besides the queries\n", argv[i],
                   all.size() - queries);
      return 2;
    }
    run(all, rows, queries);
  }
  return 0;
}

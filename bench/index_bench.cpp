// Nearest-neighbour search in one partition: recall@1 against the exact answer, latency, build time, memory,
// and the same after half of the rows were replaced. Vectors are read from a file of raw floats (rows of
// DIMENSIONS), the last QUERIES of them are the queries; bench/index_compare.py runs it beside hnswlib and
// faiss. Pin it: `taskset -c 1 index_bench ...`.
//
// usage: index_bench FILE DIMENSIONS QUERIES [ROWS...]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <span>
#include <string>
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

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: index_bench FILE DIMENSIONS QUERIES [ROWS...]\n", stderr);
    return 2;
  }
  const size_t dimensions = std::strtoul(argv[2], nullptr, 10);
  const size_t queries = std::strtoul(argv[3], nullptr, 10);
  const Vectors all = read_vectors(argv[1], std::max<size_t>(dimensions, 1));
  if (dimensions == 0 || all.size() <= queries) {
    std::fprintf(stderr, "%s holds no more than %zu rows of %zu floats\n", argv[1], queries, dimensions);
    return 1;
  }
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

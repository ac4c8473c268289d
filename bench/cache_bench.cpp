// The cache as a library, without a server: exact hits by number of entries, and what an entry costs in
// memory besides its own text. Vectors are made up here (clusters with noise, seed 1), so that filling needs
// no model; sizes and times of hits do not depend on what they mean. One JSON line a case.
//
// usage: cache_bench MODEL_DIR exact|memory ENTRIES
//        cache_bench MODEL_DIR fill|open ENTRIES FOLDER KEY_FILE
//   exact   lookups of stored questions, chosen at random, one thread
//   memory  resident memory besides question and answer, by real pages
//   fill    writes ENTRIES into the storage FOLDER of a server whose instance key is KEY_FILE
//   open    how long a start over them takes, and how long until every graph is there

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"

namespace {

using namespace enhanced_gptcache;
using Clock = std::chrono::steady_clock;

constexpr size_t kClusters = 2000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

size_t resident_bytes() {
  malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  size_t pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

std::string question(size_t i) {
  return "What is the name of part " + std::to_string(i) + " of assembly " + std::to_string(i / 97) + "?";
}
std::string answer(size_t i) { return "It is called number " + std::to_string(i) + " in the list of parts."; }

/// 32 bytes from the hexadecimal digits an instance key is kept as; empty after an error.
std::string key_of(const char* name) {
  std::ifstream file(name);
  std::string digits, bytes;
  file >> digits;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  if (bytes.size() == 32) return bytes;
  std::fprintf(stderr, "cache_bench: %s holds no instance key (64 hexadecimal digits)\n", name);
  return {};
}

class Vectors {
 public:
  explicit Vectors(size_t dimensions) : dimensions_(dimensions), random_(1) {
    for (size_t i = 0; i < kClusters; ++i) centres_.push_back(noise());
  }
  std::shared_ptr<const Embedding> next(size_t i) {
    auto made = std::make_shared<Embedding>();
    made->values = noise();
    const std::vector<float>& centre = centres_[i % kClusters];
    float length = 0;
    for (size_t k = 0; k < dimensions_; ++k) {
      made->values[k] = 0.7F * made->values[k] + centre[k];
      length += made->values[k] * made->values[k];
    }
    for (float& value : made->values) value /= std::sqrt(length);
    made->stats.tokens = 14;
    return made;
  }

 private:
  std::vector<float> noise() {
    std::vector<float> values(dimensions_);
    for (float& value : values) value = normal_(random_) / std::sqrt(static_cast<float>(dimensions_));
    return values;
  }

  size_t dimensions_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
  std::vector<std::vector<float>> centres_;
};

/// Question and answer bytes of what was stored; 0 after a refusal.
size_t fill(EnhancedCache& cache, size_t entries, size_t dimensions) {
  Vectors vectors(dimensions);
  size_t payload = 0;
  for (size_t i = 0; i < entries; ++i) {
    StoreRequest request;
    request.prompt = make_prompt(question(i));
    request.text = answer(i);
    request.embedding = vectors.next(i);
    request.write_behind = true;
    const auto stored = cache.store(request);
    if (!stored) {
      std::fprintf(stderr, "cache_bench: entry %zu: %s\n", i, stored.error().message.c_str());
      return 0;
    }
    payload += request.prompt.query.size() + request.text.size();
  }
  return payload;
}

/// The second time, graphs come from the snapshots that the first one left.
void measure_open(const EnhancedCache& cache, double opened_s, size_t resident) {
  const auto start = Clock::now();
  const StorageStats stats = cache.storage_stats();
  while (cache.storage_stats().graph_rows_waiting > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::printf(
      "{\"case\": \"open\", \"entries\": %zu, \"ready_s\": %.3f, \"graph_rows_restored\": %zu, "
      "\"graphs_built_after_s\": %.1f, \"resident_bytes_each\": %.1f, \"counted_bytes_each\": %.1f}\n",
      static_cast<size_t>(stats.loaded), opened_s, static_cast<size_t>(stats.graph_rows_restored),
      seconds_since(start), static_cast<double>(resident) / static_cast<double>(stats.loaded),
      static_cast<double>(cache.stats().bytes) / static_cast<double>(stats.loaded));
}

bool measure_exact(EnhancedCache& cache, size_t entries) {
  constexpr size_t kLookups = 200'000;
  std::mt19937 random(2);
  std::uniform_int_distribution<size_t> any(0, entries - 1);
  std::vector<double> times;
  for (size_t i = 0; i < kLookups; ++i) {
    const std::string text = question(any(random));
    const auto start = Clock::now();
    const auto found = cache.lookup(make_prompt(text));
    times.push_back(seconds_since(start) * 1e6);
    if (!found || found->entry == nullptr || found->layer != Layer::kExact) return false;
  }
  std::sort(times.begin(), times.end());
  std::printf("{\"case\": \"exact\", \"entries\": %zu, \"p50_us\": %.3f, \"p99_us\": %.3f}\n", entries,
              times[times.size() / 2], times[times.size() * 99 / 100]);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[2] : "";
  const size_t entries = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 0;
  const bool is_stored = (what == "fill" || what == "open") && argc == 6;
  if (entries == 0 || (what != "exact" && what != "memory" && !is_stored)) {
    std::fputs("usage: cache_bench MODEL_DIR exact|memory ENTRIES | fill|open ENTRIES FOLDER KEY_FILE\n",
               stderr);
    return 2;
  }
  EmbedderOptions model;
  model.model_dir = argv[1];
  auto embedder = Embedder::open(model);
  if (!embedder) {
    std::fprintf(stderr, "cache_bench: %s\n", embedder.error().message.c_str());
    return 1;
  }
  const size_t dimensions = (*embedder)->dimensions();
  Options options;
  options.bytes_max = size_t{16} << 30U;
  if (is_stored) {
    options.storage.path = argv[4];
    options.state_folder = argv[4];
    options.storage.bytes_max = size_t{64} << 30U;
    options.key_bytes = key_of(argv[5]);
    if (options.key_bytes.empty()) return 1;
  }
  const size_t closed = resident_bytes();
  const auto opening = Clock::now();
  auto cache = EnhancedCache::open(options, std::shared_ptr<const Embedder>(std::move(*embedder)));
  if (!cache) {
    std::fprintf(stderr, "cache_bench: %s\n", cache.error().message.c_str());
    return 1;
  }
  const double opened_s = seconds_since(opening);
  const size_t before = resident_bytes();
  if (what == "open") {
    measure_open(**cache, opened_s, before - closed);
    return 0;
  }
  const auto start = Clock::now();
  const size_t payload = fill(**cache, entries, dimensions);
  if (payload == 0) return 1;
  const double seconds = seconds_since(start);
  if (what == "exact") return measure_exact(**cache, entries) ? 0 : 1;
  if (what == "fill" && !(*cache)->commit()) return 1;
  const double each = 1.0 / static_cast<double>(entries);
  std::printf(
      "{\"case\": \"%s\", \"entries\": %zu, \"stored_s\": %.0f, \"resident_bytes_each\": %.1f, "
      "\"question_and_answer_bytes_each\": %.1f, \"counted_bytes_each\": %.1f}\n",
      what.c_str(), entries, static_cast<double>(entries) / seconds,
      static_cast<double>(resident_bytes() - before) * each, static_cast<double>(payload) * each,
      static_cast<double>((*cache)->stats().bytes) * each);
  return 0;
}

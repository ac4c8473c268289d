// Resident memory against bytes_max. Not under sanitizers, whose allocators keep what is freed.

#include <unistd.h>

#include <cmath>
#include <fstream>
#include <random>
#include <thread>

#include "cache/cache_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSanitized = true;
#else
constexpr bool kIsSanitized = false;
#endif

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

struct Load {
  const char* name;
  int threads;
  bool varies_size;
  bool varies_partition;
};

/// Stores ten times bytes_max, counted by what the entries' bytes hold at least.
void fill(CacheImpl& cache, const Load& load, size_t bytes_max) {
  std::atomic<size_t> stored{0};
  const auto work = [&](int thread) {
    std::mt19937_64 random(static_cast<uint64_t>(thread));
    for (int i = 0; stored < 10 * bytes_max; ++i) {
      StoreRequest request;
      request.prompt =
          make_prompt("restart printer " + std::to_string(i) + " floor " + std::to_string(thread));
      if (load.varies_partition) request.prompt.system = std::to_string(i % 5000);
      const double log_size = std::uniform_real_distribution<>(3, 11)(random);
      request.text = std::string(load.varies_size ? static_cast<size_t>(std::exp(log_size)) : 400, 'x');
      ASSERT_TRUE(cache.store(request));
      stored += request.text.size() + 600;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < load.threads; ++t) threads.emplace_back(work, t);
  for (std::thread& thread : threads) thread.join();
}

TEST(Memory, StaysWithinItsBudgetWhenFilledTenTimes) {
  if (kIsSanitized) GTEST_SKIP() << "resident memory of a sanitizer says nothing";
  constexpr size_t kBytesMax = size_t{12} << 20U;
  const Load loads[] = {{"one thread", 1, false, false},
                        {"all sizes, many partitions", 1, true, true},
                        {"threads and all sizes", 8, true, false}};
  for (const Load& load : loads) {
    Options options;
    options.bytes_max = kBytesMax;
    options.pca.enabled = false;
    const size_t before = resident_bytes();
    const auto embedder = std::make_shared<fakes::FakeEmbedder>(384);
    const auto cache = open_cache(options, embedder, base::system_clock(), false).value();
    fill(*cache, load, kBytesMax);
    cache->maintain();
    const size_t after = resident_bytes();
    const double growth = after > before ? static_cast<double>(after - before) / kBytesMax : 0;
    EXPECT_LE(cache->stats().bytes, kBytesMax) << load.name;
    EXPECT_GT(cache->stats().bytes, kBytesMax / 2) << load.name;
    EXPECT_LE(growth, 1.3) << load.name;
    RecordProperty(load.name, std::to_string(growth));
  }
}

}  // namespace
}  // namespace enhanced_gptcache::cache

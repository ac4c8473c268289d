// Sixteen threads that do everything at once. What is asserted holds at every moment; the rest is for
// the sanitizers. EGPTC_STRESS_SECONDS=60 lets it run that long instead of a fixed number of steps.

#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "cache/cache_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr int kThreads = 16;
constexpr int kSteps = 400;
constexpr int kTenants = 3;

std::chrono::steady_clock::time_point stress_end() {
  const char* seconds = std::getenv("EGPTC_STRESS_SECONDS");
  return std::chrono::steady_clock::now() + std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds));
}

class Worker {
 public:
  Worker(CacheImpl& cache, fakes::FakeClock& clock, uint64_t seed)
      : cache_(cache), clock_(clock), random_(seed) {}

  void run() {
    const auto end = stress_end();
    for (int step = 0; step < kSteps || std::chrono::steady_clock::now() < end; ++step) {
      const uint64_t choice = random_() % 100;
      if (choice < 45)
        look();
      else if (choice < 80)
        put();
      else if (choice < 90)
        judge();
      else
        administer(choice);
    }
  }

 private:
  std::string tenant() { return "t" + std::to_string(random_() % kTenants); }

  Prompt prompt() {
    Prompt made = make_prompt("restart printer number " + std::to_string(random_() % 60) + " on floor two",
                              {}, random_() % 2 == 0 ? "a" : "b");
    made.tenant = tenant();
    made.user = random_() % 2 == 0 ? "anna" : "";
    if (random_() % 10 == 0) made.system = "system " + std::to_string(random_() % 20);
    return made;
  }

  /// An answer names the tenant and namespace it was stored for, so a leak is seen.
  static std::string answer_for(const Prompt& prompt) { return prompt.tenant + "/" + prompt.name_space; }

  void look() {
    const Prompt asked = prompt();
    const auto check = [asked](const EntryPtr& entry) {
      if (entry != nullptr) {
        EXPECT_EQ(entry->text(), answer_for(asked));
      }
    };
    switch (random_() % 3) {
      case 0:
        return check(cache_.find_exact(asked, {}));
      case 1:
        return check(cache_.lookup(asked, {})->entry);
      default:
        return check(cache_.explain(asked, {})->decision.entry);
    }
  }

  void put() {
    StoreRequest request;
    request.prompt = prompt();
    request.text = answer_for(request.prompt);
    request.tags = {std::to_string(random_() % 5)};
    if (random_() % 4 == 0) request.ttl_ms = 1 + static_cast<int64_t>(random_() % 50);
    if (random_() % 5 == 0) {
      EXPECT_EQ(
          cache_.get_or_compute(request.prompt, [&] { return Result<std::string>(request.text); }).value(),
          request.text);
      return;
    }
    const auto stored = cache_.store(request);
    EXPECT_TRUE(stored);
    if (random_() % 8 == 0) cache_.remove(request.prompt.tenant, stored->id);
  }

  void judge() {
    const Prompt asked = prompt();
    const auto lookup = cache_.lookup(asked, {});
    Feedback feedback;
    feedback.tenant = asked.tenant;
    feedback.request_id = lookup->request_id;
    feedback.correct = random_() % 3 != 0;
    EXPECT_TRUE(cache_.feedback(feedback));
    feedback.tenant = "nobody";
    EXPECT_FALSE(cache_.feedback(feedback));
  }

  void administer(uint64_t choice) {
    const std::string whose = tenant();
    switch (choice % 5) {
      case 0: {
        Filter filter;
        filter.tenant = whose;
        filter.tags = {std::to_string(random_() % 5)};
        cache_.invalidate(filter, random_() % 2 == 0);
        return;
      }
      case 1:
        if (random_() % 4 == 0) cache_.flush(whose, "a");
        return;
      case 2: {
        Filter filter;
        filter.tenant = whose;
        const auto page = cache_.list(filter, 10, "");
        if (!page.empty()) cache_.list(filter, 10, page.back()->id());
        return;
      }
      case 3: {
        Options options;
        options.bytes_max = (random_() % 2 == 0 ? 200U : 100U) << 10U;
        options.partitions_max = 5 + random_() % 30;
        EXPECT_TRUE(cache_.set_options(options));
        return;
      }
      default:
        clock_.advance_ms(3);
        cache_.stats();
    }
  }

  CacheImpl& cache_;
  fakes::FakeClock& clock_;
  std::mt19937_64 random_;
};

TEST_F(CacheTest, SixteenThreadsOfEverythingNeverMixTenants) {
  cache_->start_maintenance(std::chrono::milliseconds(1));
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] { Worker(*cache_, clock_, t).run(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kTenants; ++t) cache_->flush("t" + std::to_string(t), std::nullopt);
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.entries, 0U);
  EXPECT_EQ(stats.semantic_entries, 0U);
  EXPECT_EQ(stats.partitions, 0U);
  EXPECT_EQ(stats.bytes, 0U) << "every byte that was counted in was counted out";
}

}  // namespace
}  // namespace enhanced_gptcache::cache

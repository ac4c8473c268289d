// Latency of Embedder::embed by number of tokens ([CLS] and [SEP] included) and kernel, tokenizer
// included, on the calling thread; and throughput of embed_async. With a pair encoder also the latency of
// Embedder::pair_scores, in turns with an embedding of 12 tokens, because the two are compared.
// Pin it: `taskset -c 1 embed_bench ...`.
//
// usage: embed_bench [--pair FILE] MODEL_DIR [KERNEL...]

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <string>
#include <vector>

#include "enhanced_gptcache/embedder.h"
#include "simd/dispatch.h"

namespace {

using enhanced_gptcache::Embedder;
using enhanced_gptcache::EmbedderOptions;
using Clock = std::chrono::steady_clock;

constexpr size_t kTokenCounts[] = {3, 9, 12, 14, 32, 64, 128, 256};
constexpr double kSecondsPerCase = 1.5;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Processor time of this thread: what a call costs when other programs share the core.
double cpu_milliseconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

// A text of that many tokens: common words of one piece each, in an order that differs by `variant`.
std::string make_text(size_t tokens, size_t variant) {
  static const char* const kWords[] = {"how", "old", "is",  "the", "green", "house", "near", "that",  "river",
                                       "and", "who", "was", "its", "first", "owner", "in",   "winter"};
  std::string text;
  for (size_t i = 0; i + 2 < tokens; ++i) {
    if (i > 0) text += ' ';
    text += kWords[(i * 5 + variant) % std::size(kWords)];
  }
  return text;
}

void measure_latency(const Embedder& embedder, size_t tokens) {
  const size_t seen = embedder.inspect(make_text(tokens, 0)).tokens + 2;
  std::vector<double> times, cpu_times;
  const auto start = Clock::now();
  for (size_t i = 0; milliseconds_since(start) < kSecondsPerCase * 1000 || times.size() < 20; ++i) {
    const std::string text = make_text(tokens, i);
    const auto begin = Clock::now();
    const double cpu_begin = cpu_milliseconds();
    const auto embedding = embedder.embed(text);
    if (!embedding) return;
    cpu_times.push_back(cpu_milliseconds() - cpu_begin);
    times.push_back(milliseconds_since(begin));
  }
  std::sort(times.begin(), times.end());
  std::sort(cpu_times.begin(), cpu_times.end());
  const auto at = [&](double share) {
    return times[static_cast<size_t>(share * static_cast<double>(times.size()))];
  };
  std::printf("%-11s tokens %3zu  p50 %7.3f ms  p95 %7.3f  p99 %7.3f  min %7.3f  cpu p50 %7.3f (%zu runs)\n",
              std::string(embedder.kernel_name()).c_str(), seen, at(0.5), at(0.95), at(0.99), times.front(),
              cpu_times[cpu_times.size() / 2], times.size());
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Processor time of scoring one text of `tokens` word pieces against candidates of as many.
void measure_pairs(const Embedder& embedder, size_t tokens, size_t candidates) {
  constexpr size_t kEmbedTokens = 12;
  std::vector<double> pair_times, embed_times;
  const auto start = Clock::now();
  for (size_t i = 0; milliseconds_since(start) < kSecondsPerCase * 1000 || embed_times.size() < 20; ++i) {
    const std::string query = make_text(tokens + 2, i);
    std::vector<std::string> texts;
    for (size_t c = 0; c < candidates; ++c) texts.push_back(make_text(tokens + 2, i + c + 1));
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    const double begin = cpu_milliseconds();
    const auto scores = embedder.pair_scores(query, views);
    const double middle = cpu_milliseconds();
    const std::string text = make_text(kEmbedTokens, i);
    const double after = cpu_milliseconds();
    const auto embedding = embedder.embed(text);
    if (!scores || !embedding) return;
    embed_times.push_back(cpu_milliseconds() - after);
    pair_times.push_back(middle - begin);
  }
  const double pair = median(pair_times), embed = median(embed_times);
  std::printf(
      "%-11s pair %2zu+%-2zu word pieces, %zu candidates: cpu p50 %7.3f ms, min %7.3f; one embedding of %zu"
      " tokens %7.3f ms, min %7.3f; ratio %.2f\n",
      std::string(embedder.kernel_name()).c_str(), tokens, tokens, candidates, pair, pair_times.front(),
      kEmbedTokens, embed, embed_times.front(), pair / embed);
}

void measure_throughput(const Embedder& embedder, size_t tokens) {
  constexpr size_t kTexts = 2000, kInFlight = 64;
  std::mutex mutex;
  std::condition_variable changed;
  size_t running = 0, done = 0;
  const auto start = Clock::now();
  for (size_t i = 0; i < kTexts; ++i) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return running < kInFlight; });
      ++running;
    }
    embedder.embed_async(make_text(tokens, i), [&](auto) {
      const std::lock_guard lock(mutex);
      --running;
      ++done;
      changed.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return done == kTexts; });
  std::printf("%-11s async  %3zu tokens, %zu in flight: %.0f texts/s\n",
              std::string(embedder.kernel_name()).c_str(), tokens, kInFlight,
              static_cast<double>(kTexts) * 1000.0 / milliseconds_since(start));
}

}  // namespace

int main(int argc, char** argv) {
  std::string pair_file;
  if (argc > 2 && std::string_view(argv[1]) == "--pair") {
    pair_file = argv[2];
    argv += 2;
    argc -= 2;
  }
  if (argc < 2) {
    std::fprintf(stderr, "usage: embed_bench [--pair FILE] MODEL_DIR [KERNEL...]\n");
    return 2;
  }
  std::vector<std::string> kernels(argv + 2, argv + argc);
  if (kernels.empty()) kernels = enhanced_gptcache::simd::kernel_names();
  for (const std::string& kernel : kernels) {
    EmbedderOptions options;
    options.model_dir = argv[1];
    options.kernel = kernel;
    options.pair_encoder_path = pair_file;
    const auto start = Clock::now();
    const auto embedder = Embedder::open(options);
    if (!embedder) {
      std::fprintf(stderr, "%s\n", embedder.error().message.c_str());
      return 1;
    }
    std::printf("%-11s opened in %.0f ms\n", kernel.c_str(), milliseconds_since(start));
    if (!pair_file.empty()) {
      std::printf("%-11s %s\n", kernel.c_str(), std::string((*embedder)->pair_encoder_status()).c_str());
    }
    if ((*embedder)->has_pair_encoder()) {
      for (const size_t tokens : {10, 12, 30, 64}) measure_pairs(**embedder, tokens, 1);
      for (const size_t tokens : {10, 12}) measure_pairs(**embedder, tokens, 4);
    }
    for (const size_t tokens : kTokenCounts) measure_latency(**embedder, tokens);
    measure_throughput(**embedder, 12);
  }
  return 0;
}

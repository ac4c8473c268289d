// One turn of the comparison with ONNX Runtime (bench/peers/onnx_turn.py does the same with the same texts):
// every line of FILE embedded by itself, and all of them in batches, on one core. One JSON line.
//
// usage: embed_turn MODEL_DIR FILE SECONDS BATCH [KERNEL]   (BATCH 1: lines by themselves)

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/embedder.h"

namespace {

using enhanced_gptcache::Embedder;
using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

bool run(const Embedder& embedder, const std::vector<std::string>& lines, double seconds, size_t batch) {
  std::vector<std::string_view> texts(lines.begin(), lines.end());
  std::vector<double> times;
  const auto start = Clock::now();
  for (size_t at = 0; milliseconds_since(start) < seconds * 1e3 || times.size() < 20;) {
    const auto begin = Clock::now();
    if (batch == 1) {
      if (!embedder.embed(texts[at])) return false;
    } else if (!embedder.embed_batch(std::span(texts).subspan(at, batch))) {
      return false;
    }
    times.push_back(milliseconds_since(begin));
    at = at + 2 * batch > texts.size() ? 0 : at + batch;
  }
  const double took = milliseconds_since(start);
  std::sort(times.begin(), times.end());
  std::printf("{\"kernel\": \"%s\", \"batch\": %zu, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"texts_s\": %.1f}\n",
              std::string(embedder.kernel_name()).c_str(), batch, times[times.size() / 2],
              times[times.size() * 99 / 100], static_cast<double>(times.size() * batch) * 1e3 / took);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fputs("usage: embed_turn MODEL_DIR FILE SECONDS BATCH [KERNEL]\n", stderr);
    return 2;
  }
  enhanced_gptcache::EmbedderOptions options;
  options.model_dir = argv[1];
  if (argc > 5) options.kernel = argv[5];
  const auto embedder = Embedder::open(options);
  if (!embedder) {
    std::fprintf(stderr, "embed_turn: %s\n", embedder.error().message.c_str());
    return 1;
  }
  std::vector<std::string> lines;
  std::ifstream file(argv[2]);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  const size_t batch = std::strtoul(argv[4], nullptr, 10);
  if (batch == 0 || lines.size() < batch) {
    std::fprintf(stderr, "embed_turn: %s holds %zu lines, fewer than a batch of %s\n", argv[2], lines.size(),
                 argv[4]);
    return 2;
  }
  return run(**embedder, lines, std::strtod(argv[3], nullptr), batch) ? 0 : 1;
}

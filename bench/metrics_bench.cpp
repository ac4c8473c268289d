// What the metrics of one request cost: everything ServerMetrics and ProxyMetrics do for a proxied exact hit,
// and for one of /cache/lookup, as the server calls it (one thread, or several at once), and what one scrape
// takes. One JSON line. bench/metrics_cost.py sets it beside what such a hit costs the server.
//
// usage: metrics_bench [THREADS]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "app/proxy_metrics.h"

namespace {

using namespace enhanced_gptcache;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 1'000'000;
constexpr int kScrapes = 200;

double ns_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

/// ServerMetrics::on_access counts under these labels; it wants a connection, which there is none of here.
void finished(app::ServerMetrics& server, std::string_view route) {
  static auto& requests =
      server.registry().counters({"requests_total", "Finished HTTP requests.", {"route", "status"}, 200});
  requests.with({route, std::to_string(200)}).add();
}

void proxied_hits(app::ServerMetrics& server, app::ProxyMetrics& proxy, int rounds) {
  proxy::RequestRecord record;
  record.route = "/v1/chat/completions";
  record.outcome = proxy::Outcome::kHit;
  record.layer = "exact";
  record.status = 200;
  record.model = "gpt-4o-mini";
  record.saved = {20, 60};
  for (int i = 0; i < rounds; ++i) {
    proxy.on_stage(proxy::Stage::kParse, 5 + i % 7);
    proxy.on_stage(proxy::Stage::kLookup, 10 + i % 11);
    record.ttft_us = record.total_us = 30 + i % 90;
    proxy.on_request(record);
    finished(server, record.route);
  }
}

void native_hits(app::ServerMetrics& server, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    server.on_cache_request(app::Outcome::kHit, "exact", 0.03 + 0.001 * (i % 90));
    finished(server, "/cache/lookup");
  }
}

/// Wall time of a round of each thread, which is what a core of the server spends.
template <typename Work>
double ns_each(int threads, const Work& work) {
  work(kRounds / 100);
  const Clock::time_point start = Clock::now();
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([&work] { work(kRounds); });
  work(kRounds);
  for (std::thread& other : others) other.join();
  return ns_since(start) / kRounds;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  if (threads < 1 || threads > 256) {
    std::fprintf(stderr, "metrics_bench: threads must be 1 to 256\n");
    return 2;
  }
  app::ServerMetrics server;
  app::ProxyMetrics proxy(server);
  proxy.set_prices({"gpt-4o-mini*=0.15/0.6"}, "USD");
  const double chat = ns_each(threads, [&](int rounds) { proxied_hits(server, proxy, rounds); });
  const double lookup = ns_each(threads, [&](int rounds) { native_hits(server, rounds); });
  proxy.configure(false, false);
  const double untracked = ns_each(threads, [&](int rounds) { proxied_hits(server, proxy, rounds); });
  size_t bytes = 0;
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < kScrapes; ++i) bytes = server.registry().prometheus_text().size();
  std::printf(
      "{\"threads\": %d, \"chat_hit_ns\": %.1f, \"lookup_hit_ns\": %.1f, "
      "\"chat_hit_without_tracking_ns\": %.1f, \"scrape_us\": %.1f, \"scrape_bytes\": %zu}\n",
      threads, chat, lookup, untracked, ns_since(start) / kScrapes / 1000, bytes);
  return 0;
}

#pragma once
// Traces to an OpenTelemetry collector: OTLP over HTTP in its JSON form (opentelemetry-proto 1.x, "OTLP/HTTP
// JSON"), in batches, from a bounded queue, on a thread of its own. A request never waits for it: what does
// not fit, and what the collector does not take, is dropped and counted. Written here because Debian 12 has
// no OpenTelemetry library for C++.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "metrics/registry.h"
#include "proxy/trace.h"

namespace enhanced_gptcache::app {

struct OtlpOptions {
  std::string endpoint;        ///< http(s)://host[:port]/path
  std::string authorization;   ///< empty: no such header
  std::string ca_file;         ///< trusted besides the system's authorities
  size_t queue_max = 2048;     ///< traces
  int64_t timeout_ms = 3'000;  ///< of one batch, in whole
  double sample_ratio = 0.01;  ///< of requests without a traceparent
  std::string version;         ///< of the service
};

/// OTLP/HTTP JSON of these traces: one ExportTraceServiceRequest.
std::string otlp_json(const std::vector<proxy::FinishedTrace>& traces, std::string_view version);

/// Thread rule: any thread; one of its own.
class OtlpExporter final : public proxy::TraceSink {
 public:
  /// `registry` outlives it.
  OtlpExporter(OtlpOptions options, metrics::Registry& registry);
  ~OtlpExporter() override;
  OtlpExporter(const OtlpExporter&) = delete;
  OtlpExporter& operator=(const OtlpExporter&) = delete;

  bool samples(const std::optional<base::TraceContext>& parent) override;
  void take(proxy::FinishedTrace trace) override;
  void set_sample_ratio(double ratio) { sample_ratio_.store(ratio, std::memory_order_relaxed); }
  /// Sends one batch of what waits, unless the last one failed, and ends: within twice the timeout. What
  /// comes later is dropped.
  void stop();

 private:
  void run();
  void send(const std::vector<proxy::FinishedTrace>& batch);

  const OtlpOptions options_;
  std::atomic<double> sample_ratio_;
  metrics::Counter& sent_;
  metrics::Counter& dropped_full_;
  metrics::Counter& dropped_failed_;
  std::string last_problem_;  // of its own thread
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<proxy::FinishedTrace> waiting_;  // guarded by mutex_
  bool stopping_ = false;                     // guarded by mutex_
  std::thread thread_;
};

}  // namespace enhanced_gptcache::app

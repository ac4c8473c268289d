#include "app/otlp_exporter.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/outgoing_call.h"
#include "base/log.h"
#include "proxy/shadow_check.h"

namespace enhanced_gptcache::app {
namespace {

using nlohmann::ordered_json;

constexpr size_t kBatchMax = 256;  // traces in one call: about half a megabyte
constexpr std::chrono::seconds kInterval{2};
constexpr const char* kScope = "enhanced-gptcache";
constexpr int kStatusError = 2;

/// 64-bit numbers are texts in the JSON form of protocol buffers.
struct ValueJson {
  ordered_json operator()(const std::string& value) const { return {{"stringValue", value}}; }
  ordered_json operator()(int64_t value) const { return {{"intValue", std::to_string(value)}}; }
  ordered_json operator()(double value) const { return {{"doubleValue", value}}; }
  ordered_json operator()(bool value) const { return {{"boolValue", value}}; }
};

std::string nanoseconds(int64_t us) { return std::to_string(us) + "000"; }

ordered_json span_json(const std::string& trace_id, const proxy::Span& span) {
  ordered_json out = {{"traceId", trace_id}, {"spanId", span.id}};
  if (!span.parent.empty()) out["parentSpanId"] = span.parent;
  out["name"] = span.name;
  out["kind"] = static_cast<int>(span.kind);
  out["startTimeUnixNano"] = nanoseconds(span.begin_us);
  out["endTimeUnixNano"] = nanoseconds(std::max(span.begin_us, span.end_us));
  ordered_json attributes = ordered_json::array();
  for (const auto& [name, value] : span.attributes)
    attributes.push_back({{"key", name}, {"value", std::visit(ValueJson(), value)}});
  out["attributes"] = std::move(attributes);
  if (span.failed) out["status"] = {{"code", kStatusError}};
  return out;
}

metrics::Counter& dropped(metrics::Registry& registry, std::string_view reason) {
  return registry
      .counters(
          {"traces_dropped_total",
           "Traced requests that were not exported: full, the queue; failed, the collector did not take "
           "them.",
           {"reason"},
           4})
      .with({reason});
}

ordered_json text_attribute(std::string_view name, std::string_view value) {
  return {{"key", name}, {"value", {{"stringValue", value}}}};
}

}  // namespace

std::string otlp_json(const std::vector<proxy::FinishedTrace>& traces, std::string_view version) {
  ordered_json spans = ordered_json::array();
  for (const proxy::FinishedTrace& trace : traces)
    for (const proxy::Span& span : trace.spans) spans.push_back(span_json(trace.trace_id, span));
  ordered_json scope = {{"scope", {{"name", kScope}, {"version", version}}}, {"spans", std::move(spans)}};
  ordered_json resource = {{"attributes", ordered_json::array({text_attribute("service.name", kScope),
                                                               text_attribute("service.version", version)})}};
  ordered_json resource_spans = {{"resource", std::move(resource)},
                                 {"scopeSpans", ordered_json::array({std::move(scope)})}};
  const ordered_json whole = {{"resourceSpans", ordered_json::array({std::move(resource_spans)})}};
  // Names of models are what callers wrote, which may be no UTF-8 once it is cut.
  return whole.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

OtlpExporter::OtlpExporter(OtlpOptions options, metrics::Registry& registry)
    : options_(std::move(options)),
      sample_ratio_(options_.sample_ratio),
      sent_(registry.counter("traces_exported_total", "Traced requests that the collector has taken.")),
      dropped_full_(dropped(registry, "full")),
      dropped_failed_(dropped(registry, "failed")),
      thread_([this] { run(); }) {}

OtlpExporter::~OtlpExporter() { stop(); }

bool OtlpExporter::samples(const std::optional<base::TraceContext>& parent) {
  if (parent) return parent->sampled;
  return proxy::is_sampled(sample_ratio_.load(std::memory_order_relaxed));
}

void OtlpExporter::take(proxy::FinishedTrace trace) {
  bool is_batch = false;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || waiting_.size() >= options_.queue_max) {
      dropped_full_.add();
      return;
    }
    waiting_.push_back(std::move(trace));
    is_batch = waiting_.size() == kBatchMax;
  }
  if (is_batch) wake_.notify_all();
}

void OtlpExporter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void OtlpExporter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, kInterval, [this] { return stopping_ || waiting_.size() >= kBatchMax; });
    const bool is_last = stopping_;
    // One batch is sent when the server stops, not the whole queue, and none to a collector that just failed:
    // stopping must not take minutes.
    if (!waiting_.empty() && !(is_last && !last_problem_.empty())) {
      const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), kBatchMax));
      const std::vector<proxy::FinishedTrace> batch(std::make_move_iterator(waiting_.begin()),
                                                    std::make_move_iterator(end));
      waiting_.erase(waiting_.begin(), end);
      lock.unlock();
      send(batch);
      lock.lock();
    }
    if (!is_last) continue;
    dropped_failed_.add(waiting_.size());
    waiting_.clear();
    return;
  }
}

void OtlpExporter::send(const std::vector<proxy::FinishedTrace>& batch) {
  OutgoingCall call;
  call.method = "POST";
  call.url = options_.endpoint;
  call.headers = {{"Content-Type", "application/json"}};
  if (!options_.authorization.empty()) call.headers.push_back({"Authorization", options_.authorization});
  call.body = otlp_json(batch, options_.version);
  call.ca_file = options_.ca_file;
  call.timeout_ms = options_.timeout_ms;
  call.total_ms = options_.timeout_ms;
  const auto answered = call_out(call);
  (answered ? sent_ : dropped_failed_).add(batch.size());
  // Said once, not every few seconds.
  const std::string problem = answered ? "" : answered.error().message;
  if (!problem.empty() && problem != last_problem_)
    base::log_warning("tracing: the collector did not take {} traces: {}", batch.size(), problem);
  last_problem_ = problem;
}

}  // namespace enhanced_gptcache::app

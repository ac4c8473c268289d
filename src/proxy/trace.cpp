#include "proxy/trace.h"

#include <algorithm>

#include "base/keyed_hash.h"
#include "proxy/forward.h"

namespace enhanced_gptcache::proxy {
namespace {

/// A request makes a handful; more would be a fault of ours.
constexpr size_t kSpansMax = 32;

}  // namespace

RequestTrace::RequestTrace(std::shared_ptr<TraceSink> sink, const std::optional<base::TraceContext>& parent,
                           const base::Clock& clock)
    : sink_(std::move(sink)),
      clock_(clock),
      began_wall_us_(clock.wall_ms() * 1000),
      began_mono_us_(clock.mono_us()),
      trace_id_(parent ? parent->trace_id : base::random_hex(16)),
      parent_id_(parent ? parent->span_id : std::string()),
      root_id_(base::random_hex(8)),
      upstream_id_(base::random_hex(8)) {}

TracePtr RequestTrace::begin(const std::shared_ptr<TraceSink>& sink, std::string_view traceparent,
                             const base::Clock& clock) {
  if (sink == nullptr) return nullptr;
  const auto parent = base::parse_traceparent(traceparent);
  if (!sink->samples(parent)) return nullptr;
  return TracePtr(new RequestTrace(sink, parent, clock));
}

RequestTrace::~RequestTrace() {
  if (!spans_.empty()) sink_->take({trace_id_, std::move(spans_)});
}

void RequestTrace::pass_on(http::Headers& headers) const {
  set_header(headers, "traceparent", base::traceparent_of({trace_id_, upstream_id_, true}));
  // Without a traceparent that can be read, the state belongs to no trace (W3C Trace Context, 3.3).
  if (parent_id_.empty())
    std::erase_if(headers,
                  [](const http::Header& one) { return equals_ignoring_case(one.name, "tracestate"); });
}

std::string RequestTrace::add(Span span) {
  if (span.id.empty()) span.id = base::random_hex(8);
  if (span.parent.empty()) span.parent = root_id_;
  std::string id = span.id;
  const std::lock_guard lock(mutex_);
  if (spans_.size() < kSpansMax) spans_.push_back(std::move(span));
  return id;
}

void RequestTrace::finish(Span span) {
  span.id = root_id_;
  span.parent = parent_id_;
  span.kind = Span::Kind::kServer;
  span.begin_us = began_wall_us_;
  span.end_us = now_us();
  const std::lock_guard lock(mutex_);
  spans_.push_back(std::move(span));
}

void note_answer(TimedSpan& span, const http::UpstreamResponse& response) {
  span.note("http.response.status_code", int64_t{response.status()});
  span.note("egptc.upstream", response.upstream_name());
  if (response.status() >= 500) span.fail();
}

void add_lookup(RequestTrace& trace, int64_t began_us, const Lookup& lookup,
                const cache::LookupTimes& times) {
  Span whole;
  whole.name = "lookup";
  whole.begin_us = began_us;
  whole.end_us = trace.now_us();
  whole.attributes = {{"egptc.layer", "semantic"},
                      {"egptc.hit", lookup.entry != nullptr},
                      {"egptc.threshold", lookup.threshold}};
  if (lookup.entry != nullptr) {
    whole.attributes.emplace_back("egptc.similarity", lookup.similarity);
  } else {
    whole.attributes.emplace_back("egptc.reason", std::string(to_string(lookup.reason)));
    if (lookup.nearest) whole.attributes.emplace_back("egptc.similarity", lookup.nearest->similarity);
  }
  if (lookup.pair_encoder_ms > 0)
    whole.attributes.emplace_back("egptc.pair_encoder_ms", lookup.pair_encoder_ms);
  const int64_t end_us = whole.end_us;
  const std::string parent = trace.add(std::move(whole));
  int64_t at_us = began_us;
  const auto part = [&](const char* name, int64_t until_us) {
    Span span;
    span.name = name;
    span.parent = parent;
    span.begin_us = at_us;
    span.end_us = at_us = std::clamp(until_us, at_us, end_us);
    trace.add(std::move(span));
  };
  // They follow one another: without an embedding there was no search.
  if (times.embed_us > 0) part("embed", at_us + times.embed_us);
  if (lookup.embedding == nullptr) return;
  part("search", at_us + times.search_us);
  part("decide", end_us);
}

}  // namespace enhanced_gptcache::proxy

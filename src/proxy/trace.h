#pragma once
// One traced request as spans: the request, the look-up and its parts, the upstream call. Names, times and
// identifiers only; nothing of what was asked or answered is ever part of a span.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/trace_context.h"
#include "cache/lookup_times.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "http/upstream.h"

namespace enhanced_gptcache::proxy {

using SpanValue = std::variant<std::string, int64_t, double, bool>;

struct Span {
  enum class Kind { kInternal = 1, kServer = 2, kClient = 3 };  ///< as OTLP numbers them
  std::string name;
  std::string id, parent;            ///< 16 hexadecimal digits; no parent: empty
  int64_t begin_us = 0, end_us = 0;  ///< since 1970
  Kind kind = Kind::kInternal;
  bool failed = false;
  std::vector<std::pair<std::string_view, SpanValue>> attributes;  ///< names are literals
};

struct FinishedTrace {
  std::string trace_id;
  std::vector<Span> spans;  ///< in the order they ended
};

/// Where traces go. Thread rule: any thread; must not block.
class TraceSink {
 public:
  virtual ~TraceSink() = default;
  /// Is this request traced? With a parent its flag decides, without one a share of them is.
  virtual bool samples(const std::optional<base::TraceContext>& parent) = 0;
  virtual void take(FinishedTrace trace) = 0;
};

/// A request that is traced. It goes to the sink when the last part of it has let go: the caller may have its
/// answer before the flight has learned from it. Thread rule: any thread.
class RequestTrace {
 public:
  /// Null when the request is not traced.
  static std::shared_ptr<RequestTrace> begin(const std::shared_ptr<TraceSink>& sink,
                                             std::string_view traceparent, const base::Clock& clock);
  ~RequestTrace();
  RequestTrace(const RequestTrace&) = delete;
  RequestTrace& operator=(const RequestTrace&) = delete;

  int64_t now_us() const { return began_wall_us_ + (clock_.mono_us() - began_mono_us_); }
  int64_t began_us() const { return began_wall_us_; }
  const std::string& root_id() const { return root_id_; }
  /// Tells the provider: its part of this trace hangs below the upstream span.
  void pass_on(http::Headers& headers) const;
  const std::string& upstream_id() const { return upstream_id_; }

  /// A span below `parent` (empty: the request); returns its identifier.
  std::string add(Span span);
  /// The request itself.
  void finish(Span span);

 private:
  RequestTrace(std::shared_ptr<TraceSink> sink, const std::optional<base::TraceContext>& parent,
               const base::Clock& clock);
  const std::shared_ptr<TraceSink> sink_;
  const base::Clock& clock_;
  const int64_t began_wall_us_, began_mono_us_;
  const std::string trace_id_, parent_id_, root_id_, upstream_id_;
  std::mutex mutex_;
  std::vector<Span> spans_;  // guarded by mutex_
};
using TracePtr = std::shared_ptr<RequestTrace>;

/// A span that ends with the scope. Costs nothing while `trace` is null.
class TimedSpan {
 public:
  TimedSpan(TracePtr trace, const char* name, Span::Kind kind = Span::Kind::kInternal)
      : trace_(std::move(trace)) {
    if (trace_ == nullptr) return;
    span_.name = name;
    span_.kind = kind;
    span_.begin_us = trace_->now_us();
    if (kind == Span::Kind::kClient) span_.id = trace_->upstream_id();
  }
  ~TimedSpan() {
    if (trace_ == nullptr) return;
    span_.end_us = trace_->now_us();
    trace_->add(std::move(span_));
  }
  TimedSpan(const TimedSpan&) = delete;
  TimedSpan& operator=(const TimedSpan&) = delete;

  void note(std::string_view name, SpanValue value) {
    if (trace_ != nullptr) span_.attributes.emplace_back(name, std::move(value));
  }
  void fail() { span_.failed = true; }

 private:
  const TracePtr trace_;
  Span span_;
};

/// Who answered, and whether it failed.
void note_answer(TimedSpan& span, const http::UpstreamResponse& response);
/// The look-up and what it was made of, from what it says of itself. `began_us` as RequestTrace::now_us().
void add_lookup(RequestTrace& trace, int64_t began_us, const Lookup& lookup, const cache::LookupTimes& times);

}  // namespace enhanced_gptcache::proxy

#pragma once
// The identity of a trace as it travels between services: W3C Trace Context, header traceparent.

#include <optional>
#include <string>
#include <string_view>

namespace enhanced_gptcache::base {

struct TraceContext {
  std::string trace_id;  ///< 32 lower-case hexadecimal digits, not all 0
  std::string span_id;   ///< 16 of them
  bool sampled = false;  ///< whoever made it records it
};

/// Nothing when the header breaks the format (W3C Trace Context, 3.2): it is then as if there were none.
std::optional<TraceContext> parse_traceparent(std::string_view header);
/// In version 00.
std::string traceparent_of(const TraceContext& context);

}  // namespace enhanced_gptcache::base

#pragma once
// What a caller may ask of the cache, by X-Cache-* headers, by LiteLLM's body field, or by the
// headers of other gateways (one alias table), so that moving over is a change of URL.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"
#include "proxy/errors.h"

namespace enhanced_gptcache::proxy {

enum class CacheType { kAll, kExact, kSemantic, kOff };

/// Thread rule: plain values.
struct Controls {
  bool no_cache = false;        ///< do not read; learn the new answer (REFRESH)
  bool no_store = false;        ///< do not learn
  bool only_if_cached = false;  ///< never go upstream; 504 when not cached
  CacheType type = CacheType::kAll;
  std::optional<int64_t> age_max_ms;
  std::optional<int64_t> ttl_ms;
  std::optional<double> threshold;
  std::string name_space;
  std::string subject;
  std::string query;
  std::vector<std::string> tags;
};

struct ControlRules {
  bool honour_cache_control = false;
  int64_t ttl_s_max = 365LL * 24 * 3600;
};

/// Reads every control of a request. Our own headers win over aliases, headers over the body field.
/// Errors name the header (or body field), its value and what is allowed.
ApiResult<Controls> read_controls(const std::vector<http::HeaderView>& headers, std::string_view body_cache,
                                  const ControlRules& rules);

/// Is this request header (any case) addressed to the cache and so not forwarded?
bool is_control_header(std::string_view name);

/// Names of all control headers, lower case, for the document and its test.
std::vector<std::string_view> control_header_names();

}  // namespace enhanced_gptcache::proxy

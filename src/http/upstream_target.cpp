#include "http/upstream_target.h"

#include "http/head_parser.h"

namespace enhanced_gptcache::http {
namespace {

Result<void> check_range(const char* field, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return {};
  return fail(ErrorCode::kInvalidArgument, std::string(field) + " is " + std::to_string(value) +
                                               ", allowed are " + std::to_string(min) + " to " +
                                               std::to_string(max));
}

Result<void> check_numbers(const UpstreamOptions& options) {
  constexpr int64_t kDayMs = 86'400'000;
  struct Row {
    const char* field;
    int64_t value, min, max;
  };
  const Row rows[] = {
      {"upstream.connect_timeout_ms", options.connect_timeout_ms, 1, kDayMs},
      {"upstream.first_byte_timeout_ms", options.first_byte_timeout_ms, 1, kDayMs},
      {"upstream.idle_timeout_ms", options.idle_timeout_ms, 1, kDayMs},
      {"upstream.idle_connections_max", static_cast<int64_t>(options.idle_connections_max), 0, 100'000},
      {"upstream.retries_max", options.retries_max, 0, 10},
      {"upstream.retry_base_ms", options.retry_base_ms, 0, 60'000},
      {"upstream.header_bytes_max", static_cast<int64_t>(options.header_bytes_max), 1024, 16 << 20},
      {"upstream.breaker_failures", static_cast<int64_t>(options.breaker_failures), 1, 1'000'000},
      {"upstream.breaker_open_ms", options.breaker_open_ms, 1, kDayMs},
  };
  for (const Row& row : rows) {
    if (auto checked = check_range(row.field, row.value, row.min, row.max); !checked) return checked;
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const UpstreamSnapshot>> UpstreamSnapshot::create(const UpstreamOptions& options,
                                                                         const UpstreamSnapshot* previous) {
  if (auto checked = check_numbers(options); !checked) return fail(checked.error());
  auto snapshot = std::make_shared<UpstreamSnapshot>();
  snapshot->options_ = options;
  EGPTC_TRY(snapshot->tls_, make_tls_context(options.ca_file));
  if (!options.https_proxy.empty()) {
    EGPTC_TRY(snapshot->proxy_, parse_url(options.https_proxy, "HTTPS_PROXY", true));
    if (snapshot->proxy_->tls) {
      return fail(ErrorCode::kInvalidArgument,
                  "HTTPS_PROXY must be an http:// address; TLS to the proxy is not supported");
    }
  }
  EGPTC_TRY(Target standard, snapshot->make_target(options.default_target, "upstream.base_url", previous));
  standard.is_default = true;
  standard.passes_caller_credential = options.default_target.api_key.empty();
  snapshot->default_.push_back(std::move(standard));
  for (size_t i = 0; i < options.routes.size(); ++i) {
    const UpstreamRoute& from = options.routes[i];
    const std::string field = "upstream.routes[" + std::to_string(i) + "]";
    if (from.model_pattern.empty()) return fail(ErrorCode::kInvalidArgument, field + ".model is empty");
    Route route{from.model_pattern, {}};
    EGPTC_TRY(Target first, snapshot->make_target(from.target, field + ".base_url", previous));
    route.targets.push_back(std::move(first));
    for (const UpstreamTarget& fallback : from.fallbacks) {
      EGPTC_TRY(Target next, snapshot->make_target(fallback, field + ".fallbacks", previous));
      route.targets.push_back(std::move(next));
    }
    snapshot->routes_.push_back(std::move(route));
  }
  return std::shared_ptr<const UpstreamSnapshot>(std::move(snapshot));
}

Result<Target> UpstreamSnapshot::make_target(const UpstreamTarget& settings, const std::string& field,
                                             const UpstreamSnapshot* previous) {
  Target target;
  target.settings = settings;
  if (!is_field_value(settings.api_key)) {
    return fail(ErrorCode::kInvalidArgument,
                field + ": its api_key has a line break or another control character");
  }
  EGPTC_TRY(target.plan.url, parse_url(settings.base_url, field));
  target.plan.tls = tls_;
  target.plan.timeout_ms = options_.connect_timeout_ms;
  if (proxy_ && target.plan.url.tls && !is_excluded_from_proxy(options_.no_proxy, target.plan.url)) {
    target.plan.proxy = proxy_;
  }
  const std::string state_key = settings.name + "\n" + settings.base_url;
  auto& state = states_[state_key];
  if (!state && previous != nullptr && previous->states_.contains(state_key))
    state = previous->states_.at(state_key);
  if (!state) state = std::make_shared<TargetState>(settings.name);
  state->breaker.configure(options_.breaker_failures, options_.breaker_open_ms * 1000);
  target.state = state;
  const Url& url = target.plan.url;
  std::string group_key = (url.tls ? "https://" : "http://") + url.host_and_port() + "\n" + options_.ca_file;
  if (target.plan.proxy) group_key += "\n" + options_.https_proxy;
  auto& group = groups_[group_key];
  if (!group && previous != nullptr && previous->groups_.contains(group_key))
    group = previous->groups_.at(group_key);
  if (!group) group = std::make_shared<PoolGroup>();
  target.group = group;
  return target;
}

const std::vector<Target>& UpstreamSnapshot::targets_for(std::string_view model) const {
  if (!model.empty()) {
    for (const Route& route : routes_) {
      if (matches_wildcard(route.model_pattern, model)) return route.targets;
    }
  }
  return default_;
}

void UpstreamSnapshot::retire(const UpstreamSnapshot& next) const {
  for (const auto& [key, group] : groups_) {
    if (!next.groups_.contains(key)) group->obsolete.store(true, std::memory_order_relaxed);
  }
}

}  // namespace enhanced_gptcache::http

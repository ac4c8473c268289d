#include "proxy/control_rights.h"

#include <fmt/format.h>

#include "base/canonical_json.h"

namespace enhanced_gptcache::proxy {
namespace {

using security::Control;

tl::unexpected<ApiError> forbid(std::string_view control, std::string message) {
  return tl::unexpected<ApiError>(forbidden_control(control, std::move(message)));
}

}  // namespace

ApiError forbidden_control(std::string_view control, std::string message) {
  ApiError error;
  error.status = 403;
  error.param = control;
  error.code = "cache_control_not_allowed";
  error.message = std::move(message);
  return error;
}

ApiResult<void> apply_rights(const security::Identity& identity, Controls& controls) {
  const std::pair<Control, bool> asked[] = {{Control::kNoCache, controls.no_cache},
                                            {Control::kNoStore, controls.no_store},
                                            {Control::kOnlyIfCached, controls.only_if_cached},
                                            {Control::kMaxAge, controls.age_max_ms.has_value()},
                                            {Control::kTtl, controls.ttl_ms.has_value()},
                                            {Control::kNamespace, !controls.name_space.empty()},
                                            {Control::kThreshold, controls.threshold.has_value()},
                                            {Control::kType, controls.type != CacheType::kAll},
                                            {Control::kTags, !controls.tags.empty()},
                                            {Control::kSubject, !controls.subject.empty()},
                                            {Control::kQuery, !controls.query.empty()}};
  for (const auto& [control, used] : asked) {
    if (used && !identity.controls.has(control)) {
      const std::string_view name = to_string(control);
      return forbid(name, fmt::format("This key does not allow the cache control '{}'.", name));
    }
  }
  if (identity.namespaces.empty()) return {};
  if (controls.name_space.empty()) {
    controls.name_space = identity.namespaces.front();
  } else if (!identity.may_use_namespace(controls.name_space)) {
    return forbid("namespace", fmt::format("This key does not allow the namespace {}.",
                                           base::json_string(base::repair_utf8(controls.name_space))));
  }
  return {};
}

}  // namespace enhanced_gptcache::proxy

#include "native/rights.h"

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "cache/entry_access.h"

namespace enhanced_gptcache::native {
namespace {

using security::Control;

constexpr std::pair<const char*, Control> kFields[] = {{"namespace", Control::kNamespace},
                                                       {"threshold", Control::kThreshold},
                                                       {"ttl_seconds", Control::kTtl},
                                                       {"tags", Control::kTags},
                                                       {"subject", Control::kSubject}};

std::optional<Forbidden> check_object(const Caller& caller, const nlohmann::json& object) {
  for (const auto& [field, control] : kFields) {
    if (object.contains(field) && !caller.identity->controls.has(control))
      return Forbidden{
          fmt::format("{}: this key does not allow the cache control {}", field, to_string(control)), field};
  }
  const auto named = object.find("namespace");
  if (named == object.end() || !named->is_string()) return std::nullopt;
  return find_forbidden_namespace(caller, named->get_ref<const std::string&>());
}

}  // namespace

std::optional<Forbidden> find_forbidden(const Caller& caller, const nlohmann::json& body) {
  if (caller.identity == nullptr || !body.is_object()) return std::nullopt;
  if (auto found = check_object(caller, body)) return found;
  const auto entries = body.find("entries");
  if (entries == body.end() || !entries->is_array()) return std::nullopt;
  for (const nlohmann::json& entry : *entries)
    if (entry.is_object())
      if (auto found = check_object(caller, entry)) return found;
  return std::nullopt;
}

std::optional<Forbidden> find_forbidden_namespace(const Caller& caller, std::string_view name) {
  if (caller.identity == nullptr || caller.identity->may_use_namespace(name)) return std::nullopt;
  return Forbidden{fmt::format("namespace: {} is not among the namespaces of this key",
                               base::json_string(base::repair_utf8(name.substr(0, 256)))),
                   "namespace"};
}

std::optional<std::string> own_namespace(const Caller& caller) {
  if (caller.identity == nullptr || caller.identity->namespaces.empty()) return std::nullopt;
  return caller.identity->namespaces.front();
}

bool may_reach(const Caller& caller, const Entry& entry) {
  if (caller.identity == nullptr) return true;
  if (!caller.identity->may_use_namespace(entry.name_space())) return false;
  return caller.sees_decisions() || cache::is_within_reach(entry, {caller.user, caller.principal});
}

Result<FeedbackResult> give_feedback(EnhancedCache& cache, const Caller& caller, Feedback feedback) {
  auto result = cache.feedback(feedback);
  const bool is_unknown = !result && result.error().code == ErrorCode::kNotFound;
  if (!is_unknown || !caller.sees_decisions()) return result;
  // As the tenant itself, to whom all of its decisions belong.
  feedback.user.clear();
  feedback.principal.clear();
  return cache.feedback(feedback);
}

}  // namespace enhanced_gptcache::native

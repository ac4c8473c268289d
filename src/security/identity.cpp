#include "security/identity.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/canonical_json.h"

namespace enhanced_gptcache::security {
namespace {

constexpr std::array<std::string_view, kRoles> kRoleNames = {"viewer", "client", "operator", "admin"};
constexpr std::array<std::string_view, kScopes> kScopeNames = {
    "proxy", "cache:read", "cache:write", "cache:manage", "metrics", "admin:read", "admin:write"};
constexpr std::array<std::string_view, kControls> kControlNames = {
    "no-cache",  "no-store", "only-if-cached", "max-age", "ttl",  "namespace",
    "threshold", "type",     "tags",           "subject", "query"};
constexpr size_t kNameBytesMax = 128;
constexpr size_t kNamespaceBytesMax = 256;

Result<Flags> parse_names(const std::vector<std::string>& names, std::span<const std::string_view> known,
                          std::string_view what) {
  if (names.empty()) return Flags::all();
  Flags flags;
  for (const std::string& name : names) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("{}: {} is none; allowed are {}", what,
                      base::json_string(base::repair_utf8(name.substr(0, 64))), fmt::join(known, ", ")));
    }
    flags = flags.with(found - known.begin());
  }
  return flags;
}

}  // namespace

std::string_view to_string(Role role) { return kRoleNames[static_cast<size_t>(role)]; }
std::string_view to_string(Scope scope) { return kScopeNames[static_cast<size_t>(scope)]; }
std::string_view to_string(Control control) { return kControlNames[static_cast<size_t>(control)]; }

std::optional<Role> parse_role(std::string_view name) {
  const auto found = std::find(kRoleNames.begin(), kRoleNames.end(), name);
  if (found == kRoleNames.end()) return std::nullopt;
  return static_cast<Role>(found - kRoleNames.begin());
}

Result<Flags> parse_scopes(const std::vector<std::string>& names) {
  return parse_names(names, kScopeNames, "scopes");
}
Result<Flags> parse_controls(const std::vector<std::string>& names) {
  return parse_names(names, kControlNames, "controls");
}

bool Identity::may_use_namespace(std::string_view name) const {
  return namespaces.empty() || std::find(namespaces.begin(), namespaces.end(), name) != namespaces.end();
}

Result<void> check_tenant_name(std::string_view name) {
  const bool visible = std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!name.empty() && name.size() <= kNameBytesMax && visible) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("tenant: must be 1 to {} visible ASCII characters", kNameBytesMax));
}

Result<void> check_namespace_name(std::string_view name) {
  const bool printable = std::none_of(
      name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (!name.empty() && name.size() <= kNamespaceBytesMax && printable && base::is_valid_utf8(name)) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("namespaces: each must be 1 to {} bytes of UTF-8 without control characters",
                          kNamespaceBytesMax));
}

std::string tenant_of_name(std::string_view name) { return "tenant:" + std::string(name); }

}  // namespace enhanced_gptcache::security

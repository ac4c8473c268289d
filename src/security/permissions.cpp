#include "security/permissions.h"

#include <fmt/format.h>

#include "base/canonical_json.h"

namespace enhanced_gptcache::security {
namespace {

constexpr Flags roles(std::initializer_list<Role> names) {
  Flags flags;
  for (const Role role : names) flags = flags.with(role);
  return flags;
}

constexpr Flags kEverybody = roles({Role::kViewer, Role::kClient, Role::kOperator, Role::kAdmin});
constexpr Flags kUsers = roles({Role::kClient, Role::kOperator, Role::kAdmin});
constexpr Flags kWatchers = roles({Role::kViewer, Role::kOperator, Role::kAdmin});
constexpr Flags kManagers = roles({Role::kOperator, Role::kAdmin});
constexpr Flags kAdmins = roles({Role::kAdmin});

constexpr Permission open(std::string_view method, std::string_view path) { return {method, path, true}; }
constexpr Permission row(std::string_view method, std::string_view path, Flags who, Scope scope) {
  return {method, path, false, who, scope};
}
/// For all who have a credential, whatever it was narrowed to.
constexpr Permission known(std::string_view method, std::string_view path) {
  return {method, path, false, kEverybody, Scope::kProxy, false, false, true};
}
constexpr Permission managing(std::string_view method, std::string_view path, Flags who, Scope scope) {
  return {method, path, false, who, scope, false, true};
}
constexpr Permission admin(std::string_view method, std::string_view path, Flags who, Scope scope,
                           bool audited = true) {
  return {method, path, false, who, scope, true, audited};
}

using enum Scope;
constexpr Permission kRows[] = {
    open("GET", "/health"),
    open("GET", "/ready"),
    open("GET", "/live"),
    open("GET", "/openapi.json"),
    // The console's files hold no data; what its user may see is decided where the page asks for it.
    open("GET", "/console"),
    known("GET", "/console/session"),
    open("GET", "/console/*"),
    row("GET", "/metrics", kWatchers, kMetrics),
    row("POST", "/cache/lookup", kUsers, kCacheRead),
    row("POST", "/cache/feedback", kUsers, kCacheWrite),
    row("POST", "/cache/entries", kUsers, kCacheWrite),
    row("GET", "/cache/entries/*", kUsers, kCacheRead),
    row("DELETE", "/cache/entries/*", kUsers, kCacheWrite),
    // Lists, counts and similarities are oracles about what others of the tenant asked.
    row("GET", "/cache/entries", kManagers, kCacheManage),
    managing("POST", "/cache/invalidate", kManagers, kCacheManage),
    row("POST", "/cache/explain", kManagers, kCacheManage),
    managing("POST", "/cache/flush", kManagers, kCacheManage),
    managing("POST", "/cache/erase", kManagers, kCacheManage),
    managing("POST", "/cache/export", kManagers, kCacheManage),
    // Reading needs no right to change, so dashboards and operators get by without an admin's key.
    admin("GET", "/admin/stats", kWatchers, kAdminRead, false),
    admin("GET", "/admin/events", kWatchers, kAdminRead, false),
    admin("GET", "/admin/config", kManagers, kAdminRead, false),
    admin("GET", "/admin/config/schema", kManagers, kAdminRead, false),
    admin("GET", "/admin/tau", kManagers, kAdminRead, false),
    admin("GET", "/admin/permissions", kManagers, kAdminRead, false),
    admin("POST", "/admin/reload", kManagers, kAdminWrite),
    admin("GET", "/admin/keys", kAdmins, kAdminRead),
    admin("GET", "/admin/audit", kAdmins, kAdminRead),
    admin("GET", "/admin/backup", kAdmins, kAdminRead, false),
    admin("*", "/admin/*", kAdmins, kAdminWrite),
    row("*", "/v1/*", kUsers, kProxy),
    row("*", "/openai/deployments/*", kUsers, kProxy),
};

bool covers(const Permission& row, std::string_view method, std::string_view path) {
  const bool same_method =
      row.method == "*" || row.method == method || (row.method == "GET" && method == "HEAD");
  if (!same_method) return false;
  if (!row.path.ends_with("/*")) return row.path == path;
  return path.starts_with(row.path.substr(0, row.path.size() - 1));
}

template <typename Each>
std::string names_json(Flags flags, size_t count, Each name) {
  std::string out = "[";
  for (size_t i = 0; i < count; ++i) {
    if (!flags.has(i)) continue;
    if (out.size() > 1) out += ',';
    out += base::json_string(name(i));
  }
  return out + "]";
}

}  // namespace

std::span<const Permission> permissions() { return kRows; }

const Permission* find_permission(std::string_view method, std::string_view path) {
  for (const Permission& row : kRows)
    if (covers(row, method, path)) return &row;
  return nullptr;
}

std::string why_not(const Permission& row, const Identity& identity) {
  if (!row.roles.has(identity.role)) {
    std::string allowed;
    for (size_t i = 0; i < kRoles; ++i) {
      if (!row.roles.has(i)) continue;
      allowed += (allowed.empty() ? "" : ", ") + std::string(to_string(static_cast<Role>(i)));
    }
    return fmt::format("the role {} may not call {} {} (allowed: {})", to_string(identity.role), row.method,
                       row.path, allowed);
  }
  if (!row.any_scope && !identity.scopes.has(row.scope))
    return fmt::format("this key lacks the scope {}, which {} {} needs", to_string(row.scope), row.method,
                       row.path);
  return {};
}

std::string permissions_json() {
  std::string out = "[";
  for (const Permission& row : kRows) {
    if (out.size() > 1) out += ',';
    const std::string who = names_json(row.open ? kEverybody : row.roles, kRoles,
                                       [](size_t i) { return to_string(static_cast<Role>(i)); });
    out += fmt::format(
        R"({{"method":{},"path":{},"open":{},"roles":{},"scope":{},"admin_network":{},"audited":{}}})",
        base::json_string(row.method), base::json_string(row.path), row.open, who,
        row.open || row.any_scope ? "null" : base::json_string(to_string(row.scope)), row.admin_network,
        row.audited);
  }
  return out + "]";
}

}  // namespace enhanced_gptcache::security

#pragma once
// Which role may call which route: the one table. The dispatcher goes by it, `/admin/permissions` shows it,
// and the matrix test walks over it. A route that is not in it is open to nobody while security is on.

#include <span>
#include <string>
#include <string_view>

#include "security/identity.h"

namespace enhanced_gptcache::security {

struct Permission {
  std::string_view method;  ///< "*": any
  std::string_view path;    ///< exact, or a prefix when it ends in "/*"
  bool open = false;        ///< needs no credential
  Flags roles = {};         ///< of those who need one
  Scope scope = Scope::kProxy;
  bool admin_network = false;  ///< only from security.admin_networks
  bool audited = false;        ///< written down when it succeeds; refusals always are
  bool any_scope = false;      ///< whatever the key was narrowed to
};

/// The whole table, most specific row first.
std::span<const Permission> permissions();
/// The row of a request, or null. HEAD counts as GET. Thread rule: any thread.
const Permission* find_permission(std::string_view method, std::string_view path);
/// Empty, or why this caller may not: a sentence that names the role or the scope.
std::string why_not(const Permission& row, const Identity& identity);
/// As a JSON list of {method, path, open, roles, scope, admin_network, audited}.
std::string permissions_json();

}  // namespace enhanced_gptcache::security

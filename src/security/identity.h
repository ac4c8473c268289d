#pragma once
// Who a request comes from once its credential was checked: role, tenant, and what of the cache it may use.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::security {

/// viewer looks at metrics, client uses the cache, operator also manages its tenant's entries, admin also
/// changes settings and keys. What each may call is one table: security/permissions.h.
enum class Role : uint8_t { kViewer, kClient, kOperator, kAdmin };
inline constexpr size_t kRoles = 4;
std::string_view to_string(Role role);
std::optional<Role> parse_role(std::string_view name);

/// What a key may be narrowed to, below its role.
enum class Scope : uint8_t {
  kProxy,
  kCacheRead,
  kCacheWrite,
  kCacheManage,
  kMetrics,
  kAdminRead,
  kAdminWrite
};
inline constexpr size_t kScopes = 7;
/// "proxy", "cache:read", "cache:write", "cache:manage", "metrics", "admin:read", "admin:write".
std::string_view to_string(Scope scope);

/// Things a request may ask of the cache (docs/controls.md).
enum class Control : uint8_t {
  kNoCache,
  kNoStore,
  kOnlyIfCached,
  kMaxAge,
  kTtl,
  kNamespace,
  kThreshold,
  kType,
  kTags,
  kSubject,
  kQuery
};
inline constexpr size_t kControls = 11;
/// "no-cache", "no-store", "only-if-cached", "max-age", "ttl", "namespace", "threshold", "type", "tags",
/// "subject", "query".
std::string_view to_string(Control control);

/// A set of the values of one of the enumerations above.
class Flags {
 public:
  constexpr Flags() = default;
  static constexpr Flags all() { return Flags(~uint32_t{0}); }
  template <typename Enum>
  constexpr bool has(Enum value) const {
    return (bits_ >> static_cast<unsigned>(value) & 1U) != 0;
  }
  template <typename Enum>
  constexpr Flags with(Enum value) const {
    return Flags(bits_ | uint32_t{1} << static_cast<unsigned>(value));
  }
  friend constexpr bool operator==(Flags, Flags) = default;

 private:
  explicit constexpr Flags(uint32_t bits) : bits_(bits) {}
  uint32_t bits_ = 0;
};

/// A list of names as a set; an empty list is all of them. kInvalidArgument names the one that is none and
/// what is allowed.
Result<Flags> parse_scopes(const std::vector<std::string>& names);
Result<Flags> parse_controls(const std::vector<std::string>& names);

/// Thread rule: immutable, shared by all requests of one key or token.
struct Identity {
  std::string id;      ///< for logs, audit and limits: "key:0123456789ab", "jwt:<subject>"
  std::string tenant;  ///< what entries are kept under
  std::string user;    ///< a token's subject; empty for keys
  Role role = Role::kViewer;
  Flags scopes = Flags::all();
  Flags controls = Flags::all();
  /// Empty: any. The first one is used when a request names none.
  std::vector<std::string> namespaces;
  bool trusted = false;  ///< loaders and evaluation: not taken for a prober, admitted at once

  bool may_use_namespace(std::string_view name) const;
  bool is_trusted_writer() const { return trusted || role == Role::kOperator || role == Role::kAdmin; }
  /// Similarities, probabilities and entry ids tell what others asked.
  bool sees_decisions() const { return role == Role::kOperator || role == Role::kAdmin; }
};
using IdentityPtr = std::shared_ptr<const Identity>;

/// What a tenant's name in a key or token may be: 1 to 128 visible ASCII characters.
Result<void> check_tenant_name(std::string_view name);
Result<void> check_namespace_name(std::string_view name);
/// The tenant string of a name: never one that the keyed hash of provider credentials could make.
std::string tenant_of_name(std::string_view name);

/// What one admitted request carries. `identity` is null while security is off.
struct Pass {
  IdentityPtr identity;
  /// The Authorization header held a credential of ours (a token does not look like a key), so it is not
  /// for the provider.
  bool own_authorization = false;
  /// Its places among those running at once, as a key and as an address; given back with the request.
  std::shared_ptr<const void> lease, address_lease;
};
using PassPtr = std::shared_ptr<const Pass>;

}  // namespace enhanced_gptcache::security

#include "security/certificates.h"

#include <fmt/format.h>

#include <algorithm>

#include "security/provider_use.h"

namespace enhanced_gptcache::security {
namespace {

constexpr std::string_view kDns = "DNS:";

/// As it is compared.
std::string folded(std::string name) {
  if (name.starts_with(kDns))
    std::transform(name.begin() + kDns.size(), name.end(), name.begin() + kDns.size(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return name;
}

}  // namespace

Result<CertificateMap> CertificateMap::parse(const std::vector<std::string>& rows) {
  CertificateMap map;
  for (const std::string& row : rows) {
    // Names hold equals signs (of URIs), roles and tenants do not.
    const size_t equals = row.rfind('=');
    const size_t at = equals == row.npos ? row.npos : row.find('@', equals);
    const auto role = at == row.npos ? std::nullopt : parse_role(row.substr(equals + 1, at - equals - 1));
    if (!role || equals == 0)
      return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not name=role@tenant", row));
    const std::string tenant = row.substr(at + 1);
    if (auto checked = check_tenant_name(tenant); !checked)
      return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\": {}", row, checked.error().message));
    auto identity = std::make_shared<Identity>();
    identity->id = "certificate:" + row.substr(0, equals);
    identity->tenant = tenant_of_name(tenant);
    identity->role = *role;
    map.rows_.emplace_back(folded(row.substr(0, equals)), std::move(identity));
  }
  return map;
}

bool CertificateMap::has_other_tenant(std::string_view tenant) const {
  return std::any_of(rows_.begin(), rows_.end(), [tenant](const auto& row) {
    return uses_provider(row.second->role) && row.second->tenant != tenant;
  });
}

IdentityPtr CertificateMap::find(const std::vector<std::string>& names) const {
  for (const auto& [name, identity] : rows_)
    for (const std::string& shown : names)
      if (folded(shown) == name) return identity;
  return nullptr;
}

}  // namespace enhanced_gptcache::security

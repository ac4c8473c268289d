#pragma once
// Who calls by a TLS certificate alone: names in it that the operator has given a role and a tenant.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "security/identity.h"

namespace enhanced_gptcache::security {

/// The rows of security.client_certificates. Thread rule: immutable.
class CertificateMap {
 public:
  CertificateMap() = default;
  /// Rows "name=role@tenant". kInvalidArgument names the one that is none.
  static Result<CertificateMap> parse(const std::vector<std::string>& rows);

  bool empty() const { return rows_.empty(); }
  /// Does a row let a client or operator of another tenant in than this (Identity::tenant)?
  bool has_other_tenant(std::string_view tenant) const;
  /// Of the names in one verified certificate ("DNS:...", "URI:...", "email:...", "CN:..."); the first row
  /// that fits counts. Host names go without regard to case (RFC 4343), all else byte by byte; a wildcard in
  /// a certificate or a row is only itself. Null: nobody we know.
  IdentityPtr find(const std::vector<std::string>& names) const;

 private:
  std::vector<std::pair<std::string, IdentityPtr>> rows_;
};

}  // namespace enhanced_gptcache::security

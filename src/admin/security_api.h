#pragma once
// The operator's endpoints about who may call and what they did: /admin/keys, /admin/permissions,
// /admin/audit.

#include <functional>
#include <memory>
#include <string>

#include "http/server.h"
#include "security/audit_log.h"
#include "security/key_store.h"

namespace enhanced_gptcache::admin {

/// `keys` and `audit` outlive the server's handlers.
struct SecurityHooks {
  security::KeyStore* keys = nullptr;
  security::AuditLog* audit = nullptr;  ///< null: there is no audit log
  /// Runs work off the connection's thread (writing waits for the disk); false: too much waits already.
  std::function<bool(std::function<void()>)> offload;
};

/// Thread rule: any thread.
class SecurityApi {
 public:
  explicit SecurityApi(SecurityHooks hooks);
  void register_routes(http::Server& server);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// `?limit=n` of /admin/audit: 1 to 1000, 100 when it is not given.
Result<size_t> read_audit_limit(std::string_view query);
/// The body of POST /admin/keys. kInvalidArgument names the field; an unknown field is an error.
Result<security::KeyWish> read_key_wish(std::string_view body, int64_t now_ms);
/// The body of POST /admin/keys/{prefix}/rotate: empty, or {"grace_seconds": n}; in milliseconds.
Result<int64_t> read_grace_ms(std::string_view body);

}  // namespace enhanced_gptcache::admin

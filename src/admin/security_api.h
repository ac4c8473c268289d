#pragma once
// The operator's endpoints about who may call: /admin/keys and /admin/permissions.

#include <functional>
#include <memory>
#include <string>

#include "http/server.h"
#include "security/key_store.h"

namespace enhanced_gptcache::admin {

/// `keys` outlives the server's handlers.
struct SecurityHooks {
  security::KeyStore* keys = nullptr;
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

/// The body of POST /admin/keys. kInvalidArgument names the field; an unknown field is an error.
Result<security::KeyWish> read_key_wish(std::string_view body, int64_t now_ms);
/// The body of POST /admin/keys/{prefix}/rotate: empty, or {"grace_seconds": n}; in milliseconds.
Result<int64_t> read_grace_ms(std::string_view body);

}  // namespace enhanced_gptcache::admin

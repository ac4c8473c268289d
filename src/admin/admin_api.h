#pragma once
// The operator's endpoints: /health, /ready, /live, /metrics and /admin/*. Everything they report
// comes from functions the app gives; settings changes go through config::SettingsSource.

#include <functional>
#include <string>

#include "admin/health.h"
#include "config/settings_source.h"
#include "http/server.h"
#include "metrics/registry.h"

namespace enhanced_gptcache::admin {

/// What the endpoints need. Every function may be called on any thread.
struct AdminHooks {
  HealthInputs health;
  std::function<bool()> ready;
  std::function<void(HealthStatus)> on_health;  ///< told every answer of /health; may be empty
  std::function<std::string()> summary_json;    ///< the JSON form of /metrics
  std::function<std::string()> stats_json;      ///< /admin/stats
  /// Why this caller would be refused at /admin/config under these settings; empty: it would not.
  std::function<std::string(const http::Exchange&, const config::Settings&)> why_locked_out;
  /// POST /admin/backup: a consistent copy of the entries, as JSON {"name", "path"}.
  std::function<Result<std::string>()> make_checkpoint;
  std::function<std::string()> list_checkpoints;                         ///< GET /admin/backup
  std::function<Result<void>(const std::string& name)> drop_checkpoint;  ///< DELETE /admin/backup/NAME
  std::function<std::string()> encryption_json;                          ///< GET /admin/encryption
  std::function<Result<void>()> rotate_keys;                             ///< POST /admin/encryption/rotate
  /// As `offload`, for what may take seconds.
  std::function<bool(std::function<void()>)> offload_long;
  /// Runs work off the connection's thread; false: too much waits already.
  std::function<bool(std::function<void()>)> offload;
};

/// Thread rule: any thread. `registry` and `source` outlive the server's handlers.
class AdminApi {
 public:
  AdminApi(AdminHooks hooks, const metrics::Registry& registry, config::SettingsSource& source);
  void register_routes(http::Server& server);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

enum class MetricsForm { kJson, kPrometheus };
/// JSON for Accept: application/json or exactly */*; Prometheus text for everything else and for no
/// Accept; ?format=json|prometheus decides. kInvalidArgument: another format.
Result<MetricsForm> metrics_form(std::string_view accept, std::string_view query);

}  // namespace enhanced_gptcache::admin

#pragma once
// What validate-deployment looks at. Each check is a function of the deployment and gives one finding, so
// that a test can make each of them fail alone.

#include <string>
#include <vector>

#include "config/loader.h"
#include "http/exchange.h"

namespace enhanced_gptcache::cli {

enum class Verdict { kOk, kWarning, kFailed };

struct CheckResult {
  Verdict verdict = Verdict::kOk;
  std::string detail;
};

/// What is checked. Immutable during a run.
struct Deployment {
  const config::Loaded* loaded = nullptr;
  std::string url;        ///< of the running server
  http::Headers headers;  ///< the caller's credential, if any
  bool is_strict = true;  ///< production: what is a warning elsewhere is a failure
  std::string backups;    ///< folder of backup_*.tar.gz
  double backup_hours_max = 26;
};

// Of the running server.
CheckResult check_live(const Deployment& deployment);
CheckResult check_ready(const Deployment& deployment);
CheckResult check_health_report(const Deployment& deployment);
CheckResult check_metrics(const Deployment& deployment);
/// Stores, finds, misses and deletes one entry in a namespace of its own.
CheckResult check_round_trip(const Deployment& deployment);
/// 200 exact hits by the server's own clock: mean under 1 ms, P95 under 5, P99 under 10.
CheckResult check_latency(const Deployment& deployment);

// Of this machine and its settings.
CheckResult check_settings(const Deployment& deployment);
CheckResult check_transport(const Deployment& deployment);
CheckResult check_permissions(const Deployment& deployment);
CheckResult check_storage_folder(const Deployment& deployment);
/// The weights against the sum they were published with.
CheckResult check_model_sum(const Deployment& deployment);
CheckResult check_backups(const Deployment& deployment);

/// sha256 of the model.safetensors that scripts/fetch_model.sh installs.
inline constexpr std::string_view kModelSum =
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

}  // namespace enhanced_gptcache::cli

#pragma once
// The subcommands as plain functions. arguments.cpp and arguments_eval.cpp alone know the argument
// parser, because its headers cost seconds in every file that sees them. Each returns an exit code:
// 0 ok, 1 failed check, 2 usage.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/loader.h"
#include "http/exchange.h"

namespace enhanced_gptcache::cli {

/// What every subcommand knows: `load` is filled from --config, --section.key=value and the environment.
struct Common {
  config::LoadRequest load;
  std::string server_url;  ///< --server; empty: from the settings
};

struct QueryArguments {
  std::string text, name_space, model, key_variable;
  double threshold = -1;  ///< below 0: not given
  bool as_json = false;
  bool explain = false;
};
struct StoreArguments {
  std::string query, response, file, name_space, model, key_variable;
  std::vector<std::string> tags;
  int64_t ttl_seconds = 0;  ///< 0: not given
};
struct ValidateArguments {
  std::string file, print_key;
  bool table = false;
  bool effective = false;
};

struct DeploymentArguments {
  std::string environment;  ///< empty: ENV, else production
  std::string key_variable;
  std::string backups = "/opt/backups/enhanced-gptcache";
  double backup_hours_max = 26;  ///< a daily backup that ran late
  bool as_json = false;
  bool remote = false;
};

inline constexpr uint64_t kBenchEntriesMax = 4000;
/// The form of a load, and what asks (src/cli/bench.cpp).
struct BenchArguments {
  std::string bodies, path = "/v1/chat/completions", key_variable;
  std::vector<std::string> headers;
  uint64_t entries = 1000, start = 0, connections = 1, requests = 0;
  double seconds = 5, rate = 0, semantic_percent = 20;
  bool as_json = false;
};

int serve(const Common& common);
int bench(const Common& common, const BenchArguments& wanted);
int query(const Common& common, const QueryArguments& wanted);
int store(const Common& common, const StoreArguments& wanted);
int validate_config(const Common& common, const ValidateArguments& wanted);
int doctor(const Common& common, bool as_json);
int validate_deployment(const Common& common, DeploymentArguments wanted);

/// Parses the command line and runs the subcommand it names.
int run(std::vector<std::string> arguments);

/// 2 when a flag of the command line is among the wrong settings (usage), else 1.
int failure_code(const std::vector<config::Problem>& errors);
/// Loads the settings or prints every problem to stderr (null then, and `exit_code` says how to end).
std::shared_ptr<const config::Loaded> load_or_report(const Common& common, int& exit_code);
/// What --api-key-env is without a value, for the help texts.
inline constexpr const char* kDefaultKey =
    " (default: security.admin_key_file, then admin.key in the storage folder)";
/// Who calls the running server: the key in the environment variable of --api-key-env, else, as it is this
/// machine's, security.admin_key_file or admin.key of the first start; none where that cannot be read, for a
/// server on another machine (an admin's key is not handed to it), and with security off, when only /admin
/// (`is_admin_call`) may still have security on. kInvalidArgument: the variable is not set.
Result<http::Headers> caller_credential(const Common& common, const config::Settings& settings,
                                        const std::string& key_variable, bool is_admin_call);
/// http://host:port of the server these settings describe, or --server.
std::string server_url(const Common& common, const config::Settings& settings);

}  // namespace enhanced_gptcache::cli

#pragma once
// The subcommands as plain functions. arguments.cpp and arguments_eval.cpp alone know the argument
// parser, because its headers cost seconds in every file that sees them. Each returns an exit code:
// 0 ok, 1 failed check, 2 usage.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/loader.h"

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
/// http://host:port of the server these settings describe, or --server.
std::string server_url(const Common& common, const config::Settings& settings);

}  // namespace enhanced_gptcache::cli

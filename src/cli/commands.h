#pragma once
// The subcommands. Each takes what the common flags gave and its own, and returns an exit code:
// 0 ok, 1 failed check, 2 usage.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "config/loader.h"

namespace enhanced_gptcache::cli {

/// What every subcommand knows. `load` is filled from --config, --section.key=value and the environment.
struct Common {
  config::LoadRequest load;
  std::string server_url;  ///< --server; empty: from the settings
};

// Each adds its subcommand to `app`; `exit_code` is set when it ran.
void add_serve(CLI::App& app, Common& common, int& exit_code);
void add_query(CLI::App& app, Common& common, int& exit_code);
void add_store(CLI::App& app, Common& common, int& exit_code);
void add_validate_config(CLI::App& app, Common& common, int& exit_code);
void add_doctor(CLI::App& app, Common& common, int& exit_code);
void add_version(CLI::App& app, int& exit_code);

/// Loads the settings or prints every problem to stderr (null then).
std::shared_ptr<const config::Loaded> load_or_report(const Common& common);
/// http://host:port of the server these settings describe, or --server.
std::string server_url(const Common& common, const config::Settings& settings);

}  // namespace enhanced_gptcache::cli

#pragma once
// From files, environment and flags to one Settings, with every error found, not only the first.
// Precedence: flag, environment, admin change, file, built-in (profile of ENV, then default).
// docs/settings.md states the rules for the reader; settings.def the keys.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/problem.h"
#include "config/settings.h"
#include "config/settings_table.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::config {

/// Where a value came from.
enum class Origin { kBuiltIn, kFile, kAdmin, kEnvironment, kFlag };
std::string_view to_string(Origin origin);  ///< "built-in", "file", "admin", "environment", "flag"

struct LoadRequest {
  std::optional<std::string> path;                 ///< --config
  std::vector<std::string> flags;                  ///< "cache.size_mb=5", dashes in front allowed
  std::map<std::string, std::string> environment;  ///< usually process_environment()
  std::vector<std::string> search = {"./config.yaml", "/etc/enhanced-gptcache/config.yaml"};
  /// Replaces what the admin file holds (to try a change before it is kept); "section.key" to text.
  std::optional<std::map<std::string, std::string>> admin_values;
  /// Where the admin file is, when a running server already keeps it somewhere; else below storage.path.
  std::optional<std::string> admin_path;
};

struct Value {
  Origin origin = Origin::kBuiltIn;
  std::string source;  ///< as in Problem; "built-in" or "built-in (production)"
};

/// A valid set. Thread rule: immutable.
struct Loaded {
  Settings settings;
  std::vector<Value> values;              ///< one per keys()
  std::string path;                       ///< of the file read; empty: none
  std::string environment;                ///< production, staging or development
  std::string admin_path;                 ///< of the admin changes, whether it exists or not
  std::vector<std::string> secret_files;  ///< read for *_file keys: worth watching
  std::vector<Problem> warnings;
};

/// Source of the problems of LoadRequest::admin_values.
inline constexpr std::string_view kRequestPlace = "the request";

struct LoadOutcome {
  std::shared_ptr<const Loaded> loaded;  ///< null when there are errors
  std::vector<Problem> errors;
  std::vector<Problem> warnings;
  std::string path;  ///< of the file, even when it is invalid
};

std::map<std::string, std::string> process_environment();
LoadOutcome load(const LoadRequest& request);
/// The same, all errors joined into one message (kInvalidArgument).
Result<std::shared_ptr<const Loaded>> load_or_error(const LoadRequest& request);

/// Effective values as JSON: {"environment", "file", "admin_file", "sections": {section: {key: {value,
/// origin, source, reload, pending?}}}}; secrets are "********".
std::string effective_json(const Loaded& loaded);
/// One key's effective value as text (secrets masked); kNotFound names the nearest key.
Result<std::string> effective_value(const Loaded& loaded, std::string_view name);
/// "section.key" of every row that differs.
std::vector<std::string> changed_keys(const Settings& before, const Settings& after);

}  // namespace enhanced_gptcache::config

#pragma once
// The settings of one file, for programs that embed the cache: read, checked as the server checks
// them, and read again when the file has changed. The server's own reload is config::SettingsSource.

#include <memory>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache {

/// Thread rule: any thread; config() never waits for a reload.
class ConfigurationManager {
 public:
  /// Reads `path` (empty: the usual search order, else defaults) and the EGPTC_ environment.
  /// kInvalidArgument: every error of the file, one a line. kNotFound: no such file.
  static Result<std::unique_ptr<ConfigurationManager>> open(const std::string& path = "");
  ~ConfigurationManager();
  ConfigurationManager(const ConfigurationManager&) = delete;
  ConfigurationManager& operator=(const ConfigurationManager&) = delete;

  /// All sections as a JSON object of objects, secrets masked: {"cache": {"size_mb": 100, ...}, ...}.
  std::string config() const;

  // Typed values of one key, "cache.size_mb". kNotFound names the nearest key; kInvalidArgument: the key
  // has another type; secrets are masked.
  Result<bool> get_bool(std::string_view name) const;
  Result<int64_t> get_int(std::string_view name) const;
  Result<double> get_double(std::string_view name) const;     ///< integers too
  Result<std::string> get_text(std::string_view name) const;  ///< any type, as text

  /// True when the file changed since the last look and its new values, all of them, are in use now.
  /// kInvalidArgument: it changed and is invalid, and the old values stay.
  Result<bool> check_for_updates();
  /// The file in use; empty: built-in defaults only.
  std::string path() const;

 private:
  class Impl;
  explicit ConfigurationManager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace enhanced_gptcache

#pragma once
// The process log: level, time, message. spdlog behind it; its headers stay in base/log.cpp.
// Prompt text, answers, keys and secrets are never passed to these functions.

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace enhanced_gptcache::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// "DEBUG", "INFO", "WARNING", "ERROR" in any case; false when `name` is none of them.
bool parse_log_level(std::string_view name, LogLevel& level);

/// Any thread. Below `level` nothing is written. Default: kInfo to stderr.
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);

/// Also append to this file (created 0640, rotated at 50 MB, 5 kept). False and a warning when it cannot be
/// opened; stderr goes on.
bool add_log_file(const std::string& path);

/// Any thread; one line (line breaks in `message` are escaped, so that input cannot forge lines).
void write_log(LogLevel level, std::string_view message);

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kDebug))
    write_log(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kInfo))
    write_log(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kWarning))
    write_log(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace enhanced_gptcache::base

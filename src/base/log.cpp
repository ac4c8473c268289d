#include "base/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <memory>

namespace enhanced_gptcache::base {
namespace {

std::atomic<int> g_level{static_cast<int>(LogLevel::kInfo)};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("egptc", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    made->set_level(spdlog::level::debug);
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

std::string escape_lines(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  for (const char c : message) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (static_cast<unsigned char>(c) < 0x20 && c != '\t') {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

bool parse_log_level(std::string_view name, LogLevel& level) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
  if (upper == "DEBUG")
    level = LogLevel::kDebug;
  else if (upper == "INFO")
    level = LogLevel::kInfo;
  else if (upper == "WARNING")
    level = LogLevel::kWarning;
  else if (upper == "ERROR")
    level = LogLevel::kError;
  else
    return false;
  return true;
}

void set_log_level(LogLevel level) { g_level.store(static_cast<int>(level), std::memory_order_relaxed); }

bool log_enabled(LogLevel level) {
  return static_cast<int>(level) >= g_level.load(std::memory_order_relaxed);
}

bool add_log_file(const std::string& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, 50U << 20U, 5);
    ::chmod(path.c_str(), 0640);
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    logger().sinks().push_back(std::move(sink));  // before the server's threads start
    return true;
  } catch (const spdlog::spdlog_ex& error) {
    log_warning("cannot open the log file {}: {}", path, error.what());
    return false;
  }
}

void write_log(LogLevel level, std::string_view message) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  logger().log(kLevels[static_cast<int>(level)], escape_lines(message));
}

}  // namespace enhanced_gptcache::base

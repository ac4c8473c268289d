#include "base/log.h"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <iterator>
#include <memory>
#include <mutex>

#include "base/canonical_json.h"
#include "base/log_event.h"

namespace enhanced_gptcache::base {
namespace {

std::atomic<int> g_level{static_cast<int>(LogLevel::kInfo)};
std::atomic<bool> g_json{false};

/// What a line in JSON begins with on its way to the formatter; text never does, its control characters are
/// escaped. So lines of both kinds may be under way while the setting changes.
constexpr char kJsonMark = '\x1e';

class LineFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& line, spdlog::memory_buf_t& out) override {
    if (line.payload.size() == 0 || *line.payload.begin() != kJsonMark) return text_.format(line, out);
    spdlog::details::log_msg rest = line;
    rest.payload = spdlog::string_view_t(line.payload.data() + 1, line.payload.size() - 1);
    json_.format(rest, out);
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<LineFormatter>(); }

 private:
  spdlog::pattern_formatter text_{"%Y-%m-%dT%H:%M:%S.%e%z %l %v"};
  spdlog::pattern_formatter json_{R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})"};
};

/// Rotates by size, and opens the file anew when something else moved or removed it (logrotate): otherwise
/// lines would go on into the old file, which is compressed or deleted. One stat per line finds that out, so
/// that no signal is needed and no line is late.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)) { open(); }  // throws spdlog_ex

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    if (!is_ours() && can_be_made()) {
      try {
        open();
      } catch (const spdlog::spdlog_ex&) {
        // The old file takes the lines, and the next line tries again.
      }
    }
    file_->log(line);
  }
  void flush_() override { file_->flush(); }

 private:
  void open() {
    auto file = std::make_unique<spdlog::sinks::rotating_file_sink_st>(path_, kLogBytesMax, kLogFiles);
    file->set_formatter(std::make_unique<LineFormatter>());
    ::chmod(path_.c_str(), 0640);
    file_ = std::move(file);
    struct stat now {};
    if (::stat(path_.c_str(), &now) != 0) return;
    inode_ = now.st_ino;
    device_ = now.st_dev;
  }
  /// Our own rotation looks like a move, too: opening what it opened is harmless, as files are appended to.
  bool is_ours() const {
    struct stat now {};
    return ::stat(path_.c_str(), &now) == 0 && now.st_ino == inode_ && now.st_dev == device_;
  }
  /// Asked first because spdlog tries for 50 ms, and every line would wait for that.
  bool can_be_made() const {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  }

  static constexpr size_t kLogBytesMax = 50U << 20U, kLogFiles = 5;
  const std::string path_;
  std::unique_ptr<spdlog::sinks::rotating_file_sink_st> file_;
  ino_t inode_ = 0;
  dev_t device_ = 0;
};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("egptc", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_formatter(std::make_unique<LineFormatter>());
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
    } else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

/// Characters outside ASCII that end a line or steer a terminal: C1 controls, line and paragraph separators,
/// and those that are invisible or change the direction of text.
void append_harmless(std::string& out, std::string_view json) {
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string_view rest = json.substr(i);
    const auto at = [rest](size_t n) { return n < rest.size() ? static_cast<unsigned char>(rest[n]) : 0U; };
    const bool is_c1 = at(0) == 0xC2 && at(1) >= 0x80 && at(1) < 0xA0;
    const bool is_general = at(0) == 0xE2 && (at(1) == 0x80 || at(1) == 0x81);
    const unsigned code = is_general ? 0x2000U + ((at(1) & 1U) << 6U) + (at(2) & 0x3FU) : at(1);
    const bool is_steering =
        is_general && ((code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
                       (code >= 0x2060 && code <= 0x2069));
    if (is_c1 || is_steering) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
      i += is_c1 ? 1 : 2;
    } else if (at(0) == 0x7F) {
      out += "\\u007f";
    } else {
      out += json[i];
    }
  }
}

void append_value(std::string& out, std::string_view value) {
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7F && c != '=' && c != '"' && c != '\\'; };
  const bool is_word = !value.empty() && value != "-" && std::all_of(value.begin(), value.end(), is_plain);
  if (value.empty()) out += '-';
  if (is_word) out += value;
  if (!value.empty() && !is_word) append_harmless(out, json_string(repair_utf8(value)));
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

void set_log_json(bool json) { g_json.store(json, std::memory_order_relaxed); }

void set_log_level(LogLevel level) { g_level.store(static_cast<int>(level), std::memory_order_relaxed); }

bool log_enabled(LogLevel level) {
  return static_cast<int>(level) >= g_level.load(std::memory_order_relaxed);
}

bool add_log_file(const std::string& path) {
  try {
    logger().sinks().push_back(std::make_shared<FileSink>(path));  // before the server's threads start
    return true;
  } catch (const spdlog::spdlog_ex& error) {
    log_warning("cannot open the log file {}: {}", path, error.what());
    return false;
  }
}

void write_log(LogLevel level, std::string_view message) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  const spdlog::level::level_enum at = kLevels[static_cast<int>(level)];
  if (!g_json.load(std::memory_order_relaxed)) return logger().log(at, escape_lines(message));
  std::string line(1, kJsonMark);
  line += R"("message":)";
  append_json_string(line, repair_utf8(message));
  logger().log(at, line);
}

void log_event(std::string_view event, std::initializer_list<LogField> fields) {
  if (!log_enabled(LogLevel::kInfo)) return;
  const bool json = g_json.load(std::memory_order_relaxed);
  std::string line;
  line.reserve(256);
  if (json) {
    line += kJsonMark;
    line += R"("event":)";
    append_json_string(line, event);
  } else {
    line += event;
  }
  const auto out = std::back_inserter(line);
  for (const LogField& field : fields) {
    line += json ? ",\"" : " ";
    line += field.name;
    line += json ? "\":" : "=";
    if (field.digits >= 0)
      fmt::format_to(out, "{:.{}f}", field.number, field.digits);
    else if (field.is_bool)
      line += field.text;
    else if (json)
      append_json_string(line, repair_utf8(field.text));
    else
      append_value(line, field.text);
  }
  logger().log(spdlog::level::info, line);
}

}  // namespace enhanced_gptcache::base

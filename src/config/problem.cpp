#include "config/problem.h"

#include <fmt/format.h>

namespace enhanced_gptcache::config {
namespace {

constexpr size_t kShownBytesMax = 80;

/// A value fit for one line of a terminal: no control characters, not endless.
std::string printable(const std::string& value) {
  std::string out;
  for (const char c : value.substr(0, kShownBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return value.size() > kShownBytesMax ? out + "..." : out;
}

}  // namespace

std::string Problem::text() const {
  std::string out = source;
  if (!key.empty() && source != "--" + key) out += ": " + key;
  out += ": " + message;
  if (!value.empty()) out += fmt::format(" (got \"{}\")", printable(value));
  return out;
}

std::string Problem::request_text() const {
  std::string out = key;
  const auto append = [&out](std::string_view separator, std::string_view text) {
    if (!out.empty()) out += separator;
    out += text;
  };
  if (!value.empty()) append(": ", fmt::format("\"{}\"", printable(value)));
  append(value.empty() ? ": " : ", ", message);
  return out;
}

void ProblemSink::add(int line, std::string key, std::string value, std::string message) const {
  problems_.push_back({place(line), line, std::move(key), std::move(value), std::move(message)});
}

std::string ProblemSink::place(int line) const {
  return line > 0 ? fmt::format("{}:{}", source_, line) : source_;
}

}  // namespace enhanced_gptcache::config

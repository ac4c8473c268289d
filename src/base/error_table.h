#pragma once
// One row per ErrorCode: what it means as an HTTP status, a metric label, a log level and an exit
// code of the command line. Nowhere else is an ErrorCode translated.

#include <string_view>

#include "base/log.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::base {

struct ErrorRow {
  int http_status;
  std::string_view label;  ///< errors_total{kind=...}
  LogLevel level;
  int exit_code;
};

inline const ErrorRow& error_row(ErrorCode code) {
  static constexpr ErrorRow kRows[] = {
      {400, "invalid_argument", LogLevel::kDebug, 2},  // kInvalidArgument
      {404, "not_found", LogLevel::kDebug, 1},         // kNotFound
      {504, "deadline", LogLevel::kWarning, 1},        // kDeadline
      {503, "overloaded", LogLevel::kWarning, 1},      // kOverloaded
      {503, "unavailable", LogLevel::kWarning, 1},     // kUnavailable
      {500, "corrupt", LogLevel::kError, 1},           // kCorrupt
      {500, "io", LogLevel::kError, 1},                // kIo
      {502, "upstream", LogLevel::kWarning, 1},        // kUpstream
      {501, "unsupported", LogLevel::kWarning, 1},     // kUnsupported
      {500, "internal", LogLevel::kError, 1},          // kInternal
  };
  return kRows[static_cast<int>(code)];
}

}  // namespace enhanced_gptcache::base

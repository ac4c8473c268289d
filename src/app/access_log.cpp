#include "app/access_log.h"

#include <string>
#include <string_view>

#include "base/canonical_json.h"
#include "base/log.h"
#include "base/log_event.h"

namespace enhanced_gptcache::app {

void log_access(const http::Exchange& exchange, int status, size_t bytes_out, int64_t duration_us) {
  const auto& notes = exchange.notes;
  constexpr size_t kModelBytesMax = 128;  // the caller's text, of any length
  std::string model = base::repair_utf8(std::string_view(notes.model).substr(0, kModelBytesMax));
  if (notes.model.size() > kModelBytesMax) model += "...";
  base::log_event("access", {{"method", exchange.request().method},
                             {"route", notes.route},
                             {"status", static_cast<double>(status), 0},
                             {"bytes", static_cast<double>(bytes_out), 0},
                             {"ms", static_cast<double>(duration_us) / 1000.0, 2},
                             {"cache", notes.cache},
                             {"model", model},
                             {"key", notes.key_id},
                             {"ttft_ms", static_cast<double>(notes.ttft_us) / 1000.0, 2},
                             {"tokens_in", static_cast<double>(notes.tokens_prompt), 0},
                             {"tokens_out", static_cast<double>(notes.tokens_completion), 0},
                             {"id", notes.request_id}});
}

void apply_log_settings(const config::Settings& settings) {
  base::LogLevel level = base::LogLevel::kInfo;
  if (base::parse_log_level(settings.monitoring.log_level, level)) base::set_log_level(level);
  base::set_log_json(settings.monitoring.log_format == "json");
}

}  // namespace enhanced_gptcache::app

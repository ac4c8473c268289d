#include "app/access_log.h"

#include <string>
#include <string_view>

#include "base/canonical_json.h"
#include "base/log.h"

namespace enhanced_gptcache::app {

void log_access(const http::Exchange& exchange, int status, size_t bytes_out, int64_t duration_us) {
  const auto& notes = exchange.notes;
  constexpr size_t kModelBytesMax = 128;  // the caller's text, of any length
  std::string model = base::repair_utf8(std::string_view(notes.model).substr(0, kModelBytesMax));
  if (notes.model.size() > kModelBytesMax) model += "...";
  const auto or_dash = [](const std::string& text) {
    return text.empty() ? std::string_view("-") : std::string_view(text);
  };
  base::log_info(
      "access method={} route={} status={} bytes={} ms={:.2f} cache={} model={} key={} ttft_ms={:.2f} "
      "tokens_in={} tokens_out={} id={}",
      exchange.request().method, or_dash(notes.route), status, bytes_out,
      static_cast<double>(duration_us) / 1000.0, or_dash(notes.cache), or_dash(model), or_dash(notes.key_id),
      static_cast<double>(notes.ttft_us) / 1000.0, notes.tokens_prompt, notes.tokens_completion,
      or_dash(notes.request_id));
}

}  // namespace enhanced_gptcache::app

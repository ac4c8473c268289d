#pragma once
// One line of the log for each request that was answered.

#include <cstdint>

#include "config/settings.h"
#include "http/exchange.h"

namespace enhanced_gptcache::app {

/// Any thread. No prompt, answer, key or address is in it.
void log_access(const http::Exchange& exchange, int status, size_t bytes_out, int64_t duration_us);

/// Level and form of the whole log, from now on.
void apply_log_settings(const config::Settings& settings);

}  // namespace enhanced_gptcache::app

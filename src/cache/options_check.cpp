#include "cache/options_check.h"

#include <fmt/format.h>

#include <cmath>

#include "cache/vouchers.h"
#include "match/guards.h"

namespace enhanced_gptcache::cache {
namespace {

struct Range {
  const char* field;
  double value;
  double min;
  double max;
};

constexpr double kSizeMax = 1e15;

}  // namespace

Result<void> check_options(const Options& options) {
  const auto size = [](size_t value) { return static_cast<double>(value); };
  const Range ranges[] = {
      {"similarity_threshold", options.similarity_threshold, 0, 1},
      {"bytes_max", size(options.bytes_max), 0, kSizeMax},
      {"entry_bytes_max", size(options.entry_bytes_max), 1, size(UINT32_MAX)},
      {"tenant_entries_max", size(options.tenant_entries_max), 0, kSizeMax},
      {"tenant_bytes_max", size(options.tenant_bytes_max), 0, kSizeMax},
      {"partitions_max", size(options.partitions_max), 1, 1e9},
      {"graph_from", size(options.graph_from), 64, 1e9},
      {"serve_percent", options.serve_percent, 0, 100},
      {"ttl_ms", static_cast<double>(options.ttl_ms), 0, kSizeMax},
      {"time_bound_ttl_ms", static_cast<double>(options.time_bound_ttl_ms), 0, kSizeMax},
      {"ttl_jitter", options.ttl_jitter, 0, 0.9},
      {"unknown_token_share_max", options.unknown_token_share_max, 0, 1},
      {"share_after", size(options.share_after), 1, size(Vouchers::kMost)},
      {"length_ratio_max", options.length_ratio_max, 0, 1000},
      {"candidates", size(options.candidates), 1, 1000},
      {"context.divergence_threshold", options.context.divergence_threshold, 0, 2},
      {"context.window_size", size(options.context.window_size), 1, 1000},
      {"tau.initial_tau", options.tau.initial_tau, 0, 1},
      {"tau.learning_rate", options.tau.learning_rate, 0, 1},
      {"tau.tau_max", options.tau.tau_max, 0, 1},
      {"storage.sync_interval_ms", static_cast<double>(options.storage.sync_interval_ms), 1, 3'600'000},
      {"storage.bytes_max", size(options.storage.bytes_max), 1, kSizeMax},
      {"tau.target_error_rate", options.tau.target_error_rate, 0, 0.99},
  };
  for (const Range& range : ranges) {
    if (std::isfinite(range.value) && range.value >= range.min && range.value <= range.max) continue;
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is {}: allowed is {} to {}", range.field, range.value, range.min, range.max));
  }
  for (const auto& [name_space, percent] : options.serve_percent_by_namespace) {
    if (percent >= 0 && percent <= 100) continue;
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("serve_percent_by_namespace of {} is {}: allowed is 0 to 100", name_space, percent));
  }
  if (!options.key_bytes.empty() && options.key_bytes.size() != 32) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("key_bytes has {} bytes: allowed is 32, or none for a random key",
                            options.key_bytes.size()));
  }
  if (!options.storage.path.empty() && options.key_bytes.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "storage.path is set and key_bytes is not: what is stored could not be found again");
  }
  if (auto mask = match::guard_mask(options.guards_off); !mask) {
    return fail(ErrorCode::kInvalidArgument, "guards_off: " + mask.error().message);
  }
  return {};
}

}  // namespace enhanced_gptcache::cache

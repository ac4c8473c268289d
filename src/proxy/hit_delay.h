#pragma once
// Holding hits back, in namespaces whose users must not learn from time what others have asked: a hit
// answers in the milliseconds of the cache, a miss in the seconds of a provider ("The Early Bird Catches the
// Leak", arXiv 2409.20002; "Auditing Prompt Caching", arXiv 2502.07776). A held hit takes as long as its own
// answer took when it was asked for, so that a long answer stays slow and asking twice tells nothing; an
// entry that nobody waited for (stored by hand) takes the time of a recent miss, drawn at random.

#include <cstdint>
#include <functional>
#include <optional>

#include "proxy/call.h"
#include "proxy/miss_times.h"

namespace enhanced_gptcache::proxy {

/// A hit is held back no longer than this, whatever its answer once took.
inline constexpr int64_t kHoldMaxUs = 60'000'000;

/// What a hit is held to. `latency_ms` is what its answer once took, 0: nobody waited for it. The first byte
/// comes in the same proportion as that of `recent`, a miss.
AnswerTimes hold_times(double latency_ms, const std::optional<AnswerTimes>& recent);

/// Whether hits of this namespace are held back (ProxyOptions::padded_namespaces).
bool is_padded_namespace(const ProxyOptions& options, std::string_view name_space);

/// The headers of a padded answer, hit or miss: the same for both, and nothing of the provider's.
http::Headers padded_headers(const Call& call);

/// Sends at the time of a miss, streams event by event; then `done`, with the status for the account (499:
/// the caller has left). On the exchange's executor.
void send_padded(CallPtr call, http::Response response, double latency_ms,
                 std::function<void(Call& call, int status)> done);

}  // namespace enhanced_gptcache::proxy

#pragma once
// Shadow checks: was a semantic hit right? The same request also goes to the provider, off the caller's path,
// and the answers are compared; what cannot be told is put to a judge model, if one is set. Hits that shadow
// mode withheld are checked against the answer their caller got anyway. The result is a label like feedback.

#include <boost/asio/any_io_executor.hpp>
#include <optional>
#include <string>

#include "proxy/field_table.h"
#include "proxy/services.h"

namespace enhanced_gptcache::proxy {

/// The requests hold the caller's credential where it may be used (forward.h): the check keeps it in memory
/// while it runs and nowhere else.
struct ShadowCheck {
  std::string tenant;
  std::string request_id;  ///< of the decision that is judged
  std::string question;
  std::string served;                ///< the cached answer's text
  std::optional<std::string> fresh;  ///< the provider's; unset: `request` asks for it
  Dialect dialect = Dialect::kChat;
  size_t answer_bytes_max = size_t{1} << 20U;
  http::UpstreamRequest request;
  http::UpstreamRequest judge;  ///< without a body; empty model: nobody is asked
};

/// True for a share of the calls, at random. Any thread.
bool is_sampled(double share);
/// Where a judge is asked, by the rules that hold for the caller's own requests.
http::UpstreamRequest judge_request(const Services& services, const ProxyOptions& options,
                                    const http::Request& from);
/// Runs on `executor` (one of the server's). Above `checks_max` at once it is dropped and counted.
void start_shadow_check(ServicesPtr services, const boost::asio::any_io_executor& executor, size_t checks_max,
                        ShadowCheck check);

// For tests.
/// The question put to the judge as a request body; empty: too long to ask.
std::string judge_body(std::string_view model, const ShadowCheck& check, std::string_view fresh);
/// "yes" or "no" and nothing else but case, white space and a full stop.
std::optional<bool> parse_verdict(std::string_view text);

}  // namespace enhanced_gptcache::proxy

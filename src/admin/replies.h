#pragma once
// Answers of the operator's endpoints. Internal to src/admin.

#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"
#include "http/exchange.h"

namespace enhanced_gptcache::admin {

http::Response reply(int status, std::string body, std::string_view type = "application/json");
/// {"error": {message, type, param, code}}.
http::Response refusal(int status, std::string_view message);
http::Response refusal(const Error& error);

}  // namespace enhanced_gptcache::admin

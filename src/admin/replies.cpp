#include "admin/replies.h"

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "base/error_table.h"

namespace enhanced_gptcache::admin {

http::Response reply(int status, std::string body, std::string_view type) {
  http::Response response;
  response.status = status;
  response.headers = {{"Content-Type", std::string(type)}, {"Cache-Control", "no-store"}};
  response.body = std::move(body);
  return response;
}

http::Response refusal(int status, std::string_view message) {
  return reply(
      status,
      fmt::format("{{\"error\":{{\"message\":{},\"type\":\"{}\",\"param\":null,\"code\":null}}}}",
                  base::json_string(message), status < 500 ? "invalid_request_error" : "server_error"));
}

http::Response refusal(const Error& error) {
  return refusal(base::error_row(error.code).http_status, error.message);
}

}  // namespace enhanced_gptcache::admin

#include "cli/http_call.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "http/upstream.h"

namespace enhanced_gptcache::cli {
namespace {

namespace asio = boost::asio;
constexpr size_t kAnswerBytesMax = size_t{256} << 20U;

asio::awaitable<Result<HttpAnswer>> exchange(std::shared_ptr<http::UpstreamClient> client,
                                             http::UpstreamRequest request) {
  auto response = co_await client->send(std::move(request));
  if (!response) co_return fail(response.error());
  HttpAnswer answer;
  answer.status = (*response)->status();
  while (answer.body.size() < kAnswerBytesMax) {
    auto piece = co_await (*response)->read_decoded();
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) break;
    answer.body += *piece;
  }
  co_return answer;
}

}  // namespace

Result<HttpAnswer> http_call(const std::string& base_url, const std::string& method, const std::string& path,
                             std::string body, http::Headers headers) {
  http::UpstreamOptions options;
  options.default_target = {"server", base_url, ""};
  options.retries_max = 0;
  options.connect_timeout_ms = 5'000;
  options.first_byte_timeout_ms = 30'000;
  EGPTC_TRY(auto client, http::UpstreamClient::create(options));
  http::UpstreamRequest request;
  request.method = method;
  request.path = path;
  request.headers = std::move(headers);
  if (!body.empty()) request.headers.push_back({"Content-Type", "application/json"});
  request.body = std::move(body);
  request.retry_allowed = false;
  asio::io_context io;
  Result<HttpAnswer> outcome = fail(ErrorCode::kInternal, "the call did not finish");
  asio::co_spawn(
      io, exchange(client, std::move(request)),
      [&outcome](const std::exception_ptr&, Result<HttpAnswer> answer) { outcome = std::move(answer); });
  io.run();
  return outcome;
}

std::string error_text(const HttpAnswer& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (body.is_object() && body.contains("error") && body["error"].is_object() &&
      body["error"].contains("message") && body["error"]["message"].is_string()) {
    return fmt::format("{} (HTTP {})", body["error"]["message"].get<std::string>(), answer.status);
  }
  return fmt::format("HTTP {}: {}", answer.status, answer.body.substr(0, 500));
}

Result<http::Headers> credential_from(const std::string& variable) {
  if (variable.empty()) return http::Headers{};
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--api-key-env: the environment variable {} is not set", variable));
  }
  return http::Headers{{"Authorization", std::string("Bearer ") + value}};
}

}  // namespace enhanced_gptcache::cli

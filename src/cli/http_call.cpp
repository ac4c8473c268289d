#include "cli/http_call.h"

#include <fmt/format.h>

#include <algorithm>
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

/// One after the other, on one connection where the server keeps it.
asio::awaitable<Result<std::vector<HttpAnswer>>> exchanges(std::shared_ptr<http::UpstreamClient> client,
                                                           http::UpstreamRequest request, size_t count) {
  std::vector<HttpAnswer> answers;
  for (size_t i = 0; i < count; ++i) {
    auto answer = co_await exchange(client, request);
    if (!answer) co_return fail(answer.error());
    answers.push_back(std::move(*answer));
  }
  co_return answers;
}

/// The client never passes on a key of ours that a caller sends; one for this very server is the target's.
std::string take_key(http::Headers& headers) {
  constexpr std::string_view kBearer = "Bearer ";
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const http::Header& header) {
    return header.name == "Authorization" && header.value.starts_with(kBearer);
  });
  if (found == headers.end()) return {};
  std::string key = found->value.substr(kBearer.size());
  headers.erase(found);
  return key;
}

}  // namespace

Result<std::vector<HttpAnswer>> http_calls(const std::string& base_url, const std::string& method,
                                           const std::string& path, std::string body, http::Headers headers,
                                           size_t count) {
  http::UpstreamOptions options;
  options.default_target = {"server", base_url, take_key(headers)};
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
  Result<std::vector<HttpAnswer>> outcome = fail(ErrorCode::kInternal, "the call did not finish");
  asio::co_spawn(io, exchanges(client, std::move(request), count),
                 [&outcome](const std::exception_ptr&, Result<std::vector<HttpAnswer>> answers) {
                   outcome = std::move(answers);
                 });
  io.run();
  return outcome;
}

Result<HttpAnswer> http_call(const std::string& base_url, const std::string& method, const std::string& path,
                             std::string body, http::Headers headers) {
  EGPTC_TRY(auto answers, http_calls(base_url, method, path, std::move(body), std::move(headers), 1));
  return std::move(answers.front());
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

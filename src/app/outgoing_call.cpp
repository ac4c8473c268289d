#include "app/outgoing_call.h"

#include <fmt/format.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "http/upstream.h"

namespace enhanced_gptcache::app {
namespace {

namespace asio = boost::asio;

asio::awaitable<Result<std::string>> fetch(std::shared_ptr<http::UpstreamClient> client,
                                           http::UpstreamRequest request, size_t answer_bytes_max) {
  auto response = co_await client->send(std::move(request));
  if (!response) co_return fail(response.error());
  if ((*response)->status() < 200 || (*response)->status() > 299)
    co_return fail(ErrorCode::kUpstream, fmt::format("it answered {}", (*response)->status()));
  std::string body;
  for (;;) {
    auto piece = co_await (*response)->read_decoded();
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) co_return body;
    body += *piece;
    if (body.size() > answer_bytes_max) co_return fail(ErrorCode::kUpstream, "its answer is too large");
  }
}

}  // namespace

Result<std::string> call_out(const OutgoingCall& call) {
  http::UpstreamOptions options;
  const size_t path = call.url.find('/', call.url.find("://") + 3);
  options.default_target = {"own", call.url.substr(0, path), ""};
  options.retries_max = 0;
  options.connect_timeout_ms = call.timeout_ms;
  options.first_byte_timeout_ms = call.timeout_ms;
  options.idle_timeout_ms = call.timeout_ms;
  options.ca_file = call.ca_file;
  EGPTC_TRY(auto client, http::UpstreamClient::create(options));
  http::UpstreamRequest request;
  request.method = call.method;
  request.path = path == call.url.npos ? "/" : call.url.substr(path);
  request.headers = call.headers;
  request.body = call.body;
  request.retry_allowed = false;
  Result<std::string> outcome = fail(ErrorCode::kInternal, "the call did not finish");
  asio::cancellation_signal cancel;
  asio::io_context io;
  auto take = [&outcome](const std::exception_ptr&, Result<std::string> body) { outcome = std::move(body); };
  asio::co_spawn(io, fetch(client, std::move(request), call.answer_bytes_max),
                 asio::bind_cancellation_slot(cancel.slot(), std::move(take)));
  io.run_for(std::chrono::milliseconds(call.total_ms));
  if (io.stopped()) return outcome;
  cancel.emit(asio::cancellation_type::terminal);
  io.run();
  return fail(ErrorCode::kDeadline, fmt::format("it took longer than {} ms", call.total_ms));
}

}  // namespace enhanced_gptcache::app

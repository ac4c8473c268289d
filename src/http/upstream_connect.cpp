#include "http/upstream_connect.h"

#include <openssl/evp.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <vector>

#include "base/ip_network.h"
#include "http/head_parser.h"
#include "http/server_thread.h"

namespace enhanced_gptcache::http {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kProxyHeadBytesMax = size_t{16} << 10U;

/// The resolver's thread cannot be interrupted in getaddrinfo, so the answer goes to shared state and
/// the wait ends without it when time is up.
struct Lookup {
  explicit Lookup(const asio::any_io_executor& executor) : resolver(executor), ready(executor) {}
  tcp::resolver resolver;
  asio::steady_timer ready;
  bool done = false;
  error_code error;
  std::vector<tcp::endpoint> endpoints;
};

Error connect_error(const IoOutcome& outcome, const std::string& what, int64_t timeout_ms) {
  if (outcome.kind == IoOutcome::Kind::kCancelled) return {ErrorCode::kUnavailable, "cancelled"};
  if (outcome.kind == IoOutcome::Kind::kExpired) {
    return {ErrorCode::kDeadline,
            what + " took longer than the connect timeout of " + std::to_string(timeout_ms) + " ms"};
  }
  const bool ended = outcome.kind == IoOutcome::Kind::kEnd || outcome.kind == IoOutcome::Kind::kTruncated;
  return {ErrorCode::kUnavailable,
          what + " failed: " + (ended ? "the other end closed the connection" : outcome.message)};
}

asio::awaitable<Result<std::vector<tcp::endpoint>>> resolve(const Url& where, int64_t due_us) {
  std::vector<tcp::endpoint> endpoints;
  error_code error;
  const auto address = asio::ip::make_address(where.host, error);
  if (!error) {
    endpoints.emplace_back(address, where.port);
    co_return endpoints;
  }
  const auto executor = co_await asio::this_coro::executor;
  auto lookup = std::make_shared<Lookup>(executor);
  lookup->ready.expires_after(std::chrono::microseconds(std::max<int64_t>(due_us - now_us(), 0)));
  lookup->resolver.async_resolve(
      where.host, std::to_string(where.port),
      [lookup](const error_code& failed, const tcp::resolver::results_type& results) {
        lookup->done = true;
        lookup->error = failed;
        for (const auto& entry : results) lookup->endpoints.push_back(entry.endpoint());
        lookup->ready.cancel();
      });
  co_await lookup->ready.async_wait(kAwait);
  lookup->resolver.cancel();
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none)
    co_return fail(ErrorCode::kUnavailable, "cancelled");
  if (!lookup->done)
    co_return fail(ErrorCode::kDeadline, "resolving the host name " + where.host + " took too long");
  if (lookup->error || lookup->endpoints.empty()) {
    co_return fail(ErrorCode::kUnavailable,
                   "the host name " + where.host + " cannot be resolved: " + lookup->error.message());
  }
  co_return lookup->endpoints;
}

/// Link-local addresses are where clouds hand out their machines' credentials, and no provider lives there:
/// neither a setting nor a name that resolves to one reaches them (server-side request forgery).
Result<std::vector<tcp::endpoint>> without_metadata_services(Result<std::vector<tcp::endpoint>> found,
                                                             const Url& where) {
  if (!found) return found;
  static const auto kAwsIpv6 = base::parse_ip("fd00:ec2::254");
  std::erase_if(*found, [](const tcp::endpoint& endpoint) {
    const auto address = base::parse_ip(endpoint.address().to_string());
    return !address || address->is_link_local() || address == kAwsIpv6;
  });
  if (found->empty())
    return fail(ErrorCode::kInvalidArgument,
                "the host " + where.host + " is a link-local address, which is never asked");
  return found;
}

/// Tries the addresses in order; each gets an equal share of the time that is left, so that one dead
/// address does not use it up.
asio::awaitable<Result<std::shared_ptr<UpstreamStream>>> connect_tcp(std::vector<tcp::endpoint> endpoints,
                                                                     std::string where, int64_t timeout_ms,
                                                                     int64_t due_us) {
  const auto executor = co_await asio::this_coro::executor;
  Error last{ErrorCode::kUnavailable, "connecting to " + where + " failed: no address"};
  for (size_t i = 0; i < endpoints.size(); ++i) {
    auto stream = std::make_shared<UpstreamStream>(executor);
    const int64_t left_ms = std::max<int64_t>((due_us - now_us()) / 1000, 1);
    stream->arm_connect(std::max<int64_t>(left_ms / static_cast<int64_t>(endpoints.size() - i), 1));
    const tcp::endpoint endpoint = endpoints[i];
    auto [error] = co_await stream->socket().async_connect(endpoint, kAwait);
    const IoOutcome outcome = stream->outcome(error, 0);
    if (outcome.kind == IoOutcome::Kind::kOk) {
      error_code ignored;
      stream->socket().set_option(tcp::no_delay(true), ignored);
      stream->socket().set_option(asio::socket_base::keep_alive(true), ignored);
      stream->disarm_connect();
      co_return stream;
    }
    last = connect_error(outcome, "connecting to " + where, timeout_ms);
    if (outcome.kind == IoOutcome::Kind::kCancelled) break;
  }
  co_return fail(last);
}

std::string base64(const std::string& text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                  reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.pop_back();
  return out;
}

asio::awaitable<Result<void>> read_proxy_answer(std::shared_ptr<UpstreamStream> stream, std::string what,
                                                int64_t timeout_ms) {
  HeadScanner scanner;
  std::string bytes;
  std::vector<char> piece(2048);
  while (scanner.scan(bytes) == HeadScanner::State::kMore) {
    if (bytes.size() > kProxyHeadBytesMax)
      co_return fail(ErrorCode::kUnavailable, what + " failed: its answer is too long");
    const IoOutcome outcome = co_await stream->read_some(piece.data(), piece.size(), timeout_ms);
    if (outcome.kind != IoOutcome::Kind::kOk) co_return fail(connect_error(outcome, what, timeout_ms));
    bytes.append(piece.data(), outcome.bytes);
  }
  ResponseHead head;
  std::vector<HeaderView> headers;
  if (scanner.head_bytes() != bytes.size() || parse_response_head(bytes, head, headers) != nullptr) {
    co_return fail(ErrorCode::kUnavailable, what + " failed: it did not answer in HTTP");
  }
  if (head.status < 200 || head.status > 299) {
    co_return fail(ErrorCode::kUnavailable, what + " was refused with status " + std::to_string(head.status));
  }
  co_return Result<void>();
}

asio::awaitable<Result<void>> open_tunnel(std::shared_ptr<UpstreamStream> stream, Url proxy,
                                          std::string target, int64_t timeout_ms) {
  const std::string what = "CONNECT to " + target + " through the proxy " + proxy.host_and_port();
  std::string request = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
  if (!proxy.userinfo.empty()) request += "Proxy-Authorization: Basic " + base64(proxy.userinfo) + "\r\n";
  request += "\r\n";
  std::vector<asio::const_buffer> buffers{asio::buffer(request)};
  const IoOutcome written = co_await stream->write_all(std::move(buffers), timeout_ms);
  if (written.kind != IoOutcome::Kind::kOk) co_return fail(connect_error(written, what, timeout_ms));
  co_return co_await read_proxy_answer(stream, what, timeout_ms);
}

int64_t left_ms(int64_t due_us) { return std::max<int64_t>((due_us - now_us()) / 1000, 1); }

}  // namespace

asio::awaitable<Result<std::shared_ptr<UpstreamStream>>> connect_upstream(ConnectPlan plan) {
  const int64_t due_us = now_us() + plan.timeout_ms * 1000;
  const Url& first = plan.proxy ? *plan.proxy : plan.url;
  std::string where = first.host_and_port();
  if (plan.proxy) where = "the proxy " + where;
  auto endpoints = without_metadata_services(co_await resolve(first, due_us), first);
  if (!endpoints) co_return fail(endpoints.error());
  auto connected = co_await connect_tcp(std::move(*endpoints), where, plan.timeout_ms, due_us);
  if (!connected) co_return fail(connected.error());
  std::shared_ptr<UpstreamStream> stream = std::move(*connected);
  if (plan.proxy) {
    auto tunnel = co_await open_tunnel(stream, *plan.proxy, plan.url.host_and_port(), left_ms(due_us));
    if (!tunnel) co_return fail(tunnel.error());
  }
  if (plan.url.tls) {
    stream->arm_connect(left_ms(due_us));
    const IoOutcome outcome = co_await stream->handshake(*plan.tls, plan.url.host);
    stream->disarm_connect();
    if (outcome.kind != IoOutcome::Kind::kOk) {
      co_return fail(
          connect_error(outcome, "the TLS handshake with " + plan.url.host_and_port(), plan.timeout_ms));
    }
  }
  co_return stream;
}

}  // namespace enhanced_gptcache::http

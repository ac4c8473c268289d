#include "app/jwks_source.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "base/log.h"
#include "base/small_file.h"
#include "http/upstream.h"

namespace enhanced_gptcache::app {
namespace {

namespace asio = boost::asio;
using Seconds = std::chrono::duration<double>;

constexpr Seconds kFileInterval{2};
constexpr Seconds kAskedInterval{30};
constexpr Seconds kFailedInterval{10};

asio::awaitable<Result<std::string>> fetch_body(std::shared_ptr<http::UpstreamClient> client,
                                                http::UpstreamRequest request) {
  auto response = co_await client->send(std::move(request));
  if (!response) co_return fail(response.error());
  // Another address in an answer is not followed: the operator has named one.
  if ((*response)->status() != 200)
    co_return fail(ErrorCode::kUpstream, fmt::format("it answered {}", (*response)->status()));
  std::string body;
  for (;;) {
    auto piece = co_await (*response)->read_decoded();
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) co_return body;
    body += *piece;
    if (body.size() > security::kJwksBytesMax)
      co_return fail(ErrorCode::kUpstream, "its answer is too large");
  }
}

Result<std::string> fetch(const JwksOptions& options) {
  http::UpstreamOptions client_options;
  const size_t path = options.url.find('/', options.url.find("://") + 3);
  client_options.default_target = {"jwks", options.url.substr(0, path), ""};
  client_options.retries_max = 0;
  client_options.connect_timeout_ms = 5'000;
  client_options.first_byte_timeout_ms = 5'000;
  client_options.idle_timeout_ms = 5'000;
  client_options.ca_file = options.ca_file;
  EGPTC_TRY(auto client, http::UpstreamClient::create(client_options));
  http::UpstreamRequest request;
  request.method = "GET";
  request.path = path == options.url.npos ? "/" : options.url.substr(path);
  request.headers = {{"Accept", "application/json"}};
  request.retry_allowed = false;
  asio::io_context io;
  Result<std::string> outcome = fail(ErrorCode::kInternal, "the call did not finish");
  asio::co_spawn(
      io, fetch_body(client, std::move(request)),
      [&outcome](const std::exception_ptr&, Result<std::string> body) { outcome = std::move(body); });
  io.run();
  return outcome;
}

}  // namespace

JwksSource::JwksSource(JwksOptions options, security::JwtVerifier& verifier)
    : options_(std::move(options)), verifier_(verifier) {}

Result<std::unique_ptr<JwksSource>> JwksSource::start(JwksOptions options, security::JwtVerifier& verifier) {
  std::unique_ptr<JwksSource> source(new JwksSource(std::move(options), verifier));
  if (!source->options_.file.empty()) {
    if (auto loaded = source->load(); !loaded)
      return fail(loaded.error().code, fmt::format("security.jwt_jwks_file {}: {}", source->options_.file,
                                                   loaded.error().message));
  }
  verifier.on_unknown_key([raw = source.get()] { raw->look_again(); });
  source->thread_ = std::thread([raw = source.get()] { raw->run(); });
  return source;
}

JwksSource::~JwksSource() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void JwksSource::look_again() {
  {
    const std::lock_guard lock(mutex_);
    asked_ = true;
  }
  wake_.notify_all();
}

Result<void> JwksSource::load() {
  EGPTC_TRY(std::string text, options_.file.empty()
                                  ? fetch(options_)
                                  : base::read_small_file(options_.file, security::kJwksBytesMax));
  if (text == loaded_text_) return {};
  EGPTC_TRY(security::JwkSet keys, security::JwkSet::parse(text));
  base::log_info("security: {} keys for tokens from {}", keys.size(),
                 options_.file.empty() ? options_.url : options_.file);
  verifier_.set_keys(std::move(keys));
  loaded_text_ = std::move(text);
  return {};
}

void JwksSource::run() {
  using Clock = std::chrono::steady_clock;
  const bool is_file = !options_.file.empty();
  std::string last_problem;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    asked_ = false;
    lock.unlock();
    const auto loaded = load();
    // Said once, not every few seconds.
    if (!loaded && loaded.error().message != last_problem)
      base::log_error("security: the keys for tokens stay as they are: {}", loaded.error().message);
    last_problem = loaded ? std::string() : loaded.error().message;
    lock.lock();
    const Seconds pause = is_file  ? kFileInterval
                          : loaded ? Seconds(options_.refresh_seconds)
                                   : std::min(kFailedInterval, Seconds(options_.refresh_seconds));
    const auto begun = Clock::now();
    const auto due = begun + std::chrono::duration_cast<Clock::duration>(pause);
    const auto soonest = begun + std::chrono::duration_cast<Clock::duration>(std::min(kAskedInterval, pause));
    wake_.wait_until(lock, soonest, [this] { return stopping_; });
    wake_.wait_until(lock, due, [this] { return stopping_ || asked_; });
  }
}

}  // namespace enhanced_gptcache::app

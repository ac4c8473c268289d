#include "app/jwks_source.h"

#include <fmt/format.h>

#include <chrono>

#include "app/outgoing_call.h"
#include "base/log.h"
#include "base/small_file.h"

namespace enhanced_gptcache::app {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Seconds kFileInterval{2};
constexpr Seconds kAskedInterval{30};
constexpr Seconds kFailedInterval{10};

Result<std::string> fetch(const JwksOptions& options) {
  OutgoingCall call;
  call.url = options.url;
  call.headers = {{"Accept", "application/json"}};
  call.ca_file = options.ca_file;
  call.answer_bytes_max = security::kJwksBytesMax;
  return call_out(call);
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

#include "http/upstream_response.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "http/upstream_pool.h"
#include "http/upstream_request.h"

namespace enhanced_gptcache::http {

namespace {
constexpr size_t kReadBytes = size_t{16} << 10U;
constexpr size_t kPieceBytesMax = size_t{64} << 10U;
}  // namespace

UpstreamAnswer::UpstreamAnswer(std::shared_ptr<UpstreamStream> stream, Target target,
                               std::shared_ptr<const UpstreamSnapshot> snapshot,
                               asio::any_io_executor executor)
    : hold_(std::make_shared<Hold>()),
      target_(std::move(target)),
      snapshot_(std::move(snapshot)),
      executor_(std::move(executor)) {
  hold_->stream = std::move(stream);
}

UpstreamAnswer::~UpstreamAnswer() {
  if (hold_->stream) hold_->stream->close();
  hold_->stream.reset();
}

asio::awaitable<std::optional<HeadFailure>> UpstreamAnswer::read_head(bool head_only) {
  bool complete = false;
  while (!complete) {
    std::optional<HeadFailure> failure = parse_head(head_only, complete);
    if (failure || complete) co_return failure;
    const IoOutcome outcome = co_await fill(snapshot_->options().first_byte_timeout_ms);
    if (outcome.kind == IoOutcome::Kind::kOk) continue;
    HeadFailure lost;
    lost.before_first_byte = in_.empty();
    lost.expired = outcome.kind == IoOutcome::Kind::kExpired;
    if (lost.expired) {
      const auto limit = std::to_string(snapshot_->options().first_byte_timeout_ms);
      lost.error = {ErrorCode::kDeadline,
                    where() + " sent no answer within the first-byte timeout of " + limit + " ms"};
    } else if (outcome.kind == IoOutcome::Kind::kCancelled) {
      lost.error = {ErrorCode::kUnavailable, "cancelled"};
    } else {
      lost.error = {ErrorCode::kUpstream, where() + " closed the connection before it sent an answer"};
    }
    co_return lost;
  }
  co_return std::nullopt;
}

std::optional<HeadFailure> UpstreamAnswer::parse_head(bool head_only, bool& complete) {
  const auto bad = [this](const std::string& why) { return HeadFailure{broken(why), false, false}; };
  for (;;) {
    const HeadScanner::State state = scanner_.scan(in_.view());
    const size_t bytes_max = snapshot_->options().header_bytes_max;
    if (state == HeadScanner::State::kBad) return bad("a header line ends in a bare line feed");
    const bool too_long =
        (state == HeadScanner::State::kFound ? scanner_.head_bytes() : in_.size()) > bytes_max;
    if (too_long) return bad("its headers are larger than " + std::to_string(bytes_max) + " bytes");
    if (state == HeadScanner::State::kMore) return std::nullopt;
    std::vector<HeaderView> views;
    head_ = ResponseHead{};
    const std::string_view head =
        in_.view().substr(scanner_.leading_bytes(), scanner_.head_bytes() - scanner_.leading_bytes());
    if (const char* wrong = parse_response_head(head, head_, views)) return bad(wrong);
    const bool interim = head_.status < 200 && head_.status != 101;
    if (!interim) take_headers(views);
    in_.consume(scanner_.head_bytes());
    scanner_.reset();
    if (!interim) break;
  }
  const Framing& framing = head_.framing;
  if (framing.transfer_encoding && (!framing.chunked || head_.version_minor == 0)) {
    return bad("it uses a transfer coding other than chunked");
  }
  complete = true;
  left_ = framing.content_length.value_or(0);
  if (head_.status == 101) {
    body_ = Body::kTunnel;
  } else if (head_only || head_.status == 204 || head_.status == 304) {
    body_ = Body::kNone;
  } else if (framing.chunked) {
    body_ = Body::kChunked;
  } else {
    body_ = framing.content_length ? Body::kLength : Body::kToEnd;
  }
  if (body_ == Body::kNone || (body_ == Body::kLength && left_ == 0)) finish();
  return std::nullopt;
}

void UpstreamAnswer::take_headers(const std::vector<HeaderView>& views) {
  std::string_view connection;
  for (const HeaderView& view : views) {
    if (equals_ignoring_case(view.name, "connection")) connection = view.value;
  }
  for (const HeaderView& view : views) {
    const bool upgrade = head_.status == 101 && equals_ignoring_case(view.name, "upgrade");
    if (!upgrade && (is_hop_by_hop(view.name) || list_contains(connection, view.name))) continue;
    headers_.push_back({std::string(view.name), std::string(view.value)});
  }
}

asio::awaitable<IoOutcome> UpstreamAnswer::fill(int64_t timeout_ms) {
  // Held here, so that the bytes have somewhere to go to even if the answer is cancelled meanwhile.
  const std::shared_ptr<UpstreamStream> stream = hold_->stream;
  in_.ensure_space(kReadBytes);
  const IoOutcome outcome = co_await stream->read_some(in_.tail(), in_.space(), timeout_ms);
  if (outcome.kind == IoOutcome::Kind::kOk) in_.commit(outcome.bytes);
  co_return outcome;
}

asio::awaitable<Result<std::string>> UpstreamAnswer::read() {
  while (!complete_ && !failed_) {
    if (!in_.empty()) {
      Result<std::string> piece = take_piece();
      if (!piece || !piece->empty() || complete_) co_return piece;
    }
    const IoOutcome outcome = co_await fill(snapshot_->options().idle_timeout_ms);
    if (outcome.kind == IoOutcome::Kind::kOk) continue;
    if (auto ended = end_of_input(outcome); !ended) co_return fail(ended.error());
  }
  if (failed_) co_return fail(*failed_);
  co_return std::string();
}

Result<std::string> UpstreamAnswer::take_piece() {
  std::string piece;
  size_t used = 0;
  switch (body_) {
    case Body::kChunked:
      if (const char* wrong = chunks_.decode(in_.view(), piece, kPieceBytesMax, used))
        return fail(broken(wrong));
      break;
    case Body::kLength:
      used = static_cast<size_t>(std::min<uint64_t>(in_.size(), left_));
      break;
    case Body::kToEnd:
      used = in_.size();
      break;
    case Body::kNone:
    case Body::kTunnel:
      return fail(ErrorCode::kInternal, "this answer has no body to read");
  }
  if (body_ != Body::kChunked) piece.assign(in_.view().substr(0, used));
  left_ -= body_ == Body::kLength ? used : 0;
  in_.consume(used);
  if (body_ == Body::kChunked ? chunks_.done() : body_ == Body::kLength && left_ == 0) finish();
  return piece;
}

Result<void> UpstreamAnswer::end_of_input(const IoOutcome& outcome) {
  if (outcome.kind == IoOutcome::Kind::kEnd && body_ == Body::kToEnd) {
    complete_ = true;
    return {};
  }
  return fail(read_error(outcome));
}

Error UpstreamAnswer::read_error(const IoOutcome& outcome) {
  TargetState& state = *target_.state;
  switch (outcome.kind) {
    case IoOutcome::Kind::kCancelled:
      failed_ = Error{ErrorCode::kUnavailable, "cancelled"};
      return *failed_;
    case IoOutcome::Kind::kExpired:
      state.timeouts.fetch_add(1, std::memory_order_relaxed);
      state.errors.fetch_add(1, std::memory_order_relaxed);
      failed_ = Error{ErrorCode::kDeadline, where() + " sent nothing more for the idle timeout of " +
                                                std::to_string(snapshot_->options().idle_timeout_ms) + " ms"};
      return *failed_;
    default:
      return broken("the connection ended before the answer was complete");
  }
}

Error UpstreamAnswer::broken(const std::string& why) {
  target_.state->errors.fetch_add(1, std::memory_order_relaxed);
  failed_ = Error{ErrorCode::kUpstream, "the answer of " + where() + " is broken: " + why};
  return *failed_;
}

void UpstreamAnswer::finish() {
  complete_ = true;
  const Framing& framing = head_.framing;
  const bool keep = head_.version_minor >= 1 ? !framing.connection_close : framing.connection_keep_alive;
  std::shared_ptr<UpstreamStream> stream = std::exchange(hold_->stream, nullptr);
  if (!stream) return;
  // Bytes after the end belong to no request of ours: such a connection is not used again.
  if (keep && in_.empty() && stream->is_open()) {
    UpstreamPool::of(executor_).put(target_.group, std::move(stream),
                                    snapshot_->options().idle_connections_max);
  } else {
    stream->close();
  }
}

asio::awaitable<Result<std::string>> UpstreamAnswer::read_decoded() {
  if (!decoding_) {
    decoding_ = true;
    const std::string* coding = find_header(headers_, "content-encoding");
    auto decoder = make_content_decoder(coding == nullptr ? std::string_view() : *coding);
    if (!decoder) co_return fail(decoder.error());
    decoder_ = std::move(*decoder);
  }
  if (!decoder_) co_return co_await read();
  for (;;) {
    std::string out;
    std::string_view rest = std::string_view(encoded_).substr(encoded_used_);
    auto decoded = decoder_->decode(rest, out, kPieceBytesMax);
    encoded_used_ = encoded_.size() - rest.size();
    if (!decoded) {
      failed_ = decoded.error();
      co_return fail(*failed_);
    }
    if (!out.empty()) co_return out;
    auto piece = co_await read();
    if (!piece) co_return piece;
    if (piece->empty()) break;
    any_encoded_ = true;
    encoded_ = std::move(*piece);
    encoded_used_ = 0;
  }
  if (any_encoded_ && !decoder_->complete()) co_return fail(broken("its compressed body ends too early"));
  co_return std::string();
}

asio::awaitable<Result<std::string>> UpstreamAnswer::read_raw() {
  if (in_.empty() && hold_->stream) {
    // A quiet WebSocket is no failure; it gets the time that an answer would have.
    const IoOutcome outcome = co_await fill(snapshot_->options().first_byte_timeout_ms);
    if (outcome.kind == IoOutcome::Kind::kEnd || outcome.kind == IoOutcome::Kind::kTruncated)
      co_return std::string();
    if (outcome.kind != IoOutcome::Kind::kOk) co_return fail(read_error(outcome));
  }
  std::string piece(in_.view());
  in_.clear();
  co_return piece;
}

asio::awaitable<bool> UpstreamAnswer::write_raw(std::string bytes) {
  const std::shared_ptr<UpstreamStream> stream = hold_->stream;
  if (!stream) co_return false;
  std::vector<asio::const_buffer> buffers{asio::buffer(bytes)};
  const IoOutcome outcome =
      co_await stream->write_all(std::move(buffers), snapshot_->options().idle_timeout_ms);
  co_return outcome.kind == IoOutcome::Kind::kOk;
}

void UpstreamAnswer::cancel() {
  asio::post(executor_, [weak = std::weak_ptr<Hold>(hold_)] {
    const auto hold = weak.lock();
    if (hold && hold->stream) hold->stream->cancel();
  });
}

}  // namespace enhanced_gptcache::http

// Connection: reading one request and handing it to its handler.

#include <algorithm>
#include <exception>

#include "base/log.h"
#include "http/connection.h"
#include "http/server_exchange.h"

namespace enhanced_gptcache::http {

namespace {
/// A body that drips more slowly than this on average is cut, though each piece comes in time.
constexpr int64_t kBodyBytesPerSecondMin = 1000;
constexpr size_t kBodyReserveBytesMax = size_t{1} << 20U;
}  // namespace

Connection::Step Connection::read_head() {
  const ServerOptions& options = thread_->rules().options;
  const HeadScanner::State found = scanner_.scan(in_.view());
  if (found == HeadScanner::State::kBad)
    return refuse_request(400, "a line of the request head ends in a bare line feed");
  const size_t head_bytes = found == HeadScanner::State::kFound ? scanner_.head_bytes() : in_.size();
  if (head_bytes > options.header_bytes_max) {
    return refuse_request(
        431, "the request head is larger than " + std::to_string(options.header_bytes_max) + " bytes");
  }
  if (found == HeadScanner::State::kFound) return take_head();
  if (peer_ended_) {
    close();
    return Step::kWait;
  }
  if (!head_begun_ && !in_.empty()) {
    head_begun_ = true;
    read_deadline_us_ = now_us() + options.header_timeout_ms * 1000;
  }
  read_more();
  return Step::kWait;
}

std::shared_ptr<ServerExchange> Connection::make_exchange() {
  auto exchange = std::make_shared<ServerExchange>(shared_from_this(), sequence_);
  exchange->started_us = now_us();
  exchange->mutable_request().peer = peer_;
  exchange->mutable_request().certificate_names = certificate_names_;
  thread_->counters.in_flight.fetch_add(1, std::memory_order_relaxed);
  return exchange;
}

Connection::Step Connection::take_head() {
  auto exchange = make_exchange();
  exchange->bytes() = std::move(in_);
  const std::string_view bytes = exchange->bytes().view();
  const size_t leading = scanner_.leading_bytes();
  Request& request = exchange->mutable_request();
  request.headers.reserve(16);
  int status = 400;
  const char* wrong = parse_request_head(bytes.substr(leading, scanner_.head_bytes() - leading), head_,
                                         request.headers, status);
  request.method = head_.method;
  request.target = head_.target;
  request.path = head_.target.substr(0, head_.target.find('?'));
  if (request.path.size() < head_.target.size()) request.query = head_.target.substr(request.path.size() + 1);
  request.expects_continue = head_.expects_continue;
  head_only_ = head_.method == "HEAD";
  if (wrong != nullptr) {
    unread_input_ = true;
    return answer_error(exchange, status, wrong);
  }
  return route_request(std::move(exchange), bytes.substr(scanner_.head_bytes()));
}

Connection::Step Connection::route_request(std::shared_ptr<ServerExchange> exchange, std::string_view rest) {
  keep_alive_ = head_.keep_alive() && !thread_->draining();
  body_left_ = head_.framing.content_length.value_or(0);
  body_done_ = !head_.framing.chunked && body_left_ == 0;
  continue_due_ = head_.expects_continue && !body_done_ && rest.empty();
  read_deadline_us_ = 0;
  const Request& request = exchange->request();
  if (!thread_->rules().is_open.load(std::memory_order_acquire)) {
    in_.append(rest);
    return answer_closed(exchange);
  }
  Router::Match match = thread_->rules().router.match(request.method, request.path);
  route_ = match.route;
  if (route_ != nullptr && route_->options.buffer_body && !body_done_)
    return begin_body(std::move(exchange), rest);
  in_.append(rest);
  if (route_ != nullptr) return dispatch(std::move(exchange));
  if (match.allow.empty()) return answer_error(exchange, 404, "there is nothing at this path");
  const std::string message = "this path takes " + match.allow + ", not " + std::string(request.method);
  return answer_error(exchange, 405, message, match.allow);
}

Connection::Step Connection::begin_body(std::shared_ptr<ServerExchange> exchange, std::string_view rest) {
  const size_t bytes_max = thread_->rules().options.body_bytes_max;
  if (body_left_ > bytes_max) {
    unread_input_ = true;
    return answer_error(exchange, 413,
                        "the request body is larger than " + std::to_string(bytes_max) + " bytes");
  }
  if (!head_.framing.chunked && rest.size() >= body_left_) {
    // The usual case: all of it is here, and stays where it was read.
    exchange->mutable_request().body = rest.substr(0, body_left_);
    in_.append(rest.substr(body_left_));
    body_done_ = true;
    return dispatch(std::move(exchange));
  }
  in_.append(rest);
  // Who may not call is told so before its body is read.
  state_ = State::kHandling;
  const uint64_t sequence = sequence_;
  if (is_refused(exchange)) {
    if (closed_) return Step::kWait;
    return sequence_ != sequence ? Step::kAgain : step();
  }
  exchange->body().reserve(std::min<size_t>(body_left_, kBodyReserveBytesMax));
  body_begun_us_ = exchange->started_us;
  reading_ = std::move(exchange);
  state_ = State::kBody;
  if (continue_due_) send_continue();
  return Step::kAgain;
}

Connection::Step Connection::read_body() {
  const size_t bytes_max = thread_->rules().options.body_bytes_max;
  std::string& body = reading_->body();
  const char* wrong = take_body(body, bytes_max + 1 - body.size());
  if (wrong != nullptr || body.size() > bytes_max) {
    unread_input_ = true;
    const auto exchange = std::exchange(reading_, nullptr);
    if (wrong != nullptr) return answer_error(exchange, 400, wrong);
    return answer_error(exchange, 413,
                        "the request body is larger than " + std::to_string(bytes_max) + " bytes");
  }
  if (body_done_) {
    reading_->mutable_request().body = body;
    read_deadline_us_ = 0;
    return dispatch(std::exchange(reading_, nullptr));
  }
  if (peer_ended_) {
    const auto exchange = std::exchange(reading_, nullptr);
    return answer_error(exchange, 400, "the request body ends too early");
  }
  const int64_t pause_us = thread_->rules().options.body_timeout_ms * 1000;
  const auto earned_us = static_cast<int64_t>(body.size()) * 1'000'000 / kBodyBytesPerSecondMin;
  read_deadline_us_ = std::min(now_us(), body_begun_us_ + earned_us) + pause_us;
  read_more();
  return Step::kWait;
}

const char* Connection::take_body(std::string& out, size_t out_bytes_max) {
  size_t used = 0;
  const char* wrong = nullptr;
  if (head_.framing.chunked) {
    wrong = chunks_.decode(in_.view(), out, out_bytes_max, used);
    body_done_ = chunks_.done();
  } else {
    used = std::min({in_.size(), static_cast<size_t>(body_left_), out_bytes_max});
    out.append(in_.view().substr(0, used));
    body_left_ -= used;
    body_done_ = body_left_ == 0;
  }
  in_.consume(used);
  return wrong;
}

bool Connection::is_refused(const std::shared_ptr<ServerExchange>& exchange) {
  if (exchange->admitted) return false;
  const auto& hook = thread_->rules().request;
  try {
    exchange->admitted = !hook || !hook(exchange);
  } catch (const std::exception& thrown) {
    // Dropping the exchange answers 500: doubt about who calls lets nobody in.
    base::log_error("the request hook threw: {}", thrown.what());
  }
  return !exchange->admitted;
}

Connection::Step Connection::dispatch(std::shared_ptr<ServerExchange> exchange) {
  state_ = State::kHandling;
  const uint64_t sequence = sequence_;
  try {
    if (!is_refused(exchange)) route_->handler(std::move(exchange));
  } catch (const std::exception& thrown) {
    // Dropping the exchange answers 500.
    base::log_error("a request handler threw: {}", thrown.what());
  }
  if (closed_) return Step::kWait;
  if (sequence_ != sequence) return Step::kAgain;
  return step();
}

Connection::Step Connection::refuse_request(int status, const std::string& message) {
  const auto exchange = make_exchange();
  in_.clear();
  unread_input_ = true;
  return answer_error(exchange, status, message);
}

/// Nothing is loaded yet: the process lives, and that is all there is to say.
Connection::Step Connection::answer_closed(const std::shared_ptr<ServerExchange>& exchange) {
  state_ = State::kHandling;
  const std::string_view path = exchange->request().path;
  Response response;
  if (path == "/live" || path == "/ready") {
    response.status = path == "/live" ? 200 : 503;
    response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
    response.body = path == "/live" ? R"({"live":true})" : R"({"ready":false})";
  } else {
    response = thread_->rules().make_error(503, "the server is starting; try again in a second", path);
  }
  if (response.status == 503 && find_header(response.headers, "retry-after") == nullptr)
    response.headers.push_back({"Retry-After", "1"});
  exchange->send(std::move(response));
  return closed_ ? Step::kWait : Step::kAgain;
}

Connection::Step Connection::answer_error(const std::shared_ptr<ServerExchange>& exchange, int status,
                                          const std::string& message, const std::string& allow) {
  // A path or method that is not there is proper HTTP all the same.
  if (status != 404 && status != 405) thread_->counters.bad_requests.fetch_add(1, std::memory_order_relaxed);
  state_ = State::kHandling;
  read_deadline_us_ = 0;
  Response response = thread_->rules().make_error(status, message, exchange->request().path);
  if (!allow.empty()) response.headers.push_back({"Allow", allow});
  exchange->send(std::move(response));
  return closed_ ? Step::kWait : Step::kAgain;
}

}  // namespace enhanced_gptcache::http

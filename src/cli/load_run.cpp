#include "cli/load_run.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string_view>

#include "base/descriptor.h"

namespace enhanced_gptcache::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kAnswerBytesMax = size_t{64} << 20U;
constexpr size_t kRefusalBytes = 500;
constexpr auto kLongestWait = std::chrono::milliseconds(20);  // the end of the load is noticed that soon
constexpr auto kLastAnswers = std::chrono::seconds(10);       // for what was sent before the end

struct Connection {
  base::Descriptor socket;
  Clock::time_point due;
  std::string input;
};

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

Clock::duration seconds_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

Result<base::Descriptor> open_connection(const LoadPlan& plan) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(plan.port);
  if (const int code = getaddrinfo(plan.host.c_str(), port.c_str(), &hints, &found); code != 0)
    return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", plan.host, gai_strerror(code)));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  int reason = 0;
  for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
    base::Descriptor made(socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol));
    if (made && connect(made.get(), one->ai_addr, one->ai_addrlen) == 0) {
      const int on = 1;
      setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return made;
    }
    reason = errno;
  }
  return fail(ErrorCode::kUnavailable,
              fmt::format("cannot connect to {}:{}: {}", plan.host, plan.port, std::strerror(reason)));
}

// Value of a header, by its lower-case name; empty when it is not there.
std::string_view header(std::string_view head, std::string_view name) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2);
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    const bool is_it = std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
      return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
    });
    if (!is_it) continue;
    std::string_view value = line.substr(name.size() + 1, line.find("\r\n") - name.size() - 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return value;
  }
  return {};
}

size_t to_number(std::string_view text) {
  size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

class Load {
 public:
  explicit Load(const LoadPlan& plan) : plan_(plan), connections_(plan.connections) {
    std::string headers;
    for (const std::string& line : plan.headers) headers += line + "\r\n";
    for (const std::string& body : plan.bodies) {
      requests_.push_back(
          fmt::format("POST {} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/json\r\n{}"
                      "Content-Length: {}\r\n\r\n{}",
                      plan.path, plan.host, plan.port, headers, body.size(), body));
    }
    next_ = plan.start % requests_.size();
  }

  Result<LoadOutcome> run() {
    poll_ = base::Descriptor(epoll_create1(EPOLL_CLOEXEC));
    for (size_t i = 0; i < connections_.size(); ++i) EGPTC_TRY_VOID(connect(i));
    const auto start = Clock::now();
    const auto end = plan_.requests > 0 ? Clock::time_point::max() : start + seconds_of(plan_.seconds);
    Clock::time_point over = {};
    next_due_ = start;
    for (;;) {
      const auto now = Clock::now();
      if (now >= end || has_all()) {
        if (over == Clock::time_point{}) over = now;
        if (idle_.size() == connections_.size() || now >= over + kLastAnswers) break;
      } else {
        EGPTC_TRY_VOID(send_due(now));
      }
      EGPTC_TRY_VOID(receive());
    }
    outcome_.seconds = seconds_between(start, Clock::now());
    outcome_.failed += connections_.size() - idle_.size();  // no answer in time
    for (auto& [layer, times] : outcome_.milliseconds) std::sort(times.begin(), times.end());
    return std::move(outcome_);
  }

 private:
  Result<void> connect(size_t index) {
    Connection& connection = connections_[index];
    EGPTC_TRY(connection.socket, open_connection(plan_));
    connection.input.clear();
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = index;
    if (epoll_ctl(poll_.get(), EPOLL_CTL_ADD, connection.socket.get(), &event) != 0)
      return fail(ErrorCode::kIo, fmt::format("epoll: {}", std::strerror(errno)));
    idle_.push_back(index);
    return {};
  }

  bool has_all() const { return plan_.requests > 0 && begun_ >= plan_.requests; }

  Result<void> send_due(Clock::time_point now) {
    if (plan_.rate <= 0) {
      while (!idle_.empty() && !has_all()) EGPTC_TRY_VOID(send(now));
      return {};
    }
    for (; next_due_ <= now; next_due_ += seconds_of(gap_(random_) / plan_.rate))
      waiting_.push_back(next_due_);
    while (!waiting_.empty() && !idle_.empty() && !has_all()) {
      EGPTC_TRY_VOID(send(waiting_.front()));
      waiting_.pop_front();
    }
    outcome_.most_waiting = std::max(outcome_.most_waiting, waiting_.size());
    return {};
  }

  Result<void> send(Clock::time_point due) {
    const size_t index = idle_.back();
    idle_.pop_back();
    connections_[index].due = due;
    std::string_view left = requests_[next_];
    next_ = (next_ + 1) % requests_.size();
    ++begun_;
    while (!left.empty()) {
      const ssize_t sent = ::send(connections_[index].socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        ++outcome_.failed;
        return connect(index);
      }
      left.remove_prefix(static_cast<size_t>(sent));
    }
    return {};
  }

  /// Until the next request is due, when there is a connection for it. Never a spin: where two cores are
  /// threads of one, it would take half of the server's.
  timespec wait_most() const {
    auto wait = std::chrono::nanoseconds(kLongestWait);
    if (plan_.rate > 0 && !idle_.empty())
      wait =
          std::clamp(std::chrono::nanoseconds(next_due_ - Clock::now()), std::chrono::nanoseconds(0), wait);
    return {0, static_cast<long>(wait.count())};
  }

  Result<void> receive() {
    std::array<epoll_event, 64> events;
    const timespec most = wait_most();
    const int count =
        epoll_pwait2(poll_.get(), events.data(), static_cast<int>(events.size()), &most, nullptr);
    for (int i = 0; i < count; ++i) EGPTC_TRY_VOID(read(events[static_cast<size_t>(i)].data.u64));
    return {};
  }

  Result<void> read(size_t index) {
    Connection& connection = connections_[index];
    std::array<char, 65536> bytes;
    const ssize_t got = recv(connection.socket.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) {
      const bool was_idle = std::find(idle_.begin(), idle_.end(), index) != idle_.end();
      if (was_idle) std::erase(idle_, index);
      outcome_.failed += was_idle ? 0 : 1;
      return connect(index);
    }
    connection.input.append(bytes.data(), static_cast<size_t>(got));
    const size_t head_end = connection.input.find("\r\n\r\n");
    if (head_end == std::string::npos) return {};
    const std::string_view head(connection.input.data(), head_end + 2);
    const size_t wanted = head_end + 4 + to_number(header(head, "content-length"));
    if (wanted > kAnswerBytesMax) return fail(ErrorCode::kUnsupported, "an answer is larger than 64 MiB");
    if (connection.input.size() < wanted) return {};
    const std::string_view layer = header(head, "x-cache-layer");
    outcome_.milliseconds[layer.empty() ? "none" : std::string(layer)].push_back(
        seconds_between(connection.due, Clock::now()) * 1e3);
    const int status = static_cast<int>(to_number(head.substr(9, 3)));
    ++outcome_.statuses[status];
    if (status >= 400 && outcome_.first_refusal.empty())
      outcome_.first_refusal = connection.input.substr(head_end + 4, kRefusalBytes);
    connection.input.clear();
    idle_.push_back(index);
    return {};
  }

  const LoadPlan& plan_;
  std::vector<Connection> connections_;
  std::vector<std::string> requests_;
  std::vector<size_t> idle_;
  std::deque<Clock::time_point> waiting_;
  Clock::time_point next_due_;
  std::mt19937_64 random_{1};
  std::exponential_distribution<double> gap_{1.0};
  LoadOutcome outcome_;
  size_t next_ = 0, begun_ = 0;
  base::Descriptor poll_;
};

}  // namespace

Result<LoadOutcome> run_load(const LoadPlan& plan) {
  if (plan.bodies.empty()) return fail(ErrorCode::kInvalidArgument, "there is nothing to send");
  return Load(plan).run();
}

double percentile(const std::vector<double>& sorted, double share) {
  return sorted.empty() ? 0 : sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

}  // namespace enhanced_gptcache::cli

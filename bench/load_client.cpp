// HTTP load from one thread over loopback, with less cost of its own than what it measures. Closed loop: each
// connection sends its next request when the answer is there. Open loop (--rate): requests are due at Poisson
// times and their latency counts from then on, so that a server that stalls cannot hide it by slowing the
// load (coordinated omission). Latencies are told by X-Cache-Layer. One JSON line. It spins: give it a core.
//
// usage: load_client PORT PATH BODIES [--connections N] [--rate PER_SECOND] [--seconds S] [--requests N]
//                    [--header LINE]... [--start N]
//   BODIES: a file of request bodies, one a line, sent in turn from the N-th on (--start) and over again

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Wanted {
  uint16_t port = 0;
  std::string path, headers;
  std::vector<std::string> bodies;
  size_t connections = 1, requests = 0, start = 0;
  double rate = 0, seconds = 5;
};

struct Connection {
  int descriptor = -1;
  bool is_busy = false;
  Clock::time_point due;
  std::string input;
};

struct Outcome {
  std::map<std::string, std::vector<double>> milliseconds;  // by layer
  std::map<int, size_t> statuses;
  size_t failed = 0, late = 0;
};

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

int open_connection(uint16_t port) {
  const int made = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (made < 0 || connect(made, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    std::perror("load_client: connect");
    std::exit(1);
  }
  const int on = 1;
  setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return made;
}

// Value of a header, by its lower-case name; empty when it is not there.
std::string_view header(std::string_view head, std::string_view name) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2);
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    const bool is_it = std::equal(name.begin(), name.end(), line.begin(),
                                  [](char a, char b) { return a == static_cast<char>(std::tolower(b)); });
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
  explicit Load(const Wanted& wanted) : wanted_(wanted), connections_(wanted.connections) {
    poll_ = epoll_create1(0);
    for (size_t i = 0; i < connections_.size(); ++i) {
      connections_[i].descriptor = open_connection(wanted.port);
      epoll_event event = {};
      event.events = EPOLLIN;
      event.data.u64 = i;
      epoll_ctl(poll_, EPOLL_CTL_ADD, connections_[i].descriptor, &event);
      idle_.push_back(i);
    }
    for (const std::string& body : wanted.bodies) {
      requests_.push_back("POST " + wanted.path +
                          " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + wanted.headers +
                          "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    next_ = wanted.start % requests_.size();
  }

  Outcome run() {
    const auto start = Clock::now();
    const auto end = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                                 wanted_.requests > 0 ? 3600 : wanted_.seconds));
    next_due_ = start;
    while (true) {
      const auto now = Clock::now();
      const bool is_over = now >= end || (wanted_.requests > 0 && begun_ >= wanted_.requests);
      if (is_over && idle_.size() == connections_.size()) break;
      if (is_over && now >= end + std::chrono::seconds(10)) break;
      if (!is_over) send_due(now);
      receive();
    }
    took_ = seconds_between(start, Clock::now());
    return std::move(outcome_);
  }

  double took() const { return took_; }

 private:
  void send_due(Clock::time_point now) {
    if (wanted_.rate <= 0) {
      while (!idle_.empty() && !has_all()) send(now);
      return;
    }
    while (next_due_ <= now) {
      waiting_.push_back(next_due_);
      const double gap = gap_(random_) / wanted_.rate;
      next_due_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(gap));
    }
    while (!waiting_.empty() && !idle_.empty() && !has_all()) {
      send(waiting_.front());
      waiting_.pop_front();
    }
    outcome_.late = std::max(outcome_.late, waiting_.size());
  }

  bool has_all() const { return wanted_.requests > 0 && begun_ >= wanted_.requests; }

  void send(Clock::time_point due) {
    Connection& connection = connections_[idle_.back()];
    idle_.pop_back();
    connection.due = due;
    const std::string& request = requests_[next_];
    next_ = (next_ + 1) % requests_.size();
    ++begun_;
    if (::send(connection.descriptor, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      std::perror("load_client: send");
      std::exit(1);
    }
  }

  void receive() {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) read(events[static_cast<size_t>(i)].data.u64);
  }

  void read(size_t index) {
    Connection& connection = connections_[index];
    std::array<char, 65536> bytes;
    const ssize_t got = recv(connection.descriptor, bytes.data(), bytes.size(), 0);
    if (got <= 0) {  // closed by the server: counted, and replaced
      ++outcome_.failed;
      close(connection.descriptor);
      connection.descriptor = open_connection(wanted_.port);
      epoll_event event = {};
      event.events = EPOLLIN;
      event.data.u64 = index;
      epoll_ctl(poll_, EPOLL_CTL_ADD, connection.descriptor, &event);
      connection.input.clear();
      idle_.push_back(index);
      return;
    }
    connection.input.append(bytes.data(), static_cast<size_t>(got));
    const size_t head_end = connection.input.find("\r\n\r\n");
    if (head_end == std::string::npos) return;
    const std::string_view head(connection.input.data(), head_end + 2);
    if (connection.input.size() < head_end + 4 + to_number(header(head, "content-length"))) return;
    const std::string_view layer = header(head, "x-cache-layer");
    const double took = seconds_between(connection.due, Clock::now()) * 1e3;
    outcome_.milliseconds[layer.empty() ? "none" : std::string(layer)].push_back(took);
    ++outcome_.statuses[static_cast<int>(to_number(head.substr(9, 3)))];
    connection.input.clear();
    idle_.push_back(index);
  }

  const Wanted& wanted_;
  std::vector<Connection> connections_;
  std::vector<std::string> requests_;
  std::vector<size_t> idle_;
  std::deque<Clock::time_point> waiting_;
  Clock::time_point next_due_;
  std::mt19937_64 random_{1};
  std::exponential_distribution<double> gap_{1.0};
  Outcome outcome_;
  size_t next_ = 0, begun_ = 0;
  double took_ = 0;
  int poll_ = -1;
};

void print(const Wanted& wanted, Outcome& outcome, double took) {
  size_t total = 0;
  for (const auto& [layer, times] : outcome.milliseconds) total += times.size();
  std::printf(
      "{\"requests\": %zu, \"seconds\": %.3f, \"per_second\": %.1f, \"wanted_per_second\": %.1f, "
      "\"failed\": %zu, \"most_waiting\": %zu, \"statuses\": {",
      total, took, static_cast<double>(total) / took, wanted.rate, outcome.failed, outcome.late);
  const char* comma = "";
  for (const auto& [status, count] : outcome.statuses) {
    std::printf("%s\"%d\": %zu", comma, status, count);
    comma = ", ";
  }
  std::printf("}, \"layers\": {");
  comma = "";
  for (auto& [layer, times] : outcome.milliseconds) {
    std::sort(times.begin(), times.end());
    double sum = 0;
    for (const double time : times) sum += time;
    const auto at = [&times = times](double share) {
      return times[static_cast<size_t>(share * static_cast<double>(times.size() - 1))];
    };
    std::printf(
        "%s\"%s\": {\"count\": %zu, \"mean_ms\": %.4f, \"p50_ms\": %.4f, \"p95_ms\": %.4f, "
        "\"p99_ms\": %.4f, \"p999_ms\": %.4f}",
        comma, layer.c_str(), times.size(), sum / static_cast<double>(times.size()), at(0.5), at(0.95),
        at(0.99), at(0.999));
    comma = ", ";
  }
  std::printf("}}\n");
}

bool parse(int argc, char** argv, Wanted& wanted) {
  if (argc < 4) return false;
  wanted.port = static_cast<uint16_t>(to_number(argv[1]));
  wanted.path = argv[2];
  std::ifstream file(argv[3]);
  for (std::string line; std::getline(file, line);) wanted.bodies.push_back(line);
  for (int i = 4; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--connections")
      wanted.connections = to_number(argv[i + 1]);
    else if (name == "--rate")
      wanted.rate = std::strtod(argv[i + 1], nullptr);
    else if (name == "--seconds")
      wanted.seconds = std::strtod(argv[i + 1], nullptr);
    else if (name == "--requests")
      wanted.requests = to_number(argv[i + 1]);
    else if (name == "--start")
      wanted.start = to_number(argv[i + 1]);
    else if (name == "--header")
      wanted.headers += std::string(argv[i + 1]) + "\r\n";
    else
      return false;
  }
  return argc % 2 == 0 && wanted.port != 0 && !wanted.bodies.empty() && wanted.connections > 0 &&
         wanted.connections <= 4096 && wanted.seconds > 0 && wanted.seconds <= 3600;
}

}  // namespace

int main(int argc, char** argv) {
  Wanted wanted;
  if (!parse(argc, argv, wanted)) {
    std::fputs(
        "usage: load_client PORT PATH BODIES [--connections 1..4096] [--rate PER_SECOND]"
        " [--seconds S, at most 3600] [--requests N] [--header LINE]... [--start N]\n",
        stderr);
    return 2;
  }
  Load load(wanted);
  Outcome outcome = load.run();
  print(wanted, outcome, load.took());
  return 0;
}

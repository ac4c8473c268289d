#pragma once
// The other ends of connections in tests: a blocking client, and a scripted server with one thread per
// connection. Plain sockets, so that they can send what no HTTP library would.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace enhanced_gptcache::http::testing_peers {

/// How long a test waits for something that should come at once. Only a failing test waits this long.
inline constexpr int kPatienceMs = 10'000;

/// A socket with blocking calls. Move-only.
class Peer {
 public:
  explicit Peer(int socket) : socket_(socket) {}
  static Peer connect_to(uint16_t port, int receive_buffer = 0) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0)
      ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return Peer(socket);
  }
  Peer(Peer&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), received_(std::move(other.received_)) {}
  Peer& operator=(Peer&&) = delete;
  ~Peer() { close(); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  /// Appends what comes next to received(). False: the end, a reset, or patience is over.
  bool receive(int patience_ms = kPatienceMs) {
    pollfd poll_one{socket_, POLLIN, 0};
    if (::poll(&poll_one, 1, patience_ms) <= 0) return false;
    char bytes[16384];
    const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
    was_reset_ = count < 0;
    if (count > 0) received_.append(bytes, static_cast<size_t>(count));
    return count > 0;
  }
  /// Reads until `mark` has come, and returns and forgets everything up to its end. Empty: it did not come.
  std::string read_through(std::string_view mark) {
    for (;;) {
      if (const size_t at = received_.find(mark); at != std::string::npos) return take(at + mark.size());
      if (!receive()) return {};
    }
  }
  std::string read_bytes(size_t count) {
    while (received_.size() < count) {
      if (!receive()) return {};
    }
    return take(count);
  }
  std::string read_to_end() {
    while (receive()) {
    }
    return take(received_.size());
  }
  /// A whole message: head, and a body by its Content-Length or chunks (left encoded).
  std::string read_message(bool has_body = true) {
    std::string head = read_through("\r\n\r\n");
    if (!has_body) return head;
    if (head.find("Transfer-Encoding: chunked") != std::string::npos) return head + read_through("0\r\n\r\n");
    const size_t at = head.find("Content-Length: ");
    if (at == std::string::npos) return head;
    return head + read_bytes(std::stoul(head.substr(at + 16)));
  }
  void shutdown_send() { ::shutdown(socket_, SHUT_WR); }
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// The other side sees a reset.
  void reset() {
    const linger none{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close();
  }
  /// True when the connection ends within patience and nothing more comes before.
  bool at_end() { return received_.empty() && !receive() && received_.empty(); }
  bool was_reset() const { return was_reset_; }
  const std::string& received() const { return received_; }
  int socket() const { return socket_; }

 private:
  std::string take(size_t count) {
    std::string out = received_.substr(0, count);
    received_.erase(0, count);
    return out;
  }
  int socket_;
  std::string received_;
  bool was_reset_ = false;
};

/// Runs `script` on its own thread for each connection, with the connection's number from 0.
class ScriptedServer {
 public:
  using Script = std::function<void(Peer&, int)>;
  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 128), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~ScriptedServer() {
    stopping_ = true;
    Peer::connect_to(port_);  // wakes the accept
    acceptor_.join();
    ::close(listener_);
    {
      const std::lock_guard lock(mutex_);
      for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    }
    for (std::thread& worker : workers_) worker.join();
  }
  uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  std::string url(const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + std::to_string(port_);
  }

 private:
  void accept_all() {
    for (;;) {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (stopping_ || socket < 0) {
        if (socket >= 0) ::close(socket);
        return;
      }
      const int number = connections_++;
      const int watched = ::dup(socket);
      {
        const std::lock_guard lock(mutex_);
        sockets_.push_back(watched);
      }
      workers_.emplace_back([this, socket, number, watched] {
        {
          Peer peer(socket);
          script_(peer, number);
        }
        const std::lock_guard lock(mutex_);
        std::erase(sockets_, watched);
        ::close(watched);
      });
    }
  }
  Script script_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::vector<int> sockets_;
  std::thread acceptor_;
  std::vector<std::thread> workers_;
};

/// Runs the coroutine on `context` until it is done, and returns what it returns.
template <typename T>
T run_on(boost::asio::io_context& context, boost::asio::awaitable<T> work) {
  std::optional<T> result;
  std::exception_ptr thrown;
  boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr error, T value) {
    thrown = error;
    result.emplace(std::move(value));
  });
  context.restart();
  while (!result) context.run_one();
  if (thrown) std::rethrow_exception(thrown);
  return std::move(*result);
}

/// Waits for a condition that another thread makes true.
inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < kPatienceMs; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

}  // namespace enhanced_gptcache::http::testing_peers

#pragma once
// One client connection: reads requests one after another, hands each to its handler, writes the
// answers in order. A small state machine on callbacks rather than a coroutine, because the usual
// request (complete in one read, answered inside the handler) then costs one read and one write and
// no suspension. Internal to src/http.

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/byte_buffer.h"
#include "http/chunk_decoder.h"
#include "http/head_parser.h"
#include "http/out_queue.h"
#include "http/server_thread.h"

namespace enhanced_gptcache::http {

class ServerExchange;

/// Thread rule: confined to its ServerThread. Kept alive by pending reads and writes and by its exchanges.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerThread> thread, asio::ip::tcp::socket socket);
  ~Connection();

  void start();
  /// Answers 503 and closes: the server has too many connections.
  void refuse();
  void close();
  void begin_drain();
  /// Called now and then by the thread; acts on deadlines that have passed.
  void check_deadlines(int64_t now);

  // For ServerExchange. `sequence` names the request, so that a late call for an earlier one is ignored.
  bool is_current(uint64_t sequence) const {
    return !closed_ && sequence == sequence_ && state_ == State::kHandling;
  }
  void send(ServerExchange& exchange, Response response);
  bool start_stream(ServerExchange& exchange, int status, const Headers& headers);
  bool write_stream(uint64_t sequence, std::string chunk);
  void finish_stream(ServerExchange& exchange);
  bool write_tunnel(uint64_t sequence, std::string bytes);
  /// Cuts the answer: the client must not take it for a complete one.
  void abort(ServerExchange& exchange);
  asio::awaitable<bool> drained(uint64_t sequence);
  asio::awaitable<Result<std::string>> next_body(uint64_t sequence);
  asio::awaitable<Result<std::string>> next_raw(uint64_t sequence);
  /// Any thread.
  bool gone() const { return gone_.load(std::memory_order_acquire); }
  void on_gone(uint64_t sequence, std::function<void()> callback);
  ServerThread& thread() { return *thread_; }

 private:
  enum class State { kHead, kBody, kHandling, kLingering };
  enum class Step { kAgain, kWait };

  // Reading (connection.cpp, connection_request.cpp).
  void read_more();
  void receive();
  // Through TLS (connection_tls.cpp).
  void shake_hands();
  void read_encrypted();
  void receive_encrypted();
  void on_read(const boost::system::error_code& error, size_t count);
  void on_end();
  void advance();
  Step step();
  Step read_head();
  Step take_head();
  Step route_request(std::shared_ptr<ServerExchange> exchange, std::string_view rest);
  Step begin_body(std::shared_ptr<ServerExchange> exchange, std::string_view rest);
  Step read_body();
  Step dispatch(std::shared_ptr<ServerExchange> exchange);
  /// Asks the request hook once; true: it has answered.
  bool is_refused(const std::shared_ptr<ServerExchange>& exchange);
  /// Moves body bytes from in_ to `out`, at most `out_bytes_max`; null, or what is wrong with them.
  const char* take_body(std::string& out, size_t out_bytes_max);
  Step refuse_request(int status, const std::string& message);
  Step answer_closed(const std::shared_ptr<ServerExchange>& exchange);
  Step answer_error(const std::shared_ptr<ServerExchange>& exchange, int status, const std::string& message,
                    const std::string& allow = {});
  std::shared_ptr<ServerExchange> make_exchange();
  void linger();
  void discard_input();
  void on_read_deadline();
  void on_write_deadline(int64_t now);
  void fire_gone();
  void probe_client();
  void watch_for_reset();
  void notify(std::optional<asio::steady_timer>& signal);
  asio::awaitable<void> wait_for(std::optional<asio::steady_timer>& signal);

  // Answering (connection_answer.cpp).
  void push(std::string bytes);
  void begin_answer(int status, const Headers& headers);
  std::string make_head(int status, const Headers& headers, std::optional<uint64_t> length);
  void flush();
  void finish_request();
  void account(ServerExchange& exchange, int status);
  void send_continue();

  const std::shared_ptr<ServerThread> thread_;
  std::optional<asio::ip::tcp::socket> socket_;  // empty once closed
  std::unique_ptr<TlsSession> tls_;              // null: plain
  std::shared_ptr<const std::vector<std::string>> certificate_names_;
  bool cut_ = false;  // the answer is not whole, and must not look so
  std::string peer_;
  State state_ = State::kHead;
  bool closed_ = false;
  std::atomic<bool> gone_{false};
  bool peer_ended_ = false;  // the client sent FIN; it may still read
  bool reset_watched_ = false;
  bool probed_ = false;  // whether it still reads, for this request
  bool read_pending_ = false;
  bool write_pending_ = false;
  bool advancing_ = false;
  bool head_begun_ = false;       // the header deadline runs
  bool unread_input_ = false;     // the client may still be sending what we will not read
  int64_t read_deadline_us_ = 0;  // 0: none
  int64_t write_deadline_us_ = 0;
  int unsent_bytes_ = 0;  // in the kernel when the write deadline was set

  // The request being read or handled.
  uint64_t sequence_ = 0;
  ByteBuffer in_;
  HeadScanner scanner_;
  RequestHead head_;
  const Route* route_ = nullptr;
  std::shared_ptr<ServerExchange> reading_;  // while its body is read, before the handler has it
  ChunkDecoder chunks_;
  uint64_t body_left_ = 0;  // of a Content-Length body
  int64_t body_begun_us_ = 0;
  bool body_done_ = true;
  bool body_expired_ = false;
  bool continue_due_ = false;

  // The answer being written.
  OutQueue out_;
  std::shared_ptr<ServerExchange> answered_;  // from the end of the answer until its last byte is written
  bool answer_begun_ = false;
  bool answer_ended_ = false;
  bool keep_alive_ = false;
  bool head_only_ = false;  // the request was HEAD
  bool chunked_out_ = false;
  bool tunnel_ = false;
  bool body_allowed_ = true;
  std::optional<uint64_t> length_left_;  // of a streamed answer with a stated length
  int status_ = 0;
  size_t bytes_out_ = 0;
  size_t discarded_bytes_ = 0;

  std::optional<asio::steady_timer> in_signal_;   // more input for the handler, or its end
  std::optional<asio::steady_timer> out_signal_;  // the socket took everything
  std::vector<std::function<void()>> gone_callbacks_;
};

}  // namespace enhanced_gptcache::http

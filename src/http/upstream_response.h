#pragma once
// An answer of an upstream, read from its connection. Internal to src/http.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/byte_buffer.h"
#include "http/chunk_decoder.h"
#include "http/content_decoder.h"
#include "http/head_parser.h"
#include "http/upstream.h"
#include "http/upstream_stream.h"
#include "http/upstream_target.h"

namespace enhanced_gptcache::http {

/// Why there is no head.
struct HeadFailure {
  Error error;
  bool before_first_byte = true;  ///< nothing of an answer had come
  bool expired = false;
};

class UpstreamAnswer final : public UpstreamResponse {
 public:
  UpstreamAnswer(std::shared_ptr<UpstreamStream> stream, Target target,
                 std::shared_ptr<const UpstreamSnapshot> snapshot, asio::any_io_executor executor);
  /// Before the end: closes the connection.
  ~UpstreamAnswer() override;

  /// Reads the head, skipping 1xx but 101. Empty: done.
  asio::awaitable<std::optional<HeadFailure>> read_head(bool head_only);

  int status() const override { return head_.status; }
  const Headers& headers() const override { return headers_; }
  const std::string& upstream_name() const override { return target_.settings.name; }
  asio::awaitable<Result<std::string>> read() override;
  asio::awaitable<Result<std::string>> read_decoded() override;
  asio::awaitable<Result<std::string>> read_raw() override;
  asio::awaitable<bool> write_raw(std::string bytes) override;
  void cancel() override;

 private:
  enum class Body { kNone, kLength, kChunked, kToEnd, kTunnel };
  /// The connection while it is ours. cancel() on another thread reaches it through this, and finds
  /// nothing once the connection is back in the pool.
  struct Hold {
    std::shared_ptr<UpstreamStream> stream;
    bool cancelled = false;
  };
  std::optional<HeadFailure> parse_head(bool head_only, bool& complete);
  void take_headers(const std::vector<HeaderView>& views);
  asio::awaitable<IoOutcome> fill(int64_t timeout_ms);
  Result<std::string> take_piece();
  Error read_error(const IoOutcome& outcome);
  Error broken(const std::string& why);
  Result<void> end_of_input(const IoOutcome& outcome);
  void finish();
  std::string where() const { return target_.plan.url.host_and_port(); }

  const std::shared_ptr<Hold> hold_;
  const Target target_;
  const std::shared_ptr<const UpstreamSnapshot> snapshot_;
  const asio::any_io_executor executor_;
  ByteBuffer in_;
  HeadScanner scanner_;
  ResponseHead head_;
  Headers headers_;
  Body body_ = Body::kNone;
  ChunkDecoder chunks_;
  uint64_t left_ = 0;  // of a Content-Length body
  bool complete_ = false;
  std::optional<Error> failed_;  // a failed answer stays failed
  std::unique_ptr<ContentDecoder> decoder_;
  bool decoding_ = false;
  bool any_encoded_ = false;
  std::string encoded_;  // received, not yet decoded
  size_t encoded_used_ = 0;
};

}  // namespace enhanced_gptcache::http

#pragma once
// TLS of the listener: certificates that can be replaced while it runs, and one encrypted connection on a
// non-blocking socket. TLS 1.2 and 1.3 (RFC 8446, RFC 9325), forward-secret AEAD suites only.

#include <openssl/ssl.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"
#include "http/tls_options.h"

namespace enhanced_gptcache::http {

/// One connection's encryption. Thread rule: confined to the connection's thread.
class TlsSession {
 public:
  enum class Progress { kDone, kWantRead, kWantWrite, kClosed, kFailed };

  TlsSession(SSL_CTX* context, int socket);

  Progress handshake();
  /// kDone: `count` bytes (more than none) were read.
  Progress read(char* data, size_t size, size_t& count);
  /// kDone: `count` bytes (more than none) were taken. After kWantRead or kWantWrite the same bytes must come
  /// again.
  Progress write(std::string_view data, size_t& count);
  /// After the handshake: the names in the other end's verified certificate (RFC 5280, 4.2.1.6), as
  /// Request::certificate_names says. Null: none was asked for or shown.
  std::shared_ptr<const std::vector<std::string>> peer_names() const;
  /// Decrypted bytes wait inside, so the socket would not say that there is something to read.
  bool has_pending() const { return SSL_pending(ssl_.get()) > 0; }
  /// Says that nothing more will be sent. Best effort.
  void say_goodbye();

 private:
  Progress progress_of(int returned);
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL, Free> ssl_;
  bool failed_ = false;
};

/// The certificates in force. Thread rule: any thread.
class TlsContext {
 public:
  /// kInvalidArgument, kIo: a file cannot be read, holds nothing useful, or the key is not the certificate's;
  /// the message names it.
  static Result<std::unique_ptr<TlsContext>> open(TlsOptions options);

  std::unique_ptr<TlsSession> accept(int socket);
  /// Reads the files again when one of them has changed, at most once a second; connections that are open go
  /// on as they are. Files that do not fit leave the old ones in force, with one line in the log.
  void refresh();
  uint64_t reloads() const { return reloads_.load(std::memory_order_relaxed); }
  uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }
  /// When the certificate in force ends, seconds since 1970.
  int64_t expires_at_s() const { return expires_at_s_.load(std::memory_order_relaxed); }

 private:
  using ContextPtr = std::shared_ptr<SSL_CTX>;
  explicit TlsContext(TlsOptions options) : options_(std::move(options)) {}
  static Result<ContextPtr> load(const TlsOptions& options);
  /// Size, inode and time of each file, as one text.
  static std::string stamp(const TlsOptions& options);

  const TlsOptions options_;
  std::mutex mutex_;
  ContextPtr context_;     // guarded by mutex_
  std::string stamp_;      // guarded by mutex_
  int64_t looked_us_ = 0;  // guarded by mutex_
  std::atomic<uint64_t> reloads_{0}, failures_{0};
  std::atomic<int64_t> expires_at_s_{0};
};

}  // namespace enhanced_gptcache::http

#include "http/server_tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>

#include "base/log.h"
#include "http/server_thread.h"

namespace enhanced_gptcache::http {
namespace {

constexpr int64_t kLookEveryUs = 1'000'000;
constexpr char kTls12Ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

tl::unexpected<Error> wrong(std::string_view setting, const std::string& path) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("{} {}: {}", setting, path, openssl_reason()));
}

/// Without control characters: a zero in the middle would end a name where its signer did not.
void add_name(std::vector<std::string>& names, std::string_view kind, const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int size = text == nullptr ? -1 : ASN1_STRING_to_UTF8(&utf8, text);
  if (size <= 0) return;
  const std::string_view value(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
  if (std::none_of(value.begin(), value.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }))
    names.push_back(std::string(kind) + std::string(value));
  OPENSSL_free(utf8);
}

/// When the own certificate of a context ends, seconds since 1970; 0 when it does not say.
int64_t end_of(const SSL_CTX* context) {
  const X509* certificate = SSL_CTX_get0_certificate(context);
  std::tm end{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) return 0;
  return ::timegm(&end);
}

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  auto* others =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(others); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(others, i);
    if (name->type == GEN_DNS) add_name(names, "DNS:", name->d.dNSName);
    if (name->type == GEN_URI) add_name(names, "URI:", name->d.uniformResourceIdentifier);
    if (name->type == GEN_EMAIL) add_name(names, "email:", name->d.rfc822Name);
  }
  GENERAL_NAMES_free(others);
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  // Of two common names neither is the name.
  if (at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0)
    add_name(names, "CN:", X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  return names;
}

/// Only HTTP/1.1 is spoken here; a client that offers nothing we know goes on without.
int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned offered_size, void* /*unused*/) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_size, kOurs, sizeof kOurs - 1, offered, offered_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

TlsSession::TlsSession(SSL_CTX* context, int socket) : ssl_(SSL_new(context)) {
  if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), socket) != 1) {
    failed_ = true;
    return;
  }
  SSL_set_accept_state(ssl_.get());
}

TlsSession::Progress TlsSession::progress_of(int returned) {
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ:
      return Progress::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Progress::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Progress::kClosed;
    default:
      // After these nothing more may be done with the connection, not even a goodbye.
      failed_ = true;
      ERR_clear_error();
      return Progress::kFailed;
  }
}

TlsSession::Progress TlsSession::handshake() {
  if (failed_) return Progress::kFailed;
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  return done == 1 ? Progress::kDone : progress_of(done);
}

TlsSession::Progress TlsSession::read(char* data, size_t size, size_t& count) {
  if (failed_) return Progress::kFailed;
  ERR_clear_error();
  const int done = SSL_read_ex(ssl_.get(), data, size, &count);
  return done == 1 ? Progress::kDone : progress_of(done);
}

TlsSession::Progress TlsSession::write(std::string_view data, size_t& count) {
  if (failed_) return Progress::kFailed;
  ERR_clear_error();
  const int done = SSL_write_ex(ssl_.get(), data.data(), data.size(), &count);
  return done == 1 ? Progress::kDone : progress_of(done);
}

std::shared_ptr<const std::vector<std::string>> TlsSession::peer_names() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return nullptr;
  return std::make_shared<const std::vector<std::string>>(names_of(certificate));
}

void TlsSession::say_goodbye() {
  if (failed_ || !SSL_is_init_finished(ssl_.get())) return;
  ERR_clear_error();
  if (SSL_shutdown(ssl_.get()) < 0) ERR_clear_error();
}

Result<TlsContext::ContextPtr> TlsContext::load(const TlsOptions& options) {
  ContextPtr context(SSL_CTX_new(TLS_server_method()), [](SSL_CTX* gone) { SSL_CTX_free(gone); });
  if (context == nullptr) return fail(ErrorCode::kInternal, "TLS cannot be set up: " + openssl_reason());
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(
      raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(raw, kTls12Ciphers);
  SSL_CTX_set_alpn_select_cb(raw, choose_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(raw, options.certificate_file.c_str()) != 1)
    return wrong("server.tls_cert_file", options.certificate_file);
  if (SSL_CTX_use_PrivateKey_file(raw, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1)
    return wrong("server.tls_key_file", options.key_file);
  if (options.client_ca_file.empty()) return context;
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca_file.c_str());
  if (names == nullptr || SSL_CTX_load_verify_locations(raw, options.client_ca_file.c_str(), nullptr) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return wrong("server.tls_client_ca_file", options.client_ca_file);
  }
  SSL_CTX_set_client_CA_list(raw, names);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // A session that is taken up again was verified by those in force then.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(raw, 0);
  return context;
}

std::string TlsContext::stamp(const TlsOptions& options) {
  std::string text;
  for (const std::string* path : {&options.certificate_file, &options.key_file, &options.client_ca_file}) {
    struct stat status {};
    if (path->empty() || ::stat(path->c_str(), &status) != 0) {
      text += "-;";
      continue;
    }
    text += fmt::format("{}:{}:{}.{};", status.st_ino, status.st_size, status.st_mtim.tv_sec,
                        status.st_mtim.tv_nsec);
  }
  return text;
}

Result<std::unique_ptr<TlsContext>> TlsContext::open(TlsOptions options) {
  std::unique_ptr<TlsContext> made(new TlsContext(std::move(options)));
  made->stamp_ = stamp(made->options_);
  EGPTC_TRY(made->context_, load(made->options_));
  made->expires_at_s_ = end_of(made->context_.get());
  return made;
}

void TlsContext::refresh() {
  const std::lock_guard lock(mutex_);
  const int64_t now = now_us();
  if (now - looked_us_ < kLookEveryUs) return;
  looked_us_ = now;
  std::string fresh = stamp(options_);
  if (fresh == stamp_) return;
  auto loaded = load(options_);
  stamp_ = std::move(fresh);
  if (!loaded) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    base::log_error("tls: the old certificate stays: {}", loaded.error().message);
    return;
  }
  context_ = std::move(*loaded);
  expires_at_s_ = end_of(context_.get());
  reloads_.fetch_add(1, std::memory_order_relaxed);
  base::log_info("tls: a new certificate is in force for new connections");
}

std::unique_ptr<TlsSession> TlsContext::accept(int socket) {
  const std::lock_guard lock(mutex_);
  return std::make_unique<TlsSession>(context_.get(), socket);
}

}  // namespace enhanced_gptcache::http

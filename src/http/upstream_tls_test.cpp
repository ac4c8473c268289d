// TLS to upstreams, with certificates made here, and the CONNECT proxy.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "http/test_peers.h"
#include "http/upstream.h"

namespace enhanced_gptcache::http {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_peers::Peer;
using testing_peers::run_on;
using testing_peers::ScriptedServer;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

Key make_key() { return Key(EVP_EC_gen("P-256")); }

void add_extension(X509* certificate, int id, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
  ASSERT_NE(extension, nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

/// `issuer` null: signed by itself. `names`: subject alternative names, or empty for an authority.
Certificate make_certificate(EVP_PKEY* key, const std::string& names, X509* issuer, EVP_PKEY* issuer_key,
                             long days = 30) {
  static long serial = 1;
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -86400L * 60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400L * days);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const std::string name = names.empty() ? "test authority" : "test server";
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), issuer == nullptr ? subject : X509_get_subject_name(issuer));
  if (names.empty()) {
    add_extension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  } else {
    add_extension(certificate.get(), NID_subject_alt_name, names);
  }
  X509_sign(certificate.get(), issuer_key == nullptr ? key : issuer_key, EVP_sha256());
  return certificate;
}

/// One authority for all tests, and its PEM file.
struct Authority {
  Authority() : key(make_key()), certificate(make_certificate(key.get(), "", nullptr, nullptr)) {
    file = (std::filesystem::temp_directory_path() / ("egptc_test_ca_" + std::to_string(::getpid()) + ".pem"))
               .string();
    FILE* out = std::fopen(file.c_str(), "w");
    PEM_write_X509(out, certificate.get());
    std::fclose(out);
  }
  ~Authority() { std::filesystem::remove(file); }
  Key key;
  Certificate certificate;
  std::string file;
};

/// The server's side of TLS on a Peer's socket.
class TlsPeer {
 public:
  TlsPeer(SSL_CTX* context, Peer& peer) : ssl_(SSL_new(context)) {
    SSL_set_fd(ssl_.get(), peer.socket());
    accepted_ = SSL_accept(ssl_.get()) == 1;
  }
  bool accepted() const { return accepted_; }
  std::string server_name() const {
    const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }
  std::string read_request() {
    std::string request;
    char bytes[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const int count = SSL_read(ssl_.get(), bytes, sizeof bytes);
      if (count <= 0) return {};
      request.append(bytes, static_cast<size_t>(count));
    }
    return request;
  }
  void write(const std::string& text) { SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())); }
  void say_goodbye() { SSL_shutdown(ssl_.get()); }

 private:
  std::unique_ptr<SSL, Free> ssl_;
  bool accepted_ = false;
};

asio::awaitable<std::string> fetch(std::shared_ptr<UpstreamClient> client) {
  UpstreamRequest request;
  request.method = "GET";
  request.path = "/x";
  Result<std::unique_ptr<UpstreamResponse>> response = co_await client->send(std::move(request));
  if (!response) co_return response.error().message;
  std::string out = std::to_string((*response)->status()) + " ";
  for (;;) {
    Result<std::string> piece = co_await (*response)->read();
    if (!piece) co_return piece.error().message;
    if (piece->empty()) co_return out;
    out += *piece;
  }
}

class UpstreamTlsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGPIPE,
                SIG_IGN);  // the scripted server's OpenSSL writes without MSG_NOSIGNAL; ours does not
    authority_ = std::make_unique<Authority>();
  }
  static void TearDownTestSuite() { authority_.reset(); }

  using Context = std::unique_ptr<SSL_CTX, Free>;
  Context server_context(const std::string& names, bool trusted = true, long days = 30) {
    const Key key = make_key();
    const Certificate certificate =
        make_certificate(key.get(), names, trusted ? authority_->certificate.get() : nullptr,
                         trusted ? authority_->key.get() : nullptr, days);
    Context context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(context.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), key.get());
    return context;
  }
  /// Answers every request; `last` gets the last request and the name that was asked for.
  ScriptedServer::Script serving(SSL_CTX* context, std::string* last = nullptr) {
    return [context, last](Peer& peer, int) {
      TlsPeer tls(context, peer);
      while (tls.accepted()) {
        const std::string request = tls.read_request();
        if (request.empty()) return;
        if (last != nullptr) *last = tls.server_name() + "|" + request;
        tls.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
      }
    };
  }
  std::string ask(const std::string& url, const std::string& proxy = "", const std::string& no_proxy = "") {
    UpstreamOptions options;
    options.default_target = {"default", url, ""};
    options.ca_file = authority_->file;
    options.retries_max = 0;
    options.https_proxy = proxy;
    options.no_proxy = no_proxy;
    auto client = UpstreamClient::create(options);
    if (!client) return client.error().message;
    client_ = *client;
    return run_on(context_, fetch(client_));
  }

  static std::unique_ptr<Authority> authority_;
  asio::io_context context_{1};
  std::shared_ptr<UpstreamClient> client_;
};
std::unique_ptr<Authority> UpstreamTlsTest::authority_;

TEST_F(UpstreamTlsTest, ATrustedServerIsTalkedTo) {
  const Context context = server_context("DNS:localhost,IP:127.0.0.1");
  std::string last;
  ScriptedServer server(serving(context.get(), &last));
  const std::string port = std::to_string(server.port());
  EXPECT_EQ(ask("https://localhost:" + port), "200 secret");
  EXPECT_THAT(last, StartsWith("localhost|GET /x HTTP/1.1\r\nHost: localhost:" + port));
  EXPECT_EQ(run_on(context_, fetch(client_)), "200 secret");
  EXPECT_EQ(client_->stats().at("default").connections_reused, 1U);
  EXPECT_EQ(ask("https://127.0.0.1:" + port), "200 secret");
  EXPECT_THAT(last, StartsWith("|GET")) << "an address is no server name";
}

TEST_F(UpstreamTlsTest, AWrongServerIsNot) {
  const Context other = server_context("DNS:example.com");
  ScriptedServer mismatched(serving(other.get()));
  EXPECT_THAT(ask(mismatched.url("https")), HasSubstr("the certificate was refused: IP address mismatch"));
  EXPECT_THAT(ask("https://localhost:" + std::to_string(mismatched.port())),
              HasSubstr("the certificate was refused: hostname mismatch"));
  const Context own = server_context("IP:127.0.0.1", false);
  ScriptedServer self_signed(serving(own.get()));
  EXPECT_THAT(ask(self_signed.url("https")),
              HasSubstr("the certificate was refused: self-signed certificate"));
  const Context old = server_context("IP:127.0.0.1", true, -1);
  ScriptedServer expired(serving(old.get()));
  EXPECT_THAT(ask(expired.url("https")), HasSubstr("the certificate was refused: certificate has expired"));
}

TEST_F(UpstreamTlsTest, OldProtocolsAndPlainServersAreRefused) {
  const Context context = server_context("IP:127.0.0.1");
  SSL_CTX_set_max_proto_version(context.get(), TLS1_1_VERSION);
  SSL_CTX_set_security_level(context.get(), 0);
  ScriptedServer old(serving(context.get()));
  EXPECT_THAT(ask(old.url("https")), HasSubstr("the TLS handshake with 127.0.0.1:"));
  ScriptedServer plain([](Peer& peer, int) {
    peer.receive();
    peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  EXPECT_THAT(ask(plain.url("https")), HasSubstr("the TLS handshake with 127.0.0.1:"));
}

TEST_F(UpstreamTlsTest, AnEndWithoutGoodbyeIsACut) {
  const Context context = server_context("IP:127.0.0.1");
  for (const bool polite : {true, false}) {
    ScriptedServer server([&](Peer& peer, int) {
      TlsPeer tls(context.get(), peer);
      tls.read_request();
      tls.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf");
      if (polite) tls.say_goodbye();
    });
    const std::string result = ask(server.url("https"));
    EXPECT_THAT(result, HasSubstr(polite ? "200 half" : "before the answer was complete"));
  }
}

/// A CONNECT proxy that relays to 127.0.0.1, whatever name it is asked for.
class Proxy {
 public:
  explicit Proxy(std::string answer)
      : answer_(std::move(answer)), server_([this](Peer& peer, int) { relay(peer); }) {}
  std::string url(const std::string& userinfo = "") const {
    return "http://" + userinfo + "127.0.0.1:" + std::to_string(server_.port());
  }
  std::string request() {
    const std::lock_guard lock(mutex_);
    return request_;
  }

 private:
  void relay(Peer& client) {
    const std::string request = client.read_through("\r\n\r\n");
    {
      const std::lock_guard lock(mutex_);
      request_ = request;
    }
    client.send(answer_);
    const size_t colon = request.find(':');
    if (answer_.find(" 200 ") == std::string::npos || colon == std::string::npos) return;
    Peer target = Peer::connect_to(static_cast<uint16_t>(std::stoi(request.substr(colon + 1))));
    for (;;) {
      pollfd both[2] = {{client.socket(), POLLIN, 0}, {target.socket(), POLLIN, 0}};
      if (::poll(both, 2, testing_peers::kPatienceMs) <= 0) return;
      for (int i = 0; i < 2; ++i) {
        if (both[i].revents == 0) continue;
        char bytes[4096];
        const ssize_t count = ::recv(both[i].fd, bytes, sizeof bytes, 0);
        if (count <= 0) return;
        if (::send(both[1 - i].fd, bytes, static_cast<size_t>(count), MSG_NOSIGNAL) != count) return;
      }
    }
  }
  std::string answer_;
  std::mutex mutex_;
  std::string request_;
  ScriptedServer server_;
};

TEST_F(UpstreamTlsTest, GoesThroughAProxy) {
  const Context context = server_context("DNS:api.example,IP:127.0.0.1");
  ScriptedServer server(serving(context.get()));
  Proxy proxy("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n");
  const std::string port = std::to_string(server.port());
  EXPECT_EQ(ask("https://api.example:" + port, proxy.url("user:p%40ss@")), "200 secret")
      << "the proxy resolves the name, and the certificate is the target's";
  EXPECT_EQ(proxy.request(), "CONNECT api.example:" + port + " HTTP/1.1\r\nHost: api.example:" + port +
                                 "\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n");
  Proxy unused("HTTP/1.1 500 no\r\n\r\n");
  EXPECT_EQ(ask(server.url("https"), unused.url(), "10.0.0.0/8, 127.0.0.1"), "200 secret");
  EXPECT_EQ(unused.request(), "");
  ScriptedServer plain([](Peer& peer, int) {
    peer.read_message();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  EXPECT_EQ(ask(plain.url("http"), unused.url()), "200 ") << "HTTPS_PROXY is not for http";
}

TEST_F(UpstreamTlsTest, AProxyThatRefusesIsNamed) {
  Proxy refusing("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  EXPECT_THAT(ask("https://api.example", refusing.url()),
              testing::MatchesRegex("CONNECT to api.example:443 through the proxy 127.0.0.1:[0-9]+ "
                                    "was refused with status 407"));
  Proxy strange("SOCKS?\r\n\r\n");
  EXPECT_THAT(ask("https://api.example", strange.url()), HasSubstr("did not answer in HTTP"));
  Proxy endless("HTTP/1.1 299 OK\r\nX: " + std::string(40'000, 'a'));
  EXPECT_THAT(ask("https://api.example", endless.url()), HasSubstr("its answer is too long"));
  EXPECT_THAT(ask("https://api.example", "http://no-such-host.invalid"),
              HasSubstr("no-such-host.invalid cannot be resolved"));
}

}  // namespace
}  // namespace enhanced_gptcache::http

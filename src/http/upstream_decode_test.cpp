// Answers with a Content-Encoding, over the wire.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "http/test_peers.h"
#include "http/upstream.h"

namespace enhanced_gptcache::http {
namespace {

using testing::HasSubstr;
using testing_peers::Peer;
using testing_peers::run_on;
using testing_peers::ScriptedServer;

std::string gzipped(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<unsigned char*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

/// The body, or the message of the error.
asio::awaitable<std::string> fetch(std::shared_ptr<UpstreamClient> client, bool decoded) {
  UpstreamRequest request;
  request.path = "/x";
  Result<std::unique_ptr<UpstreamResponse>> response = co_await client->send(std::move(request));
  if (!response) co_return response.error().message;
  std::string body;
  for (;;) {
    Result<std::string> piece;
    if (decoded) {
      piece = co_await (*response)->read_decoded();
    } else {
      piece = co_await (*response)->read();
    }
    if (!piece) co_return piece.error().message;
    if (piece->empty()) co_return body;
    body += *piece;
  }
}

std::string ask(const std::string& body, const std::string& coding, bool decoded) {
  ScriptedServer server([&](Peer& peer, int) {
    peer.read_message();
    peer.send("HTTP/1.1 200 OK\r\nContent-Encoding: " + coding +
              "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  });
  UpstreamOptions options;
  options.default_target = {"default", server.url(), ""};
  const auto client = UpstreamClient::create(options);
  if (!client) return client.error().message;
  asio::io_context context(1);
  return run_on(context, fetch(*client, decoded));
}

TEST(UpstreamDecode, CompressedAnswersAreDecodedOrPassedAsTheyAre) {
  const std::string text(300'000, 'y');
  const std::string body = gzipped(text);
  EXPECT_EQ(ask(body, "gzip", true), text);
  EXPECT_EQ(ask(body, "gzip", false), body);
  EXPECT_THAT(ask(body.substr(0, body.size() - 3), "gzip", true),
              HasSubstr("compressed body ends too early"));
  EXPECT_THAT(ask("nonsense", "gzip", true), HasSubstr("not valid gzip"));
  EXPECT_THAT(ask("x", "zip", true), HasSubstr("unknown Content-Encoding zip"));
  EXPECT_EQ(ask("plain", "identity", true), "plain");
  EXPECT_EQ(ask("", "gzip", true), "") << "an empty body is complete in every coding";
}

}  // namespace
}  // namespace enhanced_gptcache::http

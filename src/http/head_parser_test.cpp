#include "http/head_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace enhanced_gptcache::http {
namespace {

using State = HeadScanner::State;

struct Parsed {
  const char* wrong = nullptr;
  int status = 0;
  RequestHead head;
  std::vector<HeaderView> headers;
};

Parsed parse(std::string_view text) {
  Parsed parsed;
  parsed.wrong = parse_request_head(text, parsed.head, parsed.headers, parsed.status);
  return parsed;
}

TEST(HeadScanner, FindsTheEndWhereverTheBytesAreCut) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
  const size_t head_bytes = text.size() - 4;
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    HeadScanner scanner;
    const State first = scanner.scan(std::string_view(text).substr(0, cut));
    EXPECT_EQ(first, cut >= head_bytes ? State::kFound : State::kMore) << cut;
    if (first == State::kFound) continue;
    EXPECT_EQ(scanner.scan(text), State::kFound) << cut;
    EXPECT_EQ(scanner.head_bytes(), head_bytes);
  }
}

TEST(HeadScanner, RefusesBareLineFeedsAndManyEmptyLines) {
  for (const char* text : {"GET / HTTP/1.1\nHost: a\n\n", "\n", "GET / HTTP/1.1\r\nA: b\n", "\r\n\r\n\r\n"}) {
    HeadScanner scanner;
    EXPECT_EQ(scanner.scan(text), State::kBad) << text;
  }
}

TEST(HeadScanner, SkipsUpToTwoLeadingEmptyLines) {
  HeadScanner scanner;
  EXPECT_EQ(scanner.scan("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), State::kFound);
  EXPECT_EQ(scanner.leading_bytes(), 4U);
  scanner.reset();
  EXPECT_EQ(scanner.leading_bytes(), 0U);
}

TEST(RequestHead, ReadsTheUsualRequest) {
  const Parsed parsed = parse(
      "POST /v1/chat?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nX-A:  b c \t\r\nConnection: x, "
      "Keep-Alive\r\n"
      "Expect: 100-Continue\r\nEmpty:\r\n\r\n");
  ASSERT_EQ(parsed.wrong, nullptr);
  EXPECT_EQ(parsed.head.method, "POST");
  EXPECT_EQ(parsed.head.target, "/v1/chat?x=1");
  EXPECT_EQ(parsed.head.version_minor, 1);
  EXPECT_EQ(parsed.head.framing.content_length, 12U);
  EXPECT_TRUE(parsed.head.expects_continue);
  EXPECT_TRUE(parsed.head.keep_alive());
  ASSERT_EQ(parsed.headers.size(), 6U);
  EXPECT_EQ(parsed.headers[2].value, "b c");
  EXPECT_EQ(parsed.headers[5].value, "");
}

TEST(RequestHead, AbsoluteFormCountsByItsPath) {
  EXPECT_EQ(parse("GET http://a:80/b?c HTTP/1.1\r\nHost: a\r\n\r\n").head.target, "/b?c");
  EXPECT_EQ(parse("GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n").head.target, "/");
}

TEST(RequestHead, KeepAliveFollowsVersionAndConnection) {
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").head.keep_alive());
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive());
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").head.keep_alive());
  EXPECT_TRUE(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                  .head.framing.connection_upgrade);
}

struct BadRequest {
  const char* name;
  std::string text;
  int status = 400;
};

class BadRequestHead : public testing::TestWithParam<BadRequest> {};

TEST_P(BadRequestHead, IsRefused) {
  const Parsed parsed = parse(GetParam().text);
  ASSERT_NE(parsed.wrong, nullptr);
  EXPECT_EQ(parsed.status, GetParam().status) << parsed.wrong;
}

std::string post(const std::string& headers) { return "POST / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n"; }

INSTANTIATE_TEST_SUITE_P(
    Table, BadRequestHead,
    testing::Values(
        BadRequest{"no_version", "GET /\r\n\r\n"}, BadRequest{"empty_line", " \r\n\r\n"},
        BadRequest{"no_target", "GET  HTTP/1.1\r\n\r\n"},
        BadRequest{"space_in_target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
        BadRequest{"control_in_target", "GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n"},
        BadRequest{"absolute_without_path", "GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n"},
        BadRequest{"star_without_options", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
        BadRequest{"bad_method", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
        BadRequest{"http_2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        BadRequest{"http_1_2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
        BadRequest{"not_http", "GET / XTTP/1.1\r\nHost: a\r\n\r\n"},
        BadRequest{"lower_case_http", "GET / http/1.1\r\nHost: a\r\n\r\n"},
        BadRequest{"no_host", "GET / HTTP/1.1\r\n\r\n"},
        BadRequest{"two_hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"},
        BadRequest{"folding", post("A: b\r\n c\r\n")}, BadRequest{"fold_first", post(" A: b\r\n")},
        BadRequest{"space_before_colon", post("A : b\r\n")}, BadRequest{"no_colon", post("abc\r\n")},
        BadRequest{"empty_name", post(": b\r\n")},
        BadRequest{"nul_in_value", post(std::string("A: b\0c\r\n", 8))},
        BadRequest{"cr_in_value", post("A: b\rc\r\n")}, BadRequest{"del_in_value", post("A: b\x7F\r\n")},
        BadRequest{"two_lengths", post("Content-Length: 1\r\nContent-Length: 1\r\n")},
        BadRequest{"length_list", post("Content-Length: 1, 1\r\n")},
        BadRequest{"length_sign", post("Content-Length: +1\r\n")},
        BadRequest{"length_hex", post("Content-Length: 0x1\r\n")},
        BadRequest{"length_empty", post("Content-Length:\r\n")},
        BadRequest{"length_huge", post("Content-Length: 9999999999999999999\r\n")},
        BadRequest{"length_and_chunked", post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")},
        BadRequest{"chunked_and_length", post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")},
        BadRequest{"two_codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
        BadRequest{"other_coding", post("Transfer-Encoding: gzip\r\n"), 501},
        BadRequest{"coding_list", post("Transfer-Encoding: gzip, chunked\r\n"), 501},
        BadRequest{"coding_obscured", post("Transfer-Encoding: \x0b"
                                           "chunked\r\n")},
        BadRequest{"coding_in_1_0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        BadRequest{"expectation", post("Expect: 200-ok\r\n"), 417}),
    [](const testing::TestParamInfo<BadRequest>& row) { return std::string(row.param.name); });

TEST(ResponseHead, ReadsStatusAndFraming) {
  ResponseHead head;
  std::vector<HeaderView> headers;
  EXPECT_EQ(
      parse_response_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n", head, headers),
      nullptr);
  EXPECT_EQ(head.status, 200);
  EXPECT_TRUE(head.framing.chunked);
  EXPECT_EQ(headers.size(), 2U);
  ResponseHead bare;
  headers.clear();
  EXPECT_EQ(parse_response_head("HTTP/1.0 404\r\n\r\n", bare, headers), nullptr);
  EXPECT_EQ(bare.status, 404);
  EXPECT_EQ(bare.version_minor, 0);
}

TEST(ResponseHead, RefusesWhatIsMalformed) {
  for (const char* text :
       {"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n", "ICY 200 OK....\r\n\r\n", "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}) {
    ResponseHead head;
    std::vector<HeaderView> headers;
    EXPECT_NE(parse_response_head(text, head, headers), nullptr) << text;
  }
}

TEST(Tokens, ListsAndCase) {
  EXPECT_TRUE(list_contains("a, B ,c", "b"));
  EXPECT_FALSE(list_contains("ab, c", "b"));
  EXPECT_FALSE(list_contains("", "b"));
  EXPECT_TRUE(equals_ignoring_case("Content-Type", "content-type"));
  EXPECT_FALSE(equals_ignoring_case("a", "ab"));
  EXPECT_TRUE(is_token("X-a_1"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("a b"));
  EXPECT_TRUE(is_field_value("text \t \xC3\xA9"));
  EXPECT_FALSE(is_field_value("a\nb"));
  EXPECT_TRUE(is_field_value(""));
}

TEST(RequestViews, FindHeadersIgnoringCase) {
  Request request;
  request.headers = {{"Content-Type", "a"}, {"X-Empty", ""}};
  EXPECT_EQ(request.header("content-type"), "a");
  EXPECT_TRUE(request.has("x-empty"));
  EXPECT_FALSE(request.has("x-none"));
  EXPECT_EQ(request.header("x-none"), "");
  const Headers headers{{"A", "1"}, {"a", "2"}};
  EXPECT_EQ(*find_header(headers, "a"), "1");
  EXPECT_EQ(find_header(headers, "b"), nullptr);
}

}  // namespace
}  // namespace enhanced_gptcache::http

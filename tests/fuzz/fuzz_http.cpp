// The head of requests and responses, chunked bodies, and addresses of providers: what reaches the server
// before anybody is authenticated.

#include "http/chunk_decoder.h"
#include "http/head_parser.h"
#include "http/url.h"
#include "input.h"

using namespace enhanced_gptcache;

namespace {

/// Chunked bytes mean the same however they arrive.
void chunked(std::string_view bytes, size_t piece) {
  http::ChunkDecoder at_once;
  std::string whole;
  size_t used = 0;
  const char* wrong = at_once.decode(bytes, whole, SIZE_MAX, used);
  fuzz::must(used <= bytes.size() && whole.size() <= bytes.size(), "a decoder makes no bytes");
  http::ChunkDecoder bit_by_bit;
  std::string pieces;
  const char* wrong_too = nullptr;
  fuzz::in_pieces(bytes, piece, [&](std::string_view part) {
    while (!part.empty() && wrong_too == nullptr && !bit_by_bit.done()) {
      size_t taken = 0;
      wrong_too = bit_by_bit.decode(part, pieces, SIZE_MAX, taken);
      if (taken == 0) break;
      part.remove_prefix(taken);
    }
  });
  fuzz::must((wrong == nullptr) == (wrong_too == nullptr), "pieces are judged as the whole");
  fuzz::must(at_once.done() == bit_by_bit.done(), "pieces end where the whole does");
  if (wrong == nullptr) fuzz::must(whole == pieces, "pieces give the bytes of the whole");
}

void head(std::string_view bytes, size_t piece) {
  http::HeadScanner at_once;
  const auto state = at_once.scan(bytes);
  http::HeadScanner bit_by_bit;
  auto state_too = http::HeadScanner::State::kMore;
  for (size_t end = 0; end < bytes.size() && state_too == http::HeadScanner::State::kMore;) {
    end = std::min(bytes.size(), end + piece);
    state_too = bit_by_bit.scan(bytes.substr(0, end));
  }
  if (!bytes.empty()) fuzz::must(state == state_too, "a head ends where it ends, however it arrives");
  if (state != http::HeadScanner::State::kFound) return;
  fuzz::must(at_once.leading_bytes() <= at_once.head_bytes() && at_once.head_bytes() <= bytes.size(),
             "a head is inside");
  const std::string_view found =
      bytes.substr(at_once.leading_bytes(), at_once.head_bytes() - at_once.leading_bytes());
  http::RequestHead request;
  std::vector<http::HeaderView> headers;
  int status = 0;
  if (http::parse_request_head(found, request, headers, status) != nullptr) {
    fuzz::must(status >= 400 && status < 600, "a refused head has a status");
  } else {
    fuzz::must(http::is_token(request.method), "a method is a token");
    fuzz::must(!(request.framing.content_length && request.framing.transfer_encoding),
               "one framing, or none");
    for (const http::HeaderView& header : headers)
      fuzz::must(http::is_token(header.name) && http::is_field_value(header.value), "headers are clean");
  }
  http::ResponseHead response;
  std::vector<http::HeaderView> response_headers;
  (void)http::parse_response_head(found, response, response_headers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const size_t what = input.choice(4);
  const size_t piece = 1 + input.choice(16);
  if (what == 0) {
    chunked(input.rest(), piece);
  } else if (what == 1) {
    const std::string text(input.rest());
    if (const auto url = http::parse_url(text, "upstream.base_url")) {
      fuzz::must(!url->host.empty(), "an address has a host");
      (void)http::is_excluded_from_proxy(text, *url);
    }
    (void)http::matches_wildcard(text, "gpt-4o-mini");
  } else {
    head(input.rest(), piece);
  }
  return 0;
}

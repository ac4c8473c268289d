#include "proxy/embeddings.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <cstring>

#include "base/canonical_json.h"
#include "base/error_table.h"
#include "base/log.h"
#include "proxy/await_callback.h"
#include "proxy/json_view.h"

namespace enhanced_gptcache::proxy {
namespace {

constexpr std::string_view kVendorPrefix = "sentence-transformers/";
/// Texts of one request that wait in the embedder's queue at a time, so that one caller cannot fill it.
constexpr size_t kAtOnce = 32;
constexpr int64_t kEmbedTimeoutMs = 30'000;

struct EmbeddingRequest {
  std::string model;  ///< as the caller spelt it
  std::vector<std::string> texts;
  bool base64 = false;
};

ApiResult<std::string> read_text(std::string_view value, const std::string& where) {
  if (json_kind(value) != JsonKind::kString)
    return refuse(
        where, fmt::format("Invalid '{}': the local model takes a string or an array of strings; arrays of "
                           "tokens belong to another tokenizer.",
                           where));
  std::string text = json_text(value);
  if (text.empty()) return refuse(where, fmt::format("Invalid '{}': the text must not be empty.", where));
  return text;
}

ApiResult<std::vector<std::string>> read_texts(std::string_view input, size_t inputs_max) {
  std::vector<std::string> texts;
  if (json_kind(input) != JsonKind::kArray) {
    auto text = read_text(input, "input");
    if (!text) return tl::unexpected(text.error());
    texts.push_back(std::move(*text));
    return texts;
  }
  ElementCursor elements(input);
  while (elements.next()) {
    if (texts.size() == inputs_max)
      return refuse("input", fmt::format("Invalid 'input': at most {} texts are allowed.", inputs_max));
    auto text = read_text(elements.value(), fmt::format("input[{}]", texts.size()));
    if (!text) return tl::unexpected(text.error());
    texts.push_back(std::move(*text));
  }
  if (texts.empty()) return refuse("input", "Invalid 'input': empty array. Expected at least one text.");
  return texts;
}

ApiResult<EmbeddingRequest> read_embedding_request(const Call& call) {
  auto body = parse_body(Dialect::kEmbeddings, call.exchange->request().body, {});
  if (!body) return tl::unexpected(body.error());
  EmbeddingRequest out;
  out.model = body->model;
  const auto format = find_member(body->document, "encoding_format");
  if (format && *format != "null" && *format != "\"float\"" && *format != "\"base64\"")
    return refuse("encoding_format", "Invalid 'encoding_format': allowed is float or base64.");
  out.base64 = format && *format == "\"base64\"";
  const size_t dimensions = call.services->embedder->dimensions();
  const auto wanted = find_member(body->document, "dimensions");
  if (wanted && *wanted != "null" && json_number(*wanted) != static_cast<double>(dimensions))
    return refuse(
        "dimensions",
        fmt::format("Invalid 'dimensions': this model has {} and cannot be shortened.", dimensions));
  auto texts = read_texts(*find_member(body->document, "input"), call.options->embedding_inputs_max);
  if (!texts) return tl::unexpected(texts.error());
  out.texts = std::move(*texts);
  return out;
}

void append_vector(std::string& out, const std::vector<float>& values, bool base64) {
  if (base64) {
    out += '"' + base64_of(values) + '"';
    return;
  }
  out.push_back('[');
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out.push_back(',');
    fmt::format_to(std::back_inserter(out), "{}", values[i]);
  }
  out.push_back(']');
}

/// All texts of a window of the request, in order.
asio::awaitable<Result<std::vector<Embedding>>> embed_some(std::shared_ptr<const Embedder> embedder,
                                                           std::span<const std::string> texts) {
  struct Gather {
    std::mutex mutex;
    std::vector<Embedding> done;
    size_t left = 0;
    std::optional<Error> error;
  };
  auto gather = std::make_shared<Gather>();
  gather->done.resize(texts.size());
  gather->left = texts.size();
  co_return co_await await_callback<std::vector<Embedding>>(kEmbedTimeoutMs, [&](auto done) {
    auto shared_done = std::make_shared<decltype(done)>(std::move(done));
    for (size_t i = 0; i < texts.size(); ++i)
      embedder->embed_async(texts[i], [gather, shared_done, i](Result<Embedding> one) {
        std::unique_lock lock(gather->mutex);
        if (one)
          gather->done[i] = std::move(*one);
        else
          gather->error = std::move(one).error();
        if (--gather->left > 0) return;
        lock.unlock();
        if (gather->error)
          (*shared_done)(fail(std::move(*gather->error)));
        else
          (*shared_done)(std::move(gather->done));
      });
  });
}

/// A vector of the beginning of a text would be a silent lie about the rest.
void refuse_too_long(Call& call, size_t index, uint32_t tokens) {
  reply_refusal(
      call, refuse("input", fmt::format("This model's maximum context length is {} tokens, but input {} has "
                                        "{}. Please shorten or split it.",
                                        call.services->embedder->window_tokens() - 2, index, tokens))
                .value());
}

asio::awaitable<void> answer(CallPtr call, EmbeddingRequest request) {
  std::string body = R"({"object":"list","data":[)";
  uint64_t tokens = 0;
  for (size_t at = 0; at < request.texts.size(); at += kAtOnce) {
    const size_t count = std::min(kAtOnce, request.texts.size() - at);
    auto vectors = co_await embed_some(call->services->embedder, std::span(request.texts).subspan(at, count));
    if (!vectors) {
      ApiError error;
      error.status = base::error_row(vectors.error().code).http_status;
      error.message = "The local model could not embed the input: " + vectors.error().message + ".";
      error.retry_after_s = error.status == 503 ? 1 : 0;
      reply_error(*call, error);
      co_return;
    }
    for (size_t i = 0; i < count; ++i) {
      const TextStats& stats = (*vectors)[i].stats;
      if (stats.truncated) refuse_too_long(*call, at + i, stats.tokens);
      if (stats.truncated) co_return;
      if (at + i > 0) body.push_back(',');
      fmt::format_to(std::back_inserter(body), R"({{"object":"embedding","index":{},"embedding":)", at + i);
      append_vector(body, (*vectors)[i].values, request.base64);
      body.push_back('}');
      tokens += stats.tokens;
    }
  }
  body += fmt::format(R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
                      base::json_string(call->body.model), tokens, tokens);
  http::Response response;
  response.headers.push_back({"Content-Type", "application/json"});
  add_cache_headers(*call, response.headers);
  response.body = std::move(body);
  mark_first_byte(*call);
  account(*call, 200);
  call->exchange->send(std::move(response));
}

}  // namespace

std::string base64_of(const std::vector<float>& values) {
  // Floats are little-endian on every machine this builds for (the layout the SDKs decode).
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<unsigned char> bytes(values.size() * sizeof(float));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t here = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) group = (group << 8U) | (i < here ? bytes[at + i] : 0U);
    for (size_t i = 0; i < 4; ++i) out.push_back(i <= here ? kDigits[(group >> (18 - 6 * i)) & 63U] : '=');
  }
  return out;
}

bool is_local_embedding(const Call& call) {
  if (call.services->embedder == nullptr) return false;
  // A quick look before the body is checked as a whole; a wrong guess is refused by that check.
  auto document = base::canonical_json(call.exchange->request().body);
  if (!document) return false;
  const auto model = find_member(*document, "model");
  if (!model) return false;
  // The setting may carry any publisher's prefix; a caller may name it with that, with the usual one, or
  // bare.
  const std::string name = json_text(*model);
  const std::string_view own = call.options->embedding_model;
  const std::string_view bare = own.substr(own.rfind('/') + 1);
  return name == own || name == bare || name == std::string(kVendorPrefix).append(bare);
}

void serve_local_embedding(CallPtr call) {
  call->outcome = Outcome::kBypass;
  call->reason = "local_model";
  auto request = read_embedding_request(*call);
  if (!request) return reply_refusal(*call, request.error());
  call->body.model = request->model;
  const auto executor = call->exchange->executor();
  asio::co_spawn(executor, answer(call, std::move(*request)), [call](const std::exception_ptr& thrown) {
    if (thrown == nullptr) return;
    base::log_error("an embedding request ended by an exception");
    call->exchange->send(openai_error(500, "The embedding failed."));
  });
}

}  // namespace enhanced_gptcache::proxy

#include "embed/local_embedder.h"

#include <algorithm>
#include <cmath>

namespace enhanced_gptcache::embed {
namespace {

// Ids of one text as the tokenizer gives them. A very long text must not pin its memory to the thread.
constexpr size_t kKeptIds = 16384;

std::vector<int32_t>& thread_ids() {
  static thread_local std::vector<int32_t> ids;
  if (ids.capacity() > kKeptIds) ids = {};
  ids.clear();
  return ids;
}

TextStats count_tokens(const Tokenizer& tokenizer, size_t window_tokens, const std::vector<int32_t>& ids) {
  TextStats stats;
  stats.tokens = static_cast<uint32_t>(ids.size());
  stats.unknown_tokens = static_cast<uint32_t>(std::count(ids.begin(), ids.end(), tokenizer.unk_id()));
  stats.truncated = ids.size() + 2 > window_tokens;
  return stats;
}

}  // namespace

void append_text(const Tokenizer& tokenizer, size_t window_tokens, std::string_view text,
                 TokenizedTexts& out) {
  std::vector<int32_t>& ids = thread_ids();
  tokenizer.encode(text, ids);
  out.stats.push_back(count_tokens(tokenizer, window_tokens, ids));
  const auto kept = static_cast<ptrdiff_t>(std::min(ids.size(), window_tokens - 2));
  out.ids.push_back(tokenizer.cls_id());
  out.ids.insert(out.ids.end(), ids.begin(), ids.begin() + kept);
  out.ids.push_back(tokenizer.sep_id());
  out.ends.push_back(out.ids.size());
}

LocalEmbedder::LocalEmbedder(Parts parts, size_t threads, size_t queue_max)
    : parts_(std::move(parts)),
      queue_(std::make_unique<EmbedQueue>(
          threads, queue_max,
          [this](std::span<const std::string_view> texts) { return embed_batch(texts); })) {}

TextStats LocalEmbedder::inspect(std::string_view text) const {
  std::vector<int32_t>& ids = thread_ids();
  parts_.tokenizer.encode(text, ids);
  return count_tokens(parts_.tokenizer, window_tokens(), ids);
}

Result<Embedding> LocalEmbedder::embed(std::string_view text) const {
  EGPTC_TRY(auto embeddings, embed_batch({&text, 1}));
  return std::move(embeddings.front());
}

Result<std::vector<Embedding>> LocalEmbedder::embed_batch(std::span<const std::string_view> texts) const {
  TokenizedTexts tokens;
  for (const std::string_view text : texts) append_text(parts_.tokenizer, window_tokens(), text, tokens);
  std::vector<float> vectors(texts.size() * dimensions());
  parts_.encoder->encode(tokens.batch(), vectors.data());
  std::vector<Embedding> embeddings;
  embeddings.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto begin = vectors.begin() + static_cast<ptrdiff_t>(i * dimensions());
    Embedding embedding{{begin, begin + static_cast<ptrdiff_t>(dimensions())}, tokens.stats[i]};
    // One bad number makes every number of a row bad in the next layer norm, so the first tells.
    if (!std::isfinite(embedding.values.front())) {
      return fail(ErrorCode::kInternal, "the model gave a vector with a number that is not finite");
    }
    embeddings.push_back(std::move(embedding));
  }
  return embeddings;
}

void LocalEmbedder::embed_async(std::string text, Callback done) const {
  queue_->push(std::move(text), std::move(done));
}

}  // namespace enhanced_gptcache::embed

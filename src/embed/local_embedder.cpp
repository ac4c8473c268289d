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

void tokenize_pairs(const Tokenizer& tokenizer, size_t tokens_per_text, std::string_view query,
                    std::span<const std::string_view> candidates, TokenizedPairs& out) {
  out.ids.clear();
  out.ends.clear();
  out.seconds.clear();
  const auto append = [&](std::string_view text) {
    std::vector<int32_t>& ids = thread_ids();
    tokenizer.encode(text, ids);
    const auto kept = static_cast<ptrdiff_t>(std::min(ids.size(), tokens_per_text));
    out.ids.insert(out.ids.end(), ids.begin(), ids.begin() + kept);
    out.ids.push_back(tokenizer.sep_id());
  };
  size_t first_length = 0;
  for (size_t p = 0; p < candidates.size(); ++p) {
    if (p == 0) {
      out.ids.push_back(tokenizer.cls_id());
      append(query);
      first_length = out.ids.size();
    } else {
      // The query is tokenized once. Room first: what is inserted lies in the same vector.
      const size_t end = out.ids.size();
      out.ids.resize(end + first_length);
      std::copy_n(out.ids.begin(), first_length, out.ids.begin() + static_cast<ptrdiff_t>(end));
    }
    out.seconds.push_back(out.ids.size());
    append(candidates[p]);
    out.ends.push_back(out.ids.size());
  }
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

void LocalEmbedder::embed_within(int64_t wait_ms_max, std::string text, Callback done) const {
  queue_->push(std::move(text), std::move(done), wait_ms_max);
}

size_t LocalEmbedder::pair_tokens_per_text() const {
  return parts_.pair_encoder == nullptr ? 0 : parts_.pair_encoder->tokens_per_text();
}

Result<std::vector<float>> LocalEmbedder::pair_scores(std::string_view query,
                                                      std::span<const std::string_view> candidates) const {
  if (parts_.pair_encoder == nullptr) return fail(ErrorCode::kUnsupported, parts_.pair_encoder_status);
  static thread_local TokenizedPairs pairs;
  tokenize_pairs(parts_.tokenizer, pair_tokens_per_text(), query, candidates, pairs);
  std::vector<float> logits(candidates.size());
  parts_.pair_encoder->score(pairs.batch(), logits.data());
  if (!std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); })) {
    return fail(ErrorCode::kInternal, "the pair encoder gave a number that is not finite");
  }
  return logits;
}

}  // namespace enhanced_gptcache::embed

#include "eval/memo_embedder.h"

namespace enhanced_gptcache::eval {
namespace {

/// The length keeps "ab" + "c" and "a" + "bc" apart.
std::string pair_key(std::string_view query, std::string_view candidate) {
  return std::to_string(query.size()) + ":" + std::string(query) + std::string(candidate);
}

}  // namespace

Result<Embedding> MemoEmbedder::embed(std::string_view text) const {
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = known_.find(text); found != known_.end()) return found->second;
  }
  auto embedding = model_->embed(text);
  if (!embedding) return embedding;
  const std::lock_guard lock(mutex_);
  if (known_.size() < texts_max_) known_.emplace(text, *embedding);
  return embedding;
}

Result<std::vector<Embedding>> MemoEmbedder::embed_batch(std::span<const std::string_view> texts) const {
  std::vector<Embedding> embeddings;
  for (const std::string_view text : texts) {
    EGPTC_TRY(Embedding embedding, embed(text));
    embeddings.push_back(std::move(embedding));
  }
  return embeddings;
}

Result<std::vector<float>> MemoEmbedder::pair_scores(std::string_view query,
                                                     std::span<const std::string_view> candidates) const {
  std::vector<float> scores(candidates.size());
  std::vector<size_t> unknown;
  {
    const std::shared_lock lock(mutex_);
    for (size_t i = 0; i < candidates.size(); ++i) {
      const auto found = known_pairs_.find(pair_key(query, candidates[i]));
      if (found == known_pairs_.end())
        unknown.push_back(i);
      else
        scores[i] = found->second;
    }
  }
  if (unknown.empty()) return scores;
  std::vector<std::string_view> texts;
  for (const size_t i : unknown) texts.push_back(candidates[i]);
  EGPTC_TRY(const std::vector<float> fresh, model_->pair_scores(query, texts));
  const std::lock_guard lock(mutex_);
  for (size_t n = 0; n < unknown.size(); ++n) {
    scores[unknown[n]] = fresh[n];
    if (known_pairs_.size() < texts_max_) known_pairs_.emplace(pair_key(query, texts[n]), fresh[n]);
  }
  return scores;
}

}  // namespace enhanced_gptcache::eval

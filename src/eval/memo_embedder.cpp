#include "eval/memo_embedder.h"

namespace enhanced_gptcache::eval {

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

}  // namespace enhanced_gptcache::eval

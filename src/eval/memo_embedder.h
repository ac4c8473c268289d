#pragma once
// An embedder that remembers. A sweep asks the real cache the same questions at twenty thresholds; the
// vectors are the same each time, and nine tenths of the cost.

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "enhanced_gptcache/embedder.h"

namespace enhanced_gptcache::eval {

/// Thread rule: any thread. Holds at most `texts_max` vectors and as many scores of pairs; what comes later
/// is embedded each time.
class MemoEmbedder final : public Embedder {
 public:
  static constexpr size_t kTextsMax = 200'000;

  explicit MemoEmbedder(std::shared_ptr<const Embedder> model, size_t texts_max = kTextsMax)
      : model_(std::move(model)), texts_max_(texts_max) {}

  size_t dimensions() const override { return model_->dimensions(); }
  size_t window_tokens() const override { return model_->window_tokens(); }
  std::string_view model_epoch() const override { return model_->model_epoch(); }
  std::string_view kernel_name() const override { return model_->kernel_name(); }
  TextStats inspect(std::string_view text) const override { return model_->inspect(text); }
  Result<Embedding> embed(std::string_view text) const override;
  Result<std::vector<Embedding>> embed_batch(std::span<const std::string_view> texts) const override;
  /// Answers at once, on the caller's thread.
  void embed_async(std::string text, Callback done) const override { done(embed(text)); }

  bool has_pair_encoder() const override { return model_->has_pair_encoder(); }
  std::string_view pair_encoder_status() const override { return model_->pair_encoder_status(); }
  size_t pair_tokens_per_text() const override { return model_->pair_tokens_per_text(); }
  Result<std::vector<float>> pair_scores(std::string_view query,
                                         std::span<const std::string_view> candidates) const override;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  const std::shared_ptr<const Embedder> model_;
  const size_t texts_max_;
  mutable std::shared_mutex mutex_;
  mutable std::unordered_map<std::string, Embedding, Hash, std::equal_to<>> known_;  // guarded by mutex_
  mutable std::unordered_map<std::string, float> known_pairs_;                       // guarded by mutex_
};

/// `model` behind a MemoEmbedder; null stays null.
inline std::shared_ptr<const Embedder> remembering(std::shared_ptr<const Embedder> model) {
  return model == nullptr ? nullptr : std::make_shared<const MemoEmbedder>(std::move(model));
}

}  // namespace enhanced_gptcache::eval

#pragma once
// The one real Embedder: tokenizer, encoder and worker threads put together.

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "embed/embed_queue.h"
#include "embed/encoder.h"
#include "embed/model_config.h"
#include "embed/tokenizer.h"
#include "enhanced_gptcache/embedder.h"

namespace enhanced_gptcache::embed {

/// Word pieces ready for the encoder, and what the tokenizer saw.
struct TokenizedTexts {
  std::vector<int32_t> ids;
  std::vector<size_t> ends;
  std::vector<TextStats> stats;
  TokenBatch batch() const { return {ids, ends}; }
};

/// Appends [CLS] text [SEP], cut to the window.
void append_text(const Tokenizer& tokenizer, size_t window_tokens, std::string_view text,
                 TokenizedTexts& out);

/// [CLS] query [SEP] candidate [SEP] for each candidate, each text cut to `tokens_per_text`.
struct TokenizedPairs {
  std::vector<int32_t> ids;
  std::vector<size_t> ends;
  std::vector<size_t> seconds;
  PairBatch batch() const { return {ids, ends, seconds}; }
};
void tokenize_pairs(const Tokenizer& tokenizer, size_t tokens_per_text, std::string_view query,
                    std::span<const std::string_view> candidates, TokenizedPairs& out);

/// Thread rule: that of Embedder.
class LocalEmbedder final : public Embedder {
 public:
  struct Parts {
    ModelConfig config;
    Tokenizer tokenizer;
    std::unique_ptr<Encoder> encoder;
    std::string model_epoch;
    std::string kernel_name;
    std::unique_ptr<PairEncoder> pair_encoder;  ///< or null; borrows `encoder`
    std::string pair_encoder_status;
  };

  LocalEmbedder(Parts parts, size_t threads, size_t queue_max);

  size_t dimensions() const override { return parts_.config.hidden_size; }
  size_t window_tokens() const override { return parts_.config.window_tokens; }
  std::string_view model_epoch() const override { return parts_.model_epoch; }
  std::string_view kernel_name() const override { return parts_.kernel_name; }

  TextStats inspect(std::string_view text) const override;
  Result<Embedding> embed(std::string_view text) const override;
  Result<std::vector<Embedding>> embed_batch(std::span<const std::string_view> texts) const override;
  void embed_async(std::string text, Callback done) const override;
  void embed_within(int64_t wait_ms_max, std::string text, Callback done) const override;
  void stop() const override { queue_->stop(); }

  bool has_pair_encoder() const override { return parts_.pair_encoder != nullptr; }
  std::string_view pair_encoder_status() const override { return parts_.pair_encoder_status; }
  size_t pair_tokens_per_text() const override;
  Result<std::vector<float>> pair_scores(std::string_view query,
                                         std::span<const std::string_view> candidates) const override;

 private:
  const Parts parts_;
  /// Last: its workers use parts_ until they are joined. Calls to it are safe from const methods (it locks).
  const std::unique_ptr<EmbedQueue> queue_;
};

}  // namespace enhanced_gptcache::embed

#pragma once
// Text to unit vectors with a local BERT-family sentence encoder (sentence-transformers folder
// layout), on the CPU, without Python. The one real implementation is made by Embedder::open;
// the class is an interface because the cache is tested with a fake one.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache {

struct EmbedderOptions {
  /// A folder with model.safetensors, config.json, vocab.txt or tokenizer.json, and optionally
  /// 1_Pooling/config.json, modules.json, sentence_bert_config.json.
  std::string model_dir;
  /// "int8" (per-channel weights, per-row dynamic activations) or "fp32" (the plain reference).
  std::string precision = "int8";
  /// "auto", or one of the names simd::kernel_names() lists ("avx512vnni", "avx2", "scalar");
  /// one this processor lacks is an error that lists what there is.
  std::string kernel = "auto";
  /// Worker threads of embed_async. embed() runs on the caller's thread.
  size_t threads = 1;
  /// embed_async refuses with kOverloaded when so many texts wait.
  size_t queue_max = 256;
  /// The packed int8 weights are written here at first start and mapped at later ones; empty:
  /// "<model_dir>/model.int8.packed". A folder that cannot be written is no error.
  std::string packed_path;
  /// A pair encoder made for this very model (see src/embed/pair_weights.h); empty: none. One that cannot be
  /// used is no error of open: pair_encoder_status() tells why there is none.
  std::string pair_encoder_path;
};

/// What the tokenizer saw in one text; the cache decides eligibility from it.
struct TextStats {
  uint32_t tokens = 0;          ///< word pieces without [CLS] and [SEP], before truncation
  uint32_t unknown_tokens = 0;  ///< of them [UNK]
  bool truncated = false;       ///< longer than the model's window: the vector does not see all of it
};

/// Thread rule: immutable once made.
struct Embedding {
  std::vector<float> values;  ///< dimensions() floats, Euclidean length 1
  TextStats stats;
};

/// Thread rule: every method may be called from any thread, all at once.
class Embedder {
 public:
  using Callback = std::function<void(Result<Embedding>)>;

  /// Reads and verifies the model. kNotFound: a file is missing; kCorrupt: damaged or truncated;
  /// kUnsupported: a well-formed model that is no BERT encoder, or a kernel this machine lacks.
  static Result<std::unique_ptr<Embedder>> open(const EmbedderOptions& options);

  virtual ~Embedder() = default;
  /// Length of a vector (384 for all-MiniLM-L6-v2).
  virtual size_t dimensions() const = 0;
  /// Word pieces the model sees, [CLS] and [SEP] included (256 for all-MiniLM-L6-v2).
  virtual size_t window_tokens() const = 0;
  /// Changes whenever vectors would: hash of weights, precision and pooling. Names the epoch of entries.
  virtual std::string_view model_epoch() const = 0;
  /// Name of the kernel table in use.
  virtual std::string_view kernel_name() const = 0;

  /// Tokenizes only. Invalid UTF-8 is read as U+FFFD per maximal invalid sequence.
  virtual TextStats inspect(std::string_view text) const = 0;
  /// Blocks for the forward pass. Text over the window is truncated and says so in stats.
  virtual Result<Embedding> embed(std::string_view text) const = 0;
  /// The same for several texts in one pass.
  virtual Result<std::vector<Embedding>> embed_batch(std::span<const std::string_view> texts) const = 0;
  /// Queues the text; `done` is called once, on a worker thread, or at once on the caller's thread
  /// with kOverloaded when the queue is full. Waiting texts are batched, nothing waits for a batch.
  virtual void embed_async(std::string text, Callback done) const = 0;
  /// The same for a caller who will not wait long: a text that has stood in the queue for more than
  /// `wait_ms_max` > 0 is not embedded and gets kOverloaded. An embedder without a queue never makes one
  /// wait.
  virtual void embed_within(int64_t wait_ms_max, std::string text, Callback done) const {
    (void)wait_ms_max;
    embed_async(std::move(text), std::move(done));
  }

  /// True when pair_scores answers.
  virtual bool has_pair_encoder() const { return false; }
  /// For operators: name and size of the pair encoder, or why there is none.
  virtual std::string_view pair_encoder_status() const { return "no pair encoder is configured"; }
  /// Word pieces (TextStats::tokens) the pair encoder sees of each text; the rest of a longer text is
  /// invisible to it, so a caller must not take its word on one. 0 without a pair encoder.
  virtual size_t pair_tokens_per_text() const { return 0; }
  /// One logit a candidate, higher meaning more likely the same answer, from reading both texts together.
  /// Depends on the order: `query` is the new text. Blocks for the forward pass. kUnsupported: there is no
  /// pair encoder; kInternal: it gave a number that is not finite.
  virtual Result<std::vector<float>> pair_scores(std::string_view query,
                                                 std::span<const std::string_view> candidates) const {
    (void)query;
    (void)candidates;
    return fail(ErrorCode::kUnsupported, "this embedder has no pair encoder");
  }

  /// Ends embed_async for good: waiting and later texts get kUnavailable, and when this returns no callback
  /// runs any more. For whoever owns what the callbacks use. Not from a callback. An embedder without
  /// threads of its own has nothing to do.
  virtual void stop() const {}
};

}  // namespace enhanced_gptcache

#pragma once
// BERT WordPiece, equal to the Hugging Face `tokenizers` library (BertNormalizer, BertPreTokenizer,
// WordPiece): clean, space out Chinese characters, strip accents (NFD), lower-case, split at white
// space and punctuation, then longest match first in the vocabulary. Source of the method:
// Devlin et al., "BERT", arXiv:1810.04805, and Wu et al., arXiv:1609.08144 (word pieces).
//
// Special tokens written in a text ("[SEP]") become their ids, as in the reference. This gives a
// caller no power: ids of an encoder carry no instructions, [CLS], [SEP] and padding of the real
// sequence are added by us outside the text, and tenants are kept apart by partitions, not vectors.
// Invalid UTF-8 (which the reference cannot receive) is read as one U+FFFD per maximal invalid
// sequence (Unicode 15, section 3.9), and the normaliser then drops U+FFFD.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

class WordPieceModel;

/// Thread rule: immutable once made; encode may run on any number of threads.
class Tokenizer final {
 public:
  /// Reads tokenizer.json, or vocab.txt when there is none, and tokenizer_config.json beside either.
  /// Where the two JSON files disagree on lower-casing, accents or Chinese characters,
  /// tokenizer_config.json wins, as in transformers. kNotFound: no tokenizer files; kCorrupt: a
  /// damaged file; kUnsupported: another kind of tokenizer (BPE, Unigram...). Messages name the file.
  static Result<Tokenizer> load(const std::string& model_dir);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Appends the ids of `text`, without [CLS] and [SEP] around them and without any cut. Time and
  /// memory are linear in the text. Allocates nothing when `ids` has room (after a thread's first calls).
  void encode(std::string_view text, std::vector<int32_t>& ids) const;

  int32_t cls_id() const;
  int32_t sep_id() const;
  int32_t pad_id() const;
  int32_t unk_id() const;
  /// Largest id any text can give, plus one; must not exceed the model's vocab_size.
  size_t id_limit() const;

 private:
  explicit Tokenizer(std::unique_ptr<const WordPieceModel> model);
  std::unique_ptr<const WordPieceModel> model_;
};

}  // namespace enhanced_gptcache::embed

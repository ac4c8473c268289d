#pragma once
// The whole way from text to ids, without files: added tokens, normaliser, splitting into words, and
// the longest-match-first search in the vocabulary. tokenizer.h wraps it for the encoder; tests and
// tools make one directly.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embed/unicode_text.h"
#include "embed/wordpiece_trie.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

/// A token that is found in the text before anything else is done to it.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool left_strip = false;   ///< takes the white space before it along
  bool right_strip = false;  ///< takes the white space after it along
  bool normalized = false;   ///< looked for in the normalised text, in normal form itself
};

struct WordPieceSpec {
  std::vector<std::pair<std::string, int32_t>> vocab;
  std::vector<AddedToken> added;
  NormalizerOptions normalizer;
  std::string continuation_prefix = "##";
  size_t word_chars_max = 100;  ///< longer words are one [UNK]
  int32_t unk_id = 0;
  int32_t cls_id = 0;
  int32_t sep_id = 0;
  int32_t pad_id = 0;
};

/// Finds the next word of normalised text from `position` on: a run without white space, or one
/// punctuation character. Empty at the end. `position` moves past the word.
std::string_view next_word(const CharTable& table, std::string_view normalized, size_t& position);

/// Thread rule: immutable once made; any thread.
class WordPieceModel final {
 public:
  explicit WordPieceModel(WordPieceSpec spec);

  /// Appends the ids of `text`.
  void encode(std::string_view text, std::vector<int32_t>& ids) const;

  const TextNormalizer& normalizer() const { return normalizer_; }
  int32_t unk_id() const { return unk_id_; }
  int32_t cls_id() const { return cls_id_; }
  int32_t sep_id() const { return sep_id_; }
  int32_t pad_id() const { return pad_id_; }
  size_t id_limit() const { return id_limit_; }

 private:
  // The added tokens of one kind, looked for leftmost first, of those the longest.
  struct AddedSet {
    std::vector<AddedToken> tokens{};
    WordPieceTrie trie{};
    std::array<bool, 256> starts{};
    void build();
  };
  struct Found {
    const AddedToken* token = nullptr;  // null: none
    size_t begin = 0;
    size_t end = 0;
  };

  template <typename OnText>
  void split_added(const AddedSet& set, std::string_view text, std::vector<int32_t>& ids,
                   OnText on_text) const;
  Found find_added(const AddedSet& set, std::string_view text, size_t from) const;
  void encode_raw(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_normalized(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_word(std::string_view word, std::vector<int32_t>& ids) const;

  const CharTable& table_;
  TextNormalizer normalizer_;
  WordPieceTrie trie_;
  uint32_t continuation_root_ = WordPieceTrie::kNone;
  AddedSet added_raw_;
  AddedSet added_normalized_;
  size_t word_chars_max_;
  int32_t unk_id_, cls_id_, sep_id_, pad_id_;
  size_t id_limit_ = 0;
};

}  // namespace enhanced_gptcache::embed

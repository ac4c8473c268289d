#pragma once
// Characters as the Hugging Face tokenizer sees them, and its text normaliser. Categories,
// canonical decompositions (NFD) and lower case come from utf8proc; where the reference's Rust crates
// carry older or newer Unicode tables, unicode_text_exceptions.h (generated) overrides them, so that
// the same text gives the same ids. Every code point is compared by tools/tokenizer_diff.py.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::embed {

/// Bits of CharTraits::flags.
enum CharFlag : uint8_t {
  kCharDropped = 1,      ///< a control, format, private-use or replacement character: cleaning removes it
  kCharSpace = 2,        ///< white space (Rust's char::is_whitespace)
  kCharPunctuation = 4,  ///< ASCII punctuation and symbols, and the categories P*
  kCharMark = 8,         ///< category Mn: stripping accents removes it
  kCharChinese = 16,     ///< gets a space on either side
  kCharHangul = 32,      ///< a Hangul syllable: decomposes by arithmetic (Unicode 15, section 3.12)
};

struct CharTraits {
  uint8_t flags = 0;
  uint8_t combining_class = 0;
  uint8_t decomposition_length = 0;  ///< 0: decomposes to itself (or is Hangul)
  int32_t lower_delta = 0;           ///< lower case of c is c + lower_delta
  std::array<char32_t, 4> decomposition{};
  friend auto operator<=>(const CharTraits&, const CharTraits&) = default;
};

/// Traits of all 0x110000 code points in a two-level table of about 250 kB. Thread rule: immutable.
class CharTable final {
 public:
  /// The one table, made at first use (about 30 ms) and never destroyed. Any thread.
  static const CharTable& instance();
  /// `with_exceptions` false: utf8proc's view alone, for the generator of the exceptions.
  explicit CharTable(bool with_exceptions);

  /// `code` < 0x110000.
  const CharTraits& operator[](char32_t code) const {
    return records_[index_[(size_t{blocks_[code >> 8]} << 8) | (code & 0xFF)]];
  }

 private:
  std::array<uint16_t, 0x1100> blocks_{};
  std::vector<uint16_t> index_;
  std::vector<CharTraits> records_;
};

/// One code point from the front of [p, end), p < end; p moves past it. A maximal invalid sequence
/// gives one U+FFFD (Unicode 15, section 3.9, table 3-7).
char32_t decode_utf8(const unsigned char*& p, const unsigned char* end);
/// Appends a code point below 0x110000.
void append_utf8(std::string& out, char32_t code);

struct NormalizerOptions {
  bool clean_text = true;            ///< drop control characters, every white space becomes ' '
  bool handle_chinese_chars = true;  ///< put spaces around Chinese characters
  bool strip_accents = true;         ///< NFD, then drop nonspacing marks
  bool lowercase = true;
};

/// BertNormalizer of the reference. Thread rule: immutable, any thread.
class TextNormalizer final {
 public:
  explicit TextNormalizer(const NormalizerOptions& options);
  /// Appends the normal form of `text` to `out`; the result is valid UTF-8. Linear time.
  void append(std::string_view text, std::string& out) const;
  const NormalizerOptions& options() const { return options_; }

 private:
  struct Stream;
  void append_ascii(const unsigned char* p, size_t length, std::string& out) const;

  NormalizerOptions options_;
  const CharTable& table_;
  std::array<unsigned char, 128> ascii_{};  // what an ASCII character becomes
  std::array<bool, 128> ascii_dropped_{};
};

}  // namespace enhanced_gptcache::embed

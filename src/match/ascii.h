#pragma once
// Characters of ASCII as the guards tell them, whatever the locale; bytes outside ASCII are none of
// these, but for is_word_byte() and is_word().

namespace enhanced_gptcache::match {

constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_letter(char c) { return is_upper(c) || is_lower(c); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
/// Bytes of letters outside ASCII count as letters, so that "café" and "Köln" stay one word.
constexpr bool is_word_byte(char c) {
  return is_letter(c) || is_digit(c) || (static_cast<unsigned char>(c) & 0x80U) != 0;
}
/// What a word of any script or a name in code is made of.
constexpr bool is_word(char c) { return is_word_byte(c) || c == '_'; }
constexpr char lower(char c) { return is_upper(c) ? static_cast<char>(c + 32) : c; }

}  // namespace enhanced_gptcache::match

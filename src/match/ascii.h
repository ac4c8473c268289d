#pragma once
// Characters of ASCII as the guards tell them, whatever the locale; bytes outside ASCII are none of these.

namespace enhanced_gptcache::match {

constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_letter(char c) { return is_upper(c) || is_lower(c); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr char lower(char c) { return is_upper(c) ? static_cast<char>(c + 32) : c; }

}  // namespace enhanced_gptcache::match

#pragma once
// Can our word lists read a text at all? What they cannot read may say anything, "my" included.

#include <cstddef>
#include <string_view>

namespace enhanced_gptcache::cache {

/// False in doubt: letters of a script other than Latin, or of Latin ones that English, German, French,
/// Spanish, Italian, Portuguese and Dutch do not use; characters that look like letters (a circled m); a
/// combining, invisible or control character at a letter; words that are none of these languages' function
/// words but for one in eight, in a text of two words or more. One letter of Greek, or of mathematics, by
/// itself is a symbol. Any thread; allocates nothing.
bool is_readable(std::string_view text);

/// Bytes of the letter or digit that `text` (not empty) begins with, as is_readable() knows them; 0: it
/// begins with none. Punctuation and spaces outside ASCII (a dash, a curly quote) are none.
size_t letter_bytes(std::string_view text);

}  // namespace enhanced_gptcache::cache

// Prints what our tokenizer makes of texts, for tools/tokenizer_diff.py, which compares it with the
// Hugging Face library. All numbers are little-endian 32-bit.
//   tokenizer_dump ids MODEL_DIR    stdin: (length, bytes)*  stdout: (count, ids)*
//   tokenizer_dump words MODEL_DIR  the same, stdout: (length, words joined by U+0000)*
//   tokenizer_dump traits [raw]     stdout: for each code point flags, combining class, lower case,
//                                   length of the decomposition and its four parts
//   tokenizer_dump version          that of utf8proc and of its Unicode tables
//   tokenizer_dump time MODEL_DIR   stdin as for ids; prints nanoseconds a text over many rounds
#include <utf8proc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "embed/tokenizer_files.h"
#include "embed/wordpiece.h"

namespace {

using enhanced_gptcache::embed::CharTable;
using enhanced_gptcache::embed::CharTraits;
using enhanced_gptcache::embed::WordPieceModel;

bool read_text(std::string& text) {
  uint32_t length = 0;
  if (std::fread(&length, sizeof length, 1, stdin) != 1) return false;
  text.resize(length);
  return std::fread(text.data(), 1, length, stdin) == length;
}

void write_block(uint32_t count, const void* data, size_t bytes) {
  std::fwrite(&count, sizeof count, 1, stdout);
  std::fwrite(data, 1, bytes, stdout);
}

void dump_ids(const WordPieceModel& model) {
  std::string text;
  std::vector<int32_t> ids;
  while (read_text(text)) {
    ids.clear();
    model.encode(text, ids);
    write_block(static_cast<uint32_t>(ids.size()), ids.data(), ids.size() * sizeof(int32_t));
  }
}

void dump_words(const WordPieceModel& model) {
  std::string text;
  while (read_text(text)) {
    std::string normalized;
    model.normalizer().append(text, normalized);
    std::string joined;
    size_t position = 0;
    while (true) {
      const std::string_view word =
          enhanced_gptcache::embed::next_word(CharTable::instance(), normalized, position);
      if (word.empty()) break;
      joined.append(word).push_back('\0');
    }
    write_block(static_cast<uint32_t>(joined.size()), joined.data(), joined.size());
  }
}

void dump_traits(bool with_exceptions) {
  const CharTable table(with_exceptions);
  for (char32_t code = 0; code < 0x110000; ++code) {
    const CharTraits& traits = table[code];
    uint32_t row[8] = {traits.flags, traits.combining_class,
                       static_cast<uint32_t>(static_cast<int32_t>(code) + traits.lower_delta),
                       traits.decomposition_length};
    for (size_t i = 0; i < 4; ++i) row[4 + i] = traits.decomposition[i];
    std::fwrite(row, sizeof row, 1, stdout);
  }
}

void print_time(const WordPieceModel& model) {
  std::vector<std::string> texts;
  for (std::string text; read_text(text);) texts.push_back(text);
  std::vector<int32_t> ids;
  size_t tokens = 0;
  double best_ns = 1e18;
  for (int round = 0; round < 20; ++round) {
    tokens = 0;
    const auto start = std::chrono::steady_clock::now();
    for (const std::string& text : texts) {
      ids.clear();
      model.encode(text, ids);
      tokens += ids.size();
    }
    const std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - start;
    best_ns = std::min(best_ns, passed.count());
  }
  std::printf("%zu texts, %zu tokens: %.0f ns a text, %.1f ns a token\n", texts.size(), tokens,
              best_ns / static_cast<double>(texts.size()), best_ns / static_cast<double>(tokens));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "traits") {
    dump_traits(!(argc > 2 && std::strcmp(argv[2], "raw") == 0));
    return 0;
  }
  if (mode == "version") {
    std::printf("%s (Unicode %s)\n", utf8proc_version(), utf8proc_unicode_version());
    return 0;
  }
  if (argc != 3 || (mode != "ids" && mode != "words" && mode != "time")) {
    std::fputs(
        "usage: tokenizer_dump ids|words|time MODEL_DIR, tokenizer_dump traits [raw], tokenizer_dump "
        "version\n",
        stderr);
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  auto spec = enhanced_gptcache::embed::read_tokenizer_files(argv[2]);
  if (!spec) {
    std::fprintf(stderr, "%s\n", spec.error().message.c_str());
    return 1;
  }
  const WordPieceModel model(*std::move(spec));
  const std::chrono::duration<double, std::milli> load = std::chrono::steady_clock::now() - start;
  if (mode == "time") std::printf("loaded in %.1f ms\n", load.count());
  if (mode == "ids") dump_ids(model);
  if (mode == "words") dump_words(model);
  if (mode == "time") print_time(model);
  return 0;
}

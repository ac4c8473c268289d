// Text of callers on its way to the model: tokenizer, words, guards' view, forms of injection, personal data;
// and the tokenizer's own files.

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/keyed_hash.h"
#include "embed/tokenizer.h"
#include "input.h"
#include "match/injection.h"
#include "match/words.h"

using namespace enhanced_gptcache;

namespace {

/// A folder of this process, gone with it.
const std::filesystem::path& folder() {
  struct Folder {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("egptc-fuzz-" + base::random_hex(8));
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Folder one;
  return one.path;
}

void write(const std::string& name, std::string_view bytes) {
  std::ofstream(folder() / name, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

const embed::Tokenizer& tokenizer() {
  static const embed::Tokenizer one = [] {
    write("vocab.txt",
          "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\na\nb\n##a\n##b\n##ing\nhow\ndo\ni\n?\n.\n,\nreset\n"
          "\xC3\xA9\n\xE4\xB8\xAD\n");
    auto loaded = embed::Tokenizer::load(folder().string());
    fuzz::must(loaded.has_value(), "a small vocabulary is one");
    return std::move(*loaded);
  }();
  return one;
}

void read_text(std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer().encode(text, ids);
  for (const int32_t id : ids)
    fuzz::must(id >= 0 && static_cast<size_t>(id) < tokenizer().id_limit(), "a piece is in the vocabulary");
  const match::Words words(text);
  for (const match::Word& word : words.words()) fuzz::must(!word.text.empty(), "a word has letters");
  (void)match::injection_in(text);
  (void)match::is_echo(text, text.substr(text.size() / 2));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const size_t what = input.choice(8);
  if (what != 0) {
    read_text(input.rest());
    return 0;
  }
  (void)tokenizer();
  const std::string file = what % 2 == 0 && input.choice(2) == 0 ? "tokenizer.json" : "vocab.txt";
  const std::filesystem::path other = folder() / "other";
  std::filesystem::create_directories(other);
  write("other/" + file, input.rest());
  if (const auto loaded = embed::Tokenizer::load(other.string())) {
    std::vector<int32_t> ids;
    loaded->encode("How do I reset it?", ids);
    for (const int32_t id : ids)
      fuzz::must(static_cast<size_t>(id) < loaded->id_limit(), "in the vocabulary");
  }
  std::filesystem::remove(other / file);
  return 0;
}

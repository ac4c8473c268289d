#pragma once
// The tokenizer's files, read into a WordPieceSpec. Apart from Tokenizer so that tools and tests can
// look at the spec itself.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "embed/wordpiece.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

/// The largest tokenizer.json or vocab.txt that is read (LaBSE, with 500,000 entries, has 10 MB).
inline constexpr size_t kTokenizerFileBytesMax = 64U << 20;
inline constexpr int32_t kTokenIdMax = (1 << 24) - 1;

/// Reads tokenizer.json or vocab.txt, and tokenizer_config.json. Errors: see Tokenizer::load.
Result<WordPieceSpec> read_tokenizer_files(const std::string& model_dir);

/// Reads a tokenizer.json of the Hugging Face `tokenizers` library.
Result<WordPieceSpec> read_tokenizer_json(const std::string& path);

/// The vocabulary by string; the keys borrow from `spec`.
std::unordered_map<std::string_view, int32_t> ids_by_token(const WordPieceSpec& spec);

}  // namespace enhanced_gptcache::embed

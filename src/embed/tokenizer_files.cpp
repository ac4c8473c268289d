#include "embed/tokenizer_files.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/log.h"
#include "embed/model_files.h"
#include "embed/model_files_json.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr size_t kConfigBytesMax = 4U << 20;

// What tokenizer_config.json can say about a BERT tokenizer; nothing where it is silent.
struct TokenizerConfig {
  std::optional<bool> lowercase;
  std::optional<bool> handle_chinese_chars;
  std::optional<bool> strip_accents;
  bool names_strip_accents = false;  // "strip_accents": null means "as lower-casing", which is not silence
  std::string class_name;
  std::string cls = "[CLS]";
  std::string sep = "[SEP]";
  std::string pad = "[PAD]";
  std::string unk = "[UNK]";
  std::string mask = "[MASK]";
};

// A special token is named by a string, or by an object that holds it as "content".
Result<std::string> read_token_name(const JsonFields& fields, const char* key, const std::string& fallback) {
  const nlohmann::json* const value = fields.find(key);
  if (value == nullptr || !value->is_object()) return fields.text(key, fallback);
  return JsonFields(*value, fmt::format("{}: {}", fields.where(), key)).text("content");
}

Result<TokenizerConfig> read_config(const std::string& path) {
  TokenizerConfig config;
  if (!file_exists(path)) return config;
  EGPTC_TRY(const nlohmann::json json, read_json_object(path, kConfigBytesMax));
  const JsonFields fields(json, path);
  EGPTC_TRY(config.lowercase, fields.flag("do_lower_case"));
  EGPTC_TRY(config.handle_chinese_chars, fields.flag("tokenize_chinese_chars"));
  EGPTC_TRY(config.strip_accents, fields.flag("strip_accents"));
  config.names_strip_accents = json.contains("strip_accents");
  EGPTC_TRY(config.class_name, fields.text("tokenizer_class", ""));
  EGPTC_TRY(config.cls, read_token_name(fields, "cls_token", config.cls));
  EGPTC_TRY(config.sep, read_token_name(fields, "sep_token", config.sep));
  EGPTC_TRY(config.pad, read_token_name(fields, "pad_token", config.pad));
  EGPTC_TRY(config.unk, read_token_name(fields, "unk_token", config.unk));
  EGPTC_TRY(config.mask, read_token_name(fields, "mask_token", config.mask));
  return config;
}

// tokenizer_config.json over tokenizer.json, as the BERT classes of transformers do; its generic
// class takes tokenizer.json as it is.
void apply_config(const TokenizerConfig& config, const std::string& model_dir, NormalizerOptions& options) {
  if (config.class_name == "PreTrainedTokenizerFast") return;
  const NormalizerOptions before = options;
  options.lowercase = config.lowercase.value_or(options.lowercase);
  options.handle_chinese_chars = config.handle_chinese_chars.value_or(options.handle_chinese_chars);
  if (config.names_strip_accents) options.strip_accents = config.strip_accents.value_or(options.lowercase);
  if (options.lowercase != before.lowercase || options.strip_accents != before.strip_accents ||
      options.handle_chinese_chars != before.handle_chinese_chars) {
    base::log_warning(
        "{}: tokenizer_config.json and tokenizer.json differ in lower-casing, accents or Chinese "
        "characters; tokenizer_config.json is followed",
        model_dir);
  }
}

// The white space the reference trims from the end of a line of vocab.txt.
std::string_view trim_end(std::string_view line) {
  const CharTable& table = CharTable::instance();
  const auto* const first = reinterpret_cast<const unsigned char*>(line.data());
  const unsigned char* p = first;
  size_t kept = 0;
  while (p < first + line.size()) {
    if ((table[decode_utf8(p, first + line.size())].flags & kCharSpace) == 0)
      kept = static_cast<size_t>(p - first);
  }
  return line.substr(0, kept);
}

bool is_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* const end = p + text.size();
  while (p < end) {
    const unsigned char* const at = p;
    // A genuine U+FFFD is the three bytes EF BF BD; anything else that reads as it is invalid.
    if (decode_utf8(p, end) == 0xFFFD && !(p - at == 3 && at[0] == 0xEF && at[1] == 0xBF)) return false;
  }
  return true;
}

// One token a line, the line number is the id.
Result<WordPieceSpec> read_vocab_txt(const std::string& path) {
  EGPTC_TRY(const std::string text, read_small_file(path, kTokenizerFileBytesMax));
  WordPieceSpec spec;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t newline = rest.find('\n');
    const std::string_view line = trim_end(rest.substr(0, newline));
    const size_t number = spec.vocab.size();
    if (!is_utf8(line))
      return fail(ErrorCode::kCorrupt, fmt::format("{}: line {} is not UTF-8", path, number + 1));
    if (number > static_cast<size_t>(kTokenIdMax)) {
      return fail(ErrorCode::kUnsupported, fmt::format("{} has more than {} lines", path, kTokenIdMax));
    }
    spec.vocab.emplace_back(line, static_cast<int32_t>(number));
    rest = newline == std::string_view::npos ? std::string_view{} : rest.substr(newline + 1);
  }
  return spec;
}

// Names -> ids of the special tokens of a vocab.txt, which are also looked for in texts.
Result<void> add_specials(const TokenizerConfig& config, const std::string& path, WordPieceSpec& spec) {
  const auto ids = ids_by_token(spec);
  for (const auto& [name, target] :
       {std::pair{&config.cls, &spec.cls_id}, std::pair{&config.sep, &spec.sep_id},
        std::pair{&config.pad, &spec.pad_id}, std::pair{&config.unk, &spec.unk_id}}) {
    const auto found = ids.find(*name);
    if (found == ids.end()) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{} holds no \"{}\" in {} lines; it is damaged or no BERT vocabulary", path,
                              *name, spec.vocab.size()));
    }
    *target = found->second;
    spec.added.push_back({*name, found->second});
  }
  if (const auto mask = ids.find(config.mask); mask != ids.end())
    spec.added.push_back({config.mask, mask->second});
  return {};
}

Result<WordPieceSpec> without_tokenizer(const std::string& model_dir) {
  for (const char* const other : {"vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model"}) {
    if (!file_exists(model_dir + "/" + other)) continue;
    return fail(
        ErrorCode::kUnsupported,
        fmt::format(
            "{} holds {} and no vocab.txt: a BPE or Unigram tokenizer, only BERT WordPiece is supported",
            model_dir, other));
  }
  return fail(ErrorCode::kNotFound, fmt::format("neither tokenizer.json nor vocab.txt in {}", model_dir));
}

// sentence-transformers can lower-case a text before its tokenizer sees it. That is the same thing
// where the tokenizer lower-cases anyway, and not done by us where it does not.
Result<void> check_lower_case(const std::string& model_dir, const NormalizerOptions& options) {
  const std::string path = model_dir + "/sentence_bert_config.json";
  if (!file_exists(path)) return {};
  EGPTC_TRY(const nlohmann::json json, read_json_object(path, kConfigBytesMax));
  EGPTC_TRY(const std::optional<bool> lowercase, JsonFields(json, path).flag("do_lower_case"));
  if (options.lowercase || !lowercase.value_or(false)) return {};
  return fail(ErrorCode::kUnsupported, path + ": do_lower_case is true with a tokenizer that keeps case");
}

Result<WordPieceSpec> from_tokenizer_json(const std::string& model_dir, const TokenizerConfig& config) {
  EGPTC_TRY(WordPieceSpec spec, read_tokenizer_json(model_dir + "/tokenizer.json"));
  apply_config(config, model_dir, spec.normalizer);
  const auto ids = ids_by_token(spec);
  const auto pad = ids.find(config.pad);
  spec.pad_id = pad == ids.end() ? spec.unk_id : pad->second;  // padding is masked, so any id will do
  return spec;
}

Result<WordPieceSpec> from_vocab_txt(const std::string& model_dir, const TokenizerConfig& config) {
  const std::string path = model_dir + "/vocab.txt";
  if (!file_exists(path)) return without_tokenizer(model_dir);
  EGPTC_TRY(WordPieceSpec spec, read_vocab_txt(path));
  spec.normalizer.lowercase = config.lowercase.value_or(true);
  spec.normalizer.handle_chinese_chars = config.handle_chinese_chars.value_or(true);
  spec.normalizer.strip_accents = config.strip_accents.value_or(spec.normalizer.lowercase);
  if (auto ok = add_specials(config, path, spec); !ok) return fail(ok.error());
  return spec;
}

}  // namespace

std::unordered_map<std::string_view, int32_t> ids_by_token(const WordPieceSpec& spec) {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(spec.vocab.size());
  for (const auto& [token, id] : spec.vocab) ids[token] = id;
  return ids;
}

Result<WordPieceSpec> read_tokenizer_files(const std::string& model_dir) {
  EGPTC_TRY(const TokenizerConfig config, read_config(model_dir + "/tokenizer_config.json"));
  const bool has_json = file_exists(model_dir + "/tokenizer.json");
  EGPTC_TRY(WordPieceSpec spec,
            has_json ? from_tokenizer_json(model_dir, config) : from_vocab_txt(model_dir, config));
  if (auto ok = check_lower_case(model_dir, spec.normalizer); !ok) return fail(ok.error());
  return spec;
}

}  // namespace enhanced_gptcache::embed

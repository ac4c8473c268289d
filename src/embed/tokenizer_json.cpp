// tokenizer.json: a whole tokenizer as the Hugging Face library saves it. Only the BERT kind is
// accepted; its truncation and padding blocks are not ours to follow (the model's window decides).
#include <fmt/format.h>

#include <limits>
#include <optional>

#include "embed/model_files.h"
#include "embed/model_files_json.h"
#include "embed/tokenizer_files.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr int64_t kWordCharsLimit = 10'000;

Result<void> check_type(const JsonFields& file, const char* key, std::string_view wanted) {
  const nlohmann::json* const value = file.find(key);
  std::string type = "nothing";
  if (value != nullptr) {
    EGPTC_TRY(const JsonFields fields, file.object(key));
    EGPTC_TRY(type, fields.text("type", "untyped"));
  }
  // Files of the library's first versions have no model type; their vocabulary is an object of ids.
  if (type == wanted || (type == "untyped" && wanted == "WordPiece")) return {};
  return file.failure(ErrorCode::kUnsupported,
                      fmt::format("{} is {}, only {} (a BERT tokenizer) is supported", key, type, wanted));
}

Result<void> read_normalizer(const JsonFields& file, NormalizerOptions& options) {
  if (auto ok = check_type(file, "normalizer", "BertNormalizer"); !ok) return fail(ok.error());
  EGPTC_TRY(const JsonFields fields, file.object("normalizer"));
  EGPTC_TRY(const std::optional<bool> clean, fields.flag("clean_text"));
  EGPTC_TRY(const std::optional<bool> chinese, fields.flag("handle_chinese_chars"));
  EGPTC_TRY(const std::optional<bool> lower, fields.flag("lowercase"));
  EGPTC_TRY(const std::optional<bool> strip, fields.flag("strip_accents"));
  options.clean_text = clean.value_or(true);
  options.handle_chinese_chars = chinese.value_or(true);
  options.lowercase = lower.value_or(true);
  options.strip_accents = strip.value_or(options.lowercase);
  return {};
}

Result<void> read_model(const JsonFields& file, WordPieceSpec& spec) {
  if (auto ok = check_type(file, "model", "WordPiece"); !ok) return fail(ok.error());
  EGPTC_TRY(const JsonFields model, file.object("model"));
  EGPTC_TRY(spec.continuation_prefix, model.text("continuing_subword_prefix", "##"));
  EGPTC_TRY(const int64_t chars, model.integer("max_input_chars_per_word", 1, kWordCharsLimit, 100));
  spec.word_chars_max = static_cast<size_t>(chars);
  EGPTC_TRY(const JsonFields vocab, model.object("vocab"));
  spec.vocab.reserve(vocab.json().size());
  for (const auto& [token, id] : vocab.json().items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > kTokenIdMax) {
      return vocab.failure(ErrorCode::kCorrupt, fmt::format("the id of \"{}\" is {}, allowed are 0 to {}",
                                                            token, shown(id), kTokenIdMax));
    }
    spec.vocab.emplace_back(token, id.get<int32_t>());
  }
  EGPTC_TRY(const std::string unknown, model.text("unk_token", "[UNK]"));
  const auto ids = ids_by_token(spec);
  const auto found = ids.find(unknown);
  if (found == ids.end()) {
    return vocab.failure(ErrorCode::kCorrupt, fmt::format("there is no unknown token \"{}\"", unknown));
  }
  spec.unk_id = found->second;
  return {};
}

Result<AddedToken> read_added_token(const JsonFields& fields) {
  AddedToken token;
  EGPTC_TRY(token.content, fields.text("content"));
  EGPTC_TRY(const int64_t id, fields.integer("id", 0, kTokenIdMax));
  EGPTC_TRY(const std::optional<bool> special, fields.flag("special"));
  EGPTC_TRY(const std::optional<bool> single_word, fields.flag("single_word"));
  EGPTC_TRY(const std::optional<bool> left_strip, fields.flag("lstrip"));
  EGPTC_TRY(const std::optional<bool> right_strip, fields.flag("rstrip"));
  EGPTC_TRY(const std::optional<bool> normalized, fields.flag("normalized"));
  if (single_word.value_or(false)) {
    return fields.failure(ErrorCode::kUnsupported,
                          fmt::format("\"{}\" has single_word set, which is not supported", token.content));
  }
  token.id = static_cast<int32_t>(id);
  token.left_strip = left_strip.value_or(false);
  token.right_strip = right_strip.value_or(false);
  token.normalized = normalized.value_or(!special.value_or(false));
  return token;
}

Result<void> read_added_tokens(const JsonFields& file, WordPieceSpec& spec) {
  const nlohmann::json* const list = file.find("added_tokens");
  if (list == nullptr) return {};
  if (!list->is_array()) return file.failure(ErrorCode::kCorrupt, "added_tokens is not a list");
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("{}: added_tokens[{}]", file.where(), i);
    if (!(*list)[i].is_object()) return fail(ErrorCode::kCorrupt, where + " is not an object");
    EGPTC_TRY(AddedToken token, read_added_token(JsonFields((*list)[i], where)));
    spec.added.push_back(std::move(token));
  }
  return {};
}

// The id of the special token named by one element of a template, or nothing when it is the text.
Result<std::optional<int32_t>> template_id(const JsonFields& processor, const nlohmann::json& piece) {
  const auto special = piece.find("SpecialToken");
  if (special == piece.end()) return std::optional<int32_t>{};
  const JsonFields fields(*special, processor.where() + ": SpecialToken");
  EGPTC_TRY(const std::string name, fields.text("id"));
  EGPTC_TRY(const JsonFields table, processor.object("special_tokens"));
  EGPTC_TRY(const JsonFields entry, table.object(name.c_str()));
  const nlohmann::json* const ids = entry.find("ids");
  if (ids == nullptr || !ids->is_array() || ids->size() != 1 || !(*ids)[0].is_number_unsigned() ||
      (*ids)[0].get<uint64_t>() > kTokenIdMax) {
    return entry.failure(ErrorCode::kCorrupt, "ids is not a list of one token id");
  }
  return std::optional<int32_t>{(*ids)[0].get<int32_t>()};
}

Result<void> read_template(const JsonFields& processor, WordPieceSpec& spec) {
  const nlohmann::json* const single = processor.find("single");
  const bool is_list = single != nullptr && single->is_array() && single->size() == 3;
  for (size_t i = 0; is_list && i < 3; ++i) {
    const nlohmann::json& piece = (*single)[i];
    const char* const wanted = i == 1 ? "Sequence" : "SpecialToken";
    if (!piece.is_object() || !piece.contains(wanted) || !piece[wanted].is_object()) break;
    EGPTC_TRY(const std::optional<int32_t> id, template_id(processor, piece));
    if (i == 0) spec.cls_id = *id;
    if (i == 2) {
      spec.sep_id = *id;
      return {};
    }
  }
  return processor.failure(
      ErrorCode::kUnsupported,
      "single is not the BERT template of one special token, the text, one special token");
}

// BertProcessing: {"sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}.
Result<int32_t> read_pair_id(const JsonFields& processor, const char* key) {
  const nlohmann::json* const pair = processor.find(key);
  if (pair == nullptr || !pair->is_array() || pair->size() != 2 || !(*pair)[1].is_number_unsigned() ||
      (*pair)[1].get<uint64_t>() > kTokenIdMax) {
    return processor.failure(ErrorCode::kCorrupt, fmt::format("{} is not a pair of token and id", key));
  }
  return (*pair)[1].get<int32_t>();
}

Result<void> read_post_processor(const JsonFields& file, WordPieceSpec& spec) {
  if (file.find("post_processor") == nullptr) {
    return file.failure(ErrorCode::kUnsupported, "there is no post_processor, so no [CLS] and [SEP]");
  }
  EGPTC_TRY(const JsonFields processor, file.object("post_processor"));
  EGPTC_TRY(const std::string type, processor.text("type"));
  if (type == "TemplateProcessing") return read_template(processor, spec);
  if (type != "BertProcessing") {
    return processor.failure(ErrorCode::kUnsupported,
                             fmt::format("{}; TemplateProcessing and BertProcessing are supported", type));
  }
  EGPTC_TRY(spec.cls_id, read_pair_id(processor, "cls"));
  EGPTC_TRY(spec.sep_id, read_pair_id(processor, "sep"));
  return {};
}

}  // namespace

Result<WordPieceSpec> read_tokenizer_json(const std::string& path) {
  EGPTC_TRY(const nlohmann::json json, read_json_object(path, kTokenizerFileBytesMax));
  const JsonFields file(json, path);
  WordPieceSpec spec;
  if (auto ok = read_model(file, spec); !ok) return fail(ok.error());
  if (auto ok = read_normalizer(file, spec.normalizer); !ok) return fail(ok.error());
  if (auto ok = check_type(file, "pre_tokenizer", "BertPreTokenizer"); !ok) return fail(ok.error());
  if (auto ok = read_added_tokens(file, spec); !ok) return fail(ok.error());
  if (auto ok = read_post_processor(file, spec); !ok) return fail(ok.error());
  return spec;
}

}  // namespace enhanced_gptcache::embed

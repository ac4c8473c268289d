#include "embed/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/canonical_json.h"
#include "embed/model_files_fixture.h"

namespace enhanced_gptcache::embed {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

const std::string kGolden = std::string(EGPTC_SOURCE_DIR) + "/tests/golden/";

// A complete small tokenizer.json, to be damaged.
json small_json() {
  return json::parse(R"({"added_tokens":[
      {"id":0,"special":true,"content":"[PAD]"},{"id":2,"special":true,"content":"[CLS]","lstrip":false},
      {"id":3,"special":true,"content":"[SEP]"}],
    "truncation":{"max_length":128},
    "normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,
      "lowercase":true},
    "pre_tokenizer":{"type":"BertPreTokenizer"},
    "post_processor":{"type":"TemplateProcessing",
      "single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
                {"SpecialToken":{"id":"[SEP]","type_id":0}}],
      "special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2]},"[SEP]":{"id":"[SEP]","ids":[3]}}},
    "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
      "max_input_chars_per_word":100,
      "vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"play":4,"##ing":5,"Play":6,"\u00e9":7,"e":8}}})");
}

Ids encode(const Tokenizer& tokenizer, std::string_view text) {
  Ids ids;
  tokenizer.encode(text, ids);
  return ids;
}

void expect_golden(const Tokenizer& tokenizer, const char* key) {
  std::ifstream file(kGolden + "tokenizer.jsonl");
  size_t texts = 0;
  for (std::string line; std::getline(file, line); ++texts) {
    const json row = json::parse(line);
    EXPECT_EQ(encode(tokenizer, row["text"].get<std::string>()), row[key].get<Ids>()) << line;
  }
  EXPECT_EQ(texts, 500U);
}

TEST(Tokenizer, GoldenIdsOfASmallVocabulary) {
  const TempFolder folder;
  folder.write("vocab.txt", file_contents(kGolden + "tokenizer_vocab.txt"));
  const auto tokenizer = Tokenizer::load(folder.path());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expect_golden(*tokenizer, "ids");
  EXPECT_EQ(tokenizer->pad_id(), 0);
  EXPECT_EQ(tokenizer->unk_id(), 1);
  EXPECT_EQ(tokenizer->cls_id(), 2);
  EXPECT_EQ(tokenizer->sep_id(), 3);
}

TEST(Tokenizer, GoldenIdsOfTheRealModel) {
  if (real_model_dir().empty()) GTEST_SKIP() << "models/all-MiniLM-L6-v2 is not installed";
  const auto tokenizer = Tokenizer::load(real_model_dir());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expect_golden(*tokenizer, "minilm_ids");
  EXPECT_EQ(tokenizer->cls_id(), 101);
  EXPECT_EQ(tokenizer->sep_id(), 102);
  EXPECT_EQ(tokenizer->unk_id(), 100);
  EXPECT_EQ(tokenizer->pad_id(), 0);
  EXPECT_EQ(tokenizer->id_limit(), 30522U);

  const TempFolder vocab_only;  // the same model without tokenizer.json
  vocab_only.write("vocab.txt", file_contents(real_model_dir() + "/vocab.txt"));
  const auto other = Tokenizer::load(vocab_only.path());
  ASSERT_TRUE(other) << other.error().message;
  expect_golden(*other, "minilm_ids");
}

TEST(Tokenizer, InvalidUtf8IsReadAsReplacementCharacters) {
  const TempFolder folder;
  folder.write("tokenizer.json", small_json().dump());
  const auto tokenizer = Tokenizer::load(folder.path());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (const std::string text : {"pl\xFF"
                                 "aying",
                                 "play\xE2\x82", "\xF0\x9F play", "[CL\x80S] play", "\xC3"}) {
    EXPECT_EQ(encode(*tokenizer, text), encode(*tokenizer, base::repair_utf8(text)));
  }
  EXPECT_EQ(encode(*tokenizer,
                   "pl\xFF"
                   "aying"),
            (Ids{4, 5}));  // dropped, like U+FFFD itself
}

TEST(Tokenizer, ReadsTokenizerJson) {
  const TempFolder folder;
  folder.write("tokenizer.json", small_json().dump());
  auto tokenizer = Tokenizer::load(folder.path());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(encode(*tokenizer, "Playing [SEP] \u00C9"), (Ids{4, 5, 3, 8}));
  EXPECT_EQ(tokenizer->cls_id(), 2);
  EXPECT_EQ(tokenizer->id_limit(), 9U);

  json changed = small_json();
  changed["post_processor"] = {{"type", "BertProcessing"}, {"sep", {"[SEP]", 2}}, {"cls", {"[CLS]", 3}}};
  changed["model"].erase("type");
  folder.write("tokenizer.json", changed.dump());
  tokenizer = Tokenizer::load(folder.path());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->cls_id(), 3);
  EXPECT_EQ(tokenizer->sep_id(), 2);
}

TEST(Tokenizer, TokenizerConfigOverridesTokenizerJson) {
  const TempFolder folder;
  folder.write("tokenizer.json", small_json().dump());
  const struct {
    const char* config;
    Ids expected;  // of "Play \u00e9"
  } cases[] = {
      {R"({})", {4, 8}},
      {R"({"do_lower_case":true,"strip_accents":false})", {4, 7}},
      {R"({"do_lower_case":false,"strip_accents":null})", {6, 7}},
      {R"({"do_lower_case":false})", {6, 8}},
      {R"({"do_lower_case":false,"tokenizer_class":"PreTrainedTokenizerFast"})", {4, 8}},
  };
  for (const auto& test : cases) {
    folder.write("tokenizer_config.json", test.config);
    const auto tokenizer = Tokenizer::load(folder.path());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    EXPECT_EQ(encode(*tokenizer, "Play \u00E9"), test.expected) << test.config;
  }
}

TEST(Tokenizer, ReadsVocabTxt) {
  const TempFolder folder;
  folder.write("vocab.txt", "<pad>\r\n[UNK]\n<s> \n[SEP]\nPlay\n\nplay");
  folder.write("tokenizer_config.json",
               R"({"do_lower_case":false,"pad_token":"<pad>","cls_token":{"content":"<s>","lstrip":false}})");
  const auto tokenizer = Tokenizer::load(folder.path());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(encode(*tokenizer, "Play play<s>PLAY"), (Ids{4, 6, 2, 1}));
  EXPECT_EQ(tokenizer->id_limit(), 7U);
}

TEST(Tokenizer, RefusesWhatIsNoBertTokenizer) {
  using nlohmann::operator""_json_pointer;
  const struct {
    json::json_pointer where;
    json value;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {"/model/type"_json_pointer, "BPE", ErrorCode::kUnsupported, "model is BPE"},
      {"/model/type"_json_pointer, "Unigram", ErrorCode::kUnsupported, "only WordPiece"},
      {"/model"_json_pointer, nullptr, ErrorCode::kUnsupported, "model is nothing"},
      {"/model"_json_pointer, 3, ErrorCode::kCorrupt, "model is 3"},
      {"/model/vocab"_json_pointer, json::array(), ErrorCode::kCorrupt, "vocab is a list"},
      {"/model/vocab/play"_json_pointer, -1, ErrorCode::kCorrupt, "the id of \"play\" is -1"},
      {"/model/vocab/play"_json_pointer, 1U << 30, ErrorCode::kCorrupt, "allowed are 0 to 16777215"},
      {"/model/unk_token"_json_pointer, "<unk>", ErrorCode::kCorrupt, "no unknown token \"<unk>\""},
      {"/model/max_input_chars_per_word"_json_pointer, 0, ErrorCode::kCorrupt,
       "max_input_chars_per_word is 0"},
      {"/model/continuing_subword_prefix"_json_pointer, 1, ErrorCode::kCorrupt, "not a string"},
      {"/normalizer/type"_json_pointer, "NFKC", ErrorCode::kUnsupported, "normalizer is NFKC"},
      {"/normalizer/lowercase"_json_pointer, "yes", ErrorCode::kCorrupt, "lowercase is \"yes\""},
      {"/pre_tokenizer"_json_pointer, nullptr, ErrorCode::kUnsupported, "pre_tokenizer is nothing"},
      {"/pre_tokenizer/type"_json_pointer, "ByteLevel", ErrorCode::kUnsupported,
       "pre_tokenizer is ByteLevel"},
      {"/added_tokens"_json_pointer, 1, ErrorCode::kCorrupt, "added_tokens is not a list"},
      {"/added_tokens/0"_json_pointer, 1, ErrorCode::kCorrupt, "added_tokens[0] is not an object"},
      {"/added_tokens/1/id"_json_pointer, 1.5, ErrorCode::kCorrupt, "id is 1.5"},
      {"/added_tokens/1/single_word"_json_pointer, true, ErrorCode::kUnsupported, "single_word"},
      {"/post_processor"_json_pointer, nullptr, ErrorCode::kUnsupported, "no post_processor"},
      {"/post_processor/type"_json_pointer, "RobertaProcessing", ErrorCode::kUnsupported,
       "RobertaProcessing"},
      {"/post_processor/single"_json_pointer, json::array(), ErrorCode::kUnsupported, "BERT template"},
      {"/post_processor/single/0"_json_pointer, 7, ErrorCode::kUnsupported, "BERT template"},
      {"/post_processor/special_tokens/[CLS]/ids"_json_pointer, {1, 2}, ErrorCode::kCorrupt, "one token id"},
      {"/post_processor"_json_pointer,
       {{"type", "BertProcessing"}, {"cls", 1}},
       ErrorCode::kCorrupt,
       "cls is not a pair"},
  };
  const TempFolder folder;
  for (const auto& test : cases) {
    json changed = small_json();
    changed[test.where] = test.value;
    folder.write("tokenizer.json", changed.dump());
    const auto result = Tokenizer::load(folder.path());
    expect_error(result, test.code, test.message);
    if (!result) {
      EXPECT_NE(result.error().message.find("tokenizer.json"), std::string::npos);
    }
  }
}

TEST(Tokenizer, NamesMissingAndForeignFiles) {
  const TempFolder folder;
  expect_error(Tokenizer::load(folder.path()), ErrorCode::kNotFound, "neither tokenizer.json nor vocab.txt");
  folder.write("merges.txt", "a b\n");
  expect_error(Tokenizer::load(folder.path()), ErrorCode::kUnsupported, "merges.txt");
  folder.write("vocab.txt", "hello\nworld\n");
  expect_error(Tokenizer::load(folder.path()), ErrorCode::kCorrupt, "holds no \"[CLS]\" in 2 lines");
  folder.write("vocab.txt", "[CLS]\n[SEP]\n\xFF\n");
  expect_error(Tokenizer::load(folder.path()), ErrorCode::kCorrupt, "line 3 is not UTF-8");
  folder.write("vocab.txt", "");
  expect_error(Tokenizer::load(folder.path()), ErrorCode::kCorrupt, "in 0 lines");
  folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
  folder.write("tokenizer_config.json", R"({"do_lower_case":1})");
  expect_error(Tokenizer::load(folder.path()), ErrorCode::kCorrupt, "do_lower_case is 1");
  folder.write("tokenizer_config.json", R"({"do_lower_case":false})");
  folder.write("sentence_bert_config.json", R"({"do_lower_case":true})");
  expect_error(Tokenizer::load(folder.path()), ErrorCode::kUnsupported, "keeps case");
}

TEST(Tokenizer, DamagedFilesNeverCrash) {
  const TempFolder folder;
  const auto check = [&](const char* name) {
    return [&folder, name](const std::string& contents) {
      folder.write(name, contents);
      const auto result = Tokenizer::load(folder.path());
      if (result) {
        encode(*result, "Playing [SEP] \u65E5 caf\u00E9 [CLS]");
      } else {
        ASSERT_NE(result.error().message.find(folder.path()), std::string::npos) << result.error().message;
      }
    };
  };
  for_each_damage(small_json().dump(), check("tokenizer.json"));
  folder.write("tokenizer.json", small_json().dump());
  for_each_damage(R"({"do_lower_case":true,"cls_token":{"content":"[CLS]"},"strip_accents":null})",
                  check("tokenizer_config.json"));
  folder.remove("tokenizer.json");
  folder.remove("tokenizer_config.json");
  for_each_damage("[PAD]\n[UNK]\n[CLS]\n[SEP]\nplay\n##ing\n\u65E5\n", check("vocab.txt"));
}

}  // namespace
}  // namespace enhanced_gptcache::embed

#include "embed/model_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "embed/model_files_fixture.h"

namespace enhanced_gptcache::embed {
namespace {

using nlohmann::json;

const char* const kConfig =
    R"({"model_type":"bert","hidden_act":"gelu","hidden_size":384,"intermediate_size":1536,
  "layer_norm_eps":1e-12,"max_position_embeddings":512,"num_attention_heads":12,"num_hidden_layers":6,
  "type_vocab_size":2,"vocab_size":30522,"position_embedding_type":"absolute"})";
const char* const kPooling = R"({"word_embedding_dimension":384,"pooling_mode_cls_token":false,
  "pooling_mode_mean_tokens":true,"pooling_mode_max_tokens":false,
  "pooling_mode_mean_sqrt_len_tokens":false})";
const char* const kModules =
    R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
  {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
  {"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])";

void write_model(const TempFolder& folder) {
  folder.write("config.json", kConfig);
  folder.write("modules.json", kModules);
  folder.write("1_Pooling/config.json", kPooling);
  folder.write("sentence_bert_config.json", R"({"max_seq_length":256,"do_lower_case":false})");
}

TEST(ModelConfig, ReadsTheUsualFolder) {
  const TempFolder folder;
  write_model(folder);
  const auto config = load_model_config(folder.path());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->hidden_size, 384U);
  EXPECT_EQ(config->layers, 6U);
  EXPECT_EQ(config->heads, 12U);
  EXPECT_EQ(config->intermediate_size, 1536U);
  EXPECT_EQ(config->vocab_size, 30522U);
  EXPECT_EQ(config->max_positions, 512U);
  EXPECT_EQ(config->type_vocab_size, 2U);
  EXPECT_FLOAT_EQ(config->layer_norm_eps, 1e-12F);
  EXPECT_EQ(config->activation, Activation::kGelu);
  EXPECT_EQ(config->pooling, Pooling::kMean);
  EXPECT_TRUE(config->normalize);
  EXPECT_EQ(config->window_tokens, 256U);
  EXPECT_EQ(config->transformer_dir, folder.path());
}

TEST(ModelConfig, ReadsTheRealModel) {
  if (real_model_dir().empty()) GTEST_SKIP() << "models/all-MiniLM-L6-v2 is not installed";
  const auto config = load_model_config(real_model_dir());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->hidden_size, 384U);
  EXPECT_EQ(config->window_tokens, 256U);
  EXPECT_EQ(config->pooling, Pooling::kMean);
}

TEST(ModelConfig, APlainEncoderFolderHasDefaults) {
  const TempFolder folder;
  folder.write("config.json", kConfig);
  const auto config = load_model_config(folder.path());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->pooling, Pooling::kMean);
  EXPECT_FALSE(config->normalize);
  EXPECT_EQ(config->window_tokens, 512U);
  folder.write("1_Pooling/config.json", R"({"pooling_mode":"cls"})");
  EXPECT_EQ(load_model_config(folder.path())->pooling, Pooling::kCls);
}

TEST(ModelConfig, FollowsASubfolderOfTheTransformer) {
  const TempFolder folder;
  write_model(folder);
  json modules = json::parse(kModules);
  modules[0]["path"] = "0_Transformer";
  folder.write("modules.json", modules.dump());
  expect_error(load_model_config(folder.path()), ErrorCode::kNotFound, "0_Transformer/config.json");
  folder.write("0_Transformer/config.json", kConfig);
  folder.write("0_Transformer/sentence_bert_config.json", R"({"max_seq_length":128})");
  const auto config = load_model_config(folder.path());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->transformer_dir, folder.path() + "/0_Transformer");
  EXPECT_EQ(config->window_tokens, 128U);
}

TEST(ModelConfig, PoolingModes) {
  const struct {
    const char* pooling;
    Pooling expected;
  } cases[] = {
      {R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})", Pooling::kCls},
      {R"({"pooling_mode_max_tokens":true})", Pooling::kMax},
      {R"({"pooling_mode_mean_sqrt_len_tokens":true})", Pooling::kMeanSqrtLen},
      {R"({"pooling_mode_mean_tokens":true,"include_prompt":true})", Pooling::kMean},
      {R"({"pooling_mode":"mean"})", Pooling::kMean},
  };
  const TempFolder folder;
  write_model(folder);
  for (const auto& test : cases) {
    folder.write("1_Pooling/config.json", test.pooling);
    const auto config = load_model_config(folder.path());
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->pooling, test.expected) << test.pooling;
  }
}

TEST(ModelConfig, GeluVariants) {
  const TempFolder folder;
  for (const auto& [name, expected] :
       {std::pair{"gelu", Activation::kGelu}, std::pair{"gelu_new", Activation::kGeluTanh},
        std::pair{"gelu_pytorch_tanh", Activation::kGeluTanh}}) {
    json config = json::parse(kConfig);
    config["hidden_act"] = name;
    folder.write("config.json", config.dump());
    EXPECT_EQ(load_model_config(folder.path())->activation, expected) << name;
  }
}

TEST(ModelConfig, RefusesValuesOfConfigJson) {
  const struct {
    const char* key;
    json value;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {"hidden_size", nullptr, ErrorCode::kCorrupt, "hidden_size is missing"},
      {"hidden_size", 0, ErrorCode::kCorrupt, "hidden_size is 0, allowed are whole numbers 1 to 16384"},
      {"hidden_size", "384", ErrorCode::kCorrupt, "hidden_size is \"384\""},
      {"hidden_size", 380, ErrorCode::kCorrupt, "no multiple of num_attention_heads"},
      {"num_hidden_layers", 1.5, ErrorCode::kCorrupt, "num_hidden_layers is 1.5"},
      {"vocab_size", 18446744073709551615U, ErrorCode::kCorrupt, "vocab_size is 18446744073709551615"},
      {"intermediate_size", -4, ErrorCode::kCorrupt, "intermediate_size is -4"},
      {"max_position_embeddings", 2, ErrorCode::kCorrupt, "max_position_embeddings is 2, at least 3"},
      {"layer_norm_eps", "tiny", ErrorCode::kCorrupt, "layer_norm_eps is \"tiny\""},
      {"layer_norm_eps", -1, ErrorCode::kCorrupt, "layer_norm_eps is -1"},
      {"hidden_act", "relu", ErrorCode::kUnsupported, "hidden_act is \"relu\""},
      {"hidden_act", 1, ErrorCode::kCorrupt, "hidden_act is 1"},
      {"model_type", "mpnet", ErrorCode::kUnsupported, "model_type is \"mpnet\""},
      {"position_embedding_type", "relative_key", ErrorCode::kUnsupported, "relative_key"},
      {"is_decoder", true, ErrorCode::kUnsupported, "is_decoder is true"},
      {"is_decoder", {1, 2}, ErrorCode::kCorrupt, "is_decoder is a list"},
  };
  const TempFolder folder;
  for (const auto& test : cases) {
    json config = json::parse(kConfig);
    config[test.key] = test.value;
    folder.write("config.json", config.dump());
    expect_error(load_model_config(folder.path()), test.code, test.message);
  }
}

TEST(ModelConfig, RefusesOtherFiles) {
  const struct {
    const char* file;
    const char* contents;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {"modules.json", R"({})", ErrorCode::kCorrupt, "not a list of modules"},
      {"modules.json", R"([1])", ErrorCode::kCorrupt, "module 0 is not an object"},
      {"modules.json", R"([{"path":""}])", ErrorCode::kCorrupt, "type is missing"},
      {"modules.json", R"([{"path":"../x","type":"a.Transformer"}])", ErrorCode::kCorrupt,
       "out of the model folder"},
      {"modules.json", R"([{"path":"/etc","type":"a.Transformer"}])", ErrorCode::kCorrupt,
       "out of the model folder"},
      {"modules.json", R"([{"path":"","type":"a.Transformer"}])", ErrorCode::kUnsupported, "no Pooling"},
      {"modules.json", R"([{"path":"2_Dense","type":"sentence_transformers.models.Dense"}])",
       ErrorCode::kUnsupported, "models.Dense"},
      {"1_Pooling/config.json", R"({"pooling_mode_lasttoken":true})", ErrorCode::kUnsupported,
       "\"lasttoken\""},
      {"1_Pooling/config.json", R"({"pooling_mode_weightedmean_tokens":true})", ErrorCode::kUnsupported,
       "weightedmean"},
      {"1_Pooling/config.json", R"({"pooling_mode_cls_token":true,"pooling_mode_max_tokens":true})",
       ErrorCode::kUnsupported, "several pooling modes"},
      {"1_Pooling/config.json", R"({})", ErrorCode::kUnsupported, "\"none\""},
      {"1_Pooling/config.json", R"({"word_embedding_dimension":768})", ErrorCode::kCorrupt, "768"},
      {"1_Pooling/config.json", R"({"pooling_mode_mean_tokens":"x"})", ErrorCode::kCorrupt, "true and false"},
      {"sentence_bert_config.json", R"({"max_seq_length":513})", ErrorCode::kCorrupt, "3 to 512"},
      {"sentence_bert_config.json", R"(nope)", ErrorCode::kCorrupt, "not valid JSON"},
      {"config_sentence_transformers.json", R"({"default_prompt_name":"query"})", ErrorCode::kUnsupported,
       "\"query\""},
  };
  for (const auto& test : cases) {
    const TempFolder folder;
    write_model(folder);
    folder.write(test.file, test.contents);
    expect_error(load_model_config(folder.path()), test.code, test.message);
  }
  expect_error(load_model_config("/nonexistent"), ErrorCode::kNotFound, "no model folder /nonexistent");
}

TEST(ModelConfig, DamagedFilesNeverCrash) {
  const TempFolder folder;
  const std::string bert = R"({"max_seq_length":256,"do_lower_case":false})";
  for (const auto& [name, contents] : {std::pair<std::string, std::string>{"config.json", kConfig},
                                       {"modules.json", kModules},
                                       {"1_Pooling/config.json", kPooling},
                                       {"sentence_bert_config.json", bert}}) {
    write_model(folder);
    for_each_damage(contents, [&, name = name](const std::string& damaged) {
      folder.write(name, damaged);
      const auto config = load_model_config(folder.path());
      if (!config) {
        ASSERT_NE(config.error().message.find(folder.path()), std::string::npos) << config.error().message;
      } else {
        ASSERT_EQ(config->hidden_size % config->heads, 0U);
      }
    });
  }
}

}  // namespace
}  // namespace enhanced_gptcache::embed

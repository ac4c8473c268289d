#include "embed/model_files.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "embed/model_files_fixture.h"
#include "embed/model_files_json.h"

namespace enhanced_gptcache::embed {
namespace {

TEST(MappedFile, MapsMovesAndRefuses) {
  const TempFolder folder;
  auto mapped = MappedFile::open(folder.write("f", "hello"));
  ASSERT_TRUE(mapped) << mapped.error().message;
  MappedFile moved = *std::move(mapped);
  ASSERT_EQ(moved.bytes().size(), 5U);
  EXPECT_EQ(static_cast<char>(moved.bytes()[4]), 'o');
  MappedFile assigned;
  assigned = std::move(moved);
  EXPECT_EQ(assigned.bytes().size(), 5U);
  EXPECT_TRUE(MappedFile::open(folder.write("empty", ""))->bytes().empty());
  expect_error(MappedFile::open(folder.path() + "/none"), ErrorCode::kNotFound, "No such file");
  expect_error(MappedFile::open(folder.path() + "/f/x"), ErrorCode::kNotFound, "cannot open");
  expect_error(MappedFile::open("/dev/null"), ErrorCode::kIo, "not a regular file");
}

TEST(ReadSmallFile, HasALimit) {
  const TempFolder folder;
  const std::string path = folder.write("f", "12345");
  EXPECT_EQ(read_small_file(path, 5).value(), "12345");
  expect_error(read_small_file(path, 4), ErrorCode::kUnsupported, "has 5 bytes, at most 4");
  expect_error(read_small_file(folder.path(), 4), ErrorCode::kIo, "regular file");
}

TEST(ReadJsonObject, LimitsDepthAndForm) {
  const TempFolder folder;
  const auto parse = [&](const std::string& text) {
    return read_json_object(folder.write("j", text), 1 << 20);
  };
  EXPECT_EQ(parse(R"({"a":"[[[{\"]"})")->at("a"), "[[[{\"]");
  expect_error(parse("[]"), ErrorCode::kCorrupt, "not a JSON object");
  expect_error(parse("{"), ErrorCode::kCorrupt, "not valid JSON");
  expect_error(parse("{\"a\":\"\xFF\"}"), ErrorCode::kCorrupt, "not valid JSON");
  const auto nested = [](size_t depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(parse(nested(63)));
  expect_error(parse(nested(64)), ErrorCode::kCorrupt, "deeper than 64");
  expect_error(parse(nested(500'000)), ErrorCode::kCorrupt, "deeper than 64");
}

TEST(JsonFields, ShowsValuesShortly) {
  EXPECT_EQ(shown(nlohmann::json(std::string(100, 'x'))), "\"" + std::string(59, 'x') + "...");
  EXPECT_EQ(shown(nlohmann::json::object()), "an object");
  EXPECT_EQ(shown(nlohmann::json::array()), "a list");
  EXPECT_EQ(shown(nlohmann::json(nullptr)), "null");
}

TEST(FindWeights, SaysWhatElseIsThere) {
  const TempFolder folder;
  expect_error(find_weights(folder.path()), ErrorCode::kNotFound, "no model.safetensors");
  folder.write("pytorch_model.bin", "x");
  expect_error(find_weights(folder.path()), ErrorCode::kUnsupported, "pytorch_model.bin only");
  folder.write("model.safetensors.index.json", "{}");
  expect_error(find_weights(folder.path()), ErrorCode::kUnsupported, "sharded");
  folder.write("model.safetensors", "x");
  EXPECT_EQ(find_weights(folder.path()).value(), folder.path() + "/model.safetensors");
}

}  // namespace
}  // namespace enhanced_gptcache::embed

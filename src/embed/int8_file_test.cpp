#include "embed/int8_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "embed/int8_model.h"
#include "embed/tiny_model.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr base::Hash128 kSource{1, 2};

// Small, because the damage test writes and reads it some hundred times.
ModelConfig small_config() {
  ModelConfig config = tiny_config();
  config.hidden_size = 16;
  config.heads = 2;
  config.layers = 1;
  config.intermediate_size = 16;
  return config;
}

const base::Sha256 kWeights = base::sha256("weights");

Int8Block payload(const ModelConfig& config, int fill = 3) {
  AlignedBuffer block(int8_model_bytes(config));
  int value = fill;
  for (std::byte& byte : block.bytes()) byte = static_cast<std::byte>(value = (value * 5 + 1) % 251);
  return {std::move(block), kWeights};
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

size_t files_in(const TempFolder& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(folder.path())) ++count;
  return count;
}

TEST(Int8File, WhatIsWrittenIsMapped) {
  const TempFolder folder;
  const ModelConfig config = small_config();
  const Int8Block block = payload(config);
  const std::string path = folder.path() + "/packed";
  ASSERT_TRUE(write_int8_file(path, config, kSource, block).has_value());
  const auto mapped = map_int8_file(path, config, kSource);
  ASSERT_TRUE(mapped.has_value()) << mapped.error().message;
  EXPECT_TRUE(mapped->is_mapped());
  EXPECT_TRUE(equal(mapped->bytes(), block.bytes()));
  EXPECT_EQ(mapped->weights_sha256(), kWeights);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(mapped->bytes().data()) % 64, 0U);
  EXPECT_EQ(files_in(folder), 1U);
}

TEST(Int8File, EveryTruncationAndEveryFlippedBitIsSeen) {
  const TempFolder folder;
  const ModelConfig config = small_config();
  const std::string path = folder.path() + "/packed";
  ASSERT_TRUE(write_int8_file(path, config, kSource, payload(config)).has_value());
  const std::string whole = file_contents(path);
  for (size_t length = 0; length < whole.size(); length += length < 200 ? 9 : whole.size() / 50) {
    ASSERT_FALSE(map_int8_file(folder.write("damaged", whole.substr(0, length)), config, kSource)) << length;
  }
  for (size_t i = kInt8HeaderBytes; i < whole.size(); i += whole.size() / 50) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    expect_error(map_int8_file(folder.write("damaged", damaged), config, kSource), ErrorCode::kCorrupt,
                 "checksum");
  }
  for (size_t i = 0; i < kInt8HeaderBytes; ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    ASSERT_FALSE(map_int8_file(folder.write("damaged", damaged), config, kSource).has_value()) << i;
  }
  EXPECT_FALSE(map_int8_file(folder.write("longer", whole + "x"), config, kSource).has_value());
}

TEST(Int8File, AFileOfAnotherSourceOrShapeIsStale) {
  const TempFolder folder;
  const ModelConfig config = small_config();
  const std::string path = folder.path() + "/packed";
  ASSERT_TRUE(write_int8_file(path, config, kSource, payload(config)).has_value());
  expect_error(map_int8_file(path, config, {1, 3}), ErrorCode::kUnsupported, "other weights");
  ModelConfig other = config;
  other.heads = 4;
  expect_error(map_int8_file(path, other, kSource), ErrorCode::kUnsupported, "other weights");
  expect_error(map_int8_file(folder.path() + "/absent", config, kSource), ErrorCode::kNotFound, "absent");
  expect_error(map_int8_file(folder.write("text", "hello"), config, kSource), ErrorCode::kCorrupt,
               "no packed");
}

TEST(Int8File, OpenBuildsOnceAndMapsLater) {
  const TempFolder folder;
  const ModelConfig config = small_config();
  const std::string path = folder.path() + "/packed";
  int builds = 0;
  const auto build = [&]() -> Result<Int8Block> {
    ++builds;
    return payload(config);
  };
  for (int start = 0; start < 3; ++start) {
    const auto block = open_int8_block(path, config, kSource, build);
    ASSERT_TRUE(block.has_value());
    EXPECT_TRUE(block->is_mapped());
    EXPECT_EQ(builds, 1);
  }
  folder.write("packed", file_contents(path).substr(0, 5000));
  EXPECT_TRUE(open_int8_block(path, config, kSource, build)->is_mapped());
  EXPECT_EQ(builds, 2);
  EXPECT_TRUE(open_int8_block(path, config, {9, 9}, build)->is_mapped());
  EXPECT_EQ(builds, 3);
}

TEST(Int8File, AFolderThatCannotBeWrittenIsNoError) {
  const TempFolder folder;
  const ModelConfig config = small_config();
  const auto build = [&]() -> Result<Int8Block> { return payload(config); };
  folder.write("file", "x");  // a file in the place of a folder stops even the superuser
  const auto block = open_int8_block(folder.path() + "/file/packed", config, kSource, build);
  ASSERT_TRUE(block.has_value());
  EXPECT_FALSE(block->is_mapped());
  EXPECT_TRUE(equal(block->bytes(), payload(config).bytes()));
  EXPECT_EQ(block->weights_sha256(), kWeights);
  std::filesystem::create_directory(folder.path() + "/packed");
  folder.write("packed/occupied", "x");  // the rename over a folder fails; nothing is left behind
  EXPECT_FALSE(open_int8_block(folder.path() + "/packed", config, kSource, build)->is_mapped());
  EXPECT_EQ(files_in(folder), 2U);
  expect_error(write_int8_file("/dev/full/x", config, kSource, payload(config)), ErrorCode::kIo, "create");
}

TEST(Int8File, ErrorsOfTheBuildComeThrough) {
  const TempFolder folder;
  const auto result =
      open_int8_block(folder.path() + "/packed", small_config(), kSource,
                      []() -> Result<Int8Block> { return fail(ErrorCode::kCorrupt, "torn"); });
  expect_error(result, ErrorCode::kCorrupt, "torn");
  EXPECT_EQ(files_in(folder), 0U);
}

}  // namespace
}  // namespace enhanced_gptcache::embed

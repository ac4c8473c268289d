#include "embed/safetensors.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "embed/model_files_fixture.h"

namespace enhanced_gptcache::embed {
namespace {

std::string file_of(const std::string& header, const std::string& data) {
  std::string file(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + data;
}

const char* const kHeader =
    R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
    R"("h":{"dtype":"F16","shape":[3],"data_offsets":[16,22]},)"
    R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[22,24]},)"
    R"("i":{"dtype":"I64","shape":[1,1],"data_offsets":[24,32]},)"
    R"("u":{"dtype":"U8","shape":[1],"data_offsets":[32,33]},)"
    R"("e":{"dtype":"F32","shape":[0,4],"data_offsets":[33,33]}})";

std::string small_data() {
  std::string data(33, '\0');
  const std::array<float, 4> floats{1.5F, -2.0F, 0.25F, 1e-3F};
  const std::array<uint16_t, 3> halves{0x3C00, 0xC500, 0x0001};  // 1, -5, 2 to the power -24
  const uint16_t brain = 0x4049;                                 // 3.140625
  const int64_t integer = -7;
  std::memcpy(data.data(), floats.data(), 16);
  std::memcpy(data.data() + 16, halves.data(), 6);
  std::memcpy(data.data() + 22, &brain, 2);
  std::memcpy(data.data() + 24, &integer, 8);
  return data;
}

TEST(SafeTensors, ReadsTensorsOfEachType) {
  const TempFolder folder;
  const auto file = SafeTensors::open(folder.write("m.safetensors", file_of(kHeader, small_data())));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->names(), (std::vector<std::string>{"b", "e", "h", "i", "u", "w"}));
  EXPECT_TRUE(file->contains("w"));
  EXPECT_FALSE(file->contains("__metadata__"));
  const auto w = file->tensor("w");
  ASSERT_TRUE(w) << w.error().message;
  EXPECT_EQ(w->type, TensorType::kF32);
  EXPECT_EQ(w->shape, (std::vector<uint64_t>{2, 2}));
  EXPECT_EQ(w->bytes.size(), 16U);
  EXPECT_EQ(file->floats("w", std::array<uint64_t, 2>{2, 2}).value(),
            (std::vector<float>{1.5F, -2.0F, 0.25F, 1e-3F}));
  EXPECT_EQ(file->floats("h", std::array<uint64_t, 1>{3}).value(),
            (std::vector<float>{1.0F, -5.0F, std::ldexp(1.0F, -24)}));
  EXPECT_EQ(file->floats("b", std::array<uint64_t, 1>{1}).value(), (std::vector<float>{3.140625F}));
  EXPECT_EQ(file->floats("e", std::array<uint64_t, 2>{0, 4}).value(), std::vector<float>{});
  EXPECT_EQ(file->tensor("i")->type, TensorType::kI64);
  EXPECT_EQ(file->file_bytes().size(), 8 + std::strlen(kHeader) + 33);
}

TEST(SafeTensors, ReadsInt8AndTheStringsOfItsMetadata) {
  const TempFolder folder;
  const char* const header = R"({"__metadata__":{"format":"x","layers":4,"name":"n"},)"
                             R"("q":{"dtype":"I8","shape":[2,2],"data_offsets":[0,4]},)"
                             R"("u":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}})";
  const auto file = SafeTensors::open(folder.write("m.safetensors", file_of(header, "\x01\xff\x80\x7f!")));
  ASSERT_TRUE(file) << file.error().message;
  const auto values = file->int8s("q", std::array<uint64_t, 2>{2, 2});
  ASSERT_TRUE(values) << values.error().message;
  EXPECT_EQ(std::vector<int8_t>(values->begin(), values->end()), (std::vector<int8_t>{1, -1, -128, 127}));
  EXPECT_EQ(file->metadata(),
            (std::map<std::string, std::string, std::less<>>{{"format", "x"}, {"name", "n"}}));
  EXPECT_EQ(file->data_bytes().size(), 5U);
  expect_error(file->int8s("q", std::array<uint64_t, 1>{4}), ErrorCode::kCorrupt, "shape [2, 2]");
  expect_error(file->floats("q", std::array<uint64_t, 2>{2, 2}), ErrorCode::kUnsupported, "integers");
  expect_error(file->int8s("u", std::array<uint64_t, 1>{1}), ErrorCode::kUnsupported, "type U8");
  expect_error(file->int8s("v", std::array<uint64_t, 1>{1}), ErrorCode::kNotFound, "\"v\"");
}

TEST(SafeTensors, ReportsWrongUse) {
  const TempFolder folder;
  const auto file = SafeTensors::open(folder.write("m.safetensors", file_of(kHeader, small_data())));
  ASSERT_TRUE(file) << file.error().message;
  expect_error(file->tensor("nope"), ErrorCode::kNotFound, "no tensor \"nope\"");
  expect_error(file->tensor("u"), ErrorCode::kUnsupported, "type U8");
  expect_error(file->floats("i", std::array<uint64_t, 2>{1, 1}), ErrorCode::kUnsupported, "integers");
  expect_error(file->floats("w", std::array<uint64_t, 1>{4}), ErrorCode::kCorrupt, "shape [2, 2]");
}

TEST(SafeTensors, HalvesCoverTheirRange) {
  const TempFolder folder;
  for (const auto& [bits, expected] : {std::pair<uint16_t, float>{0x7BFF, 65504.0F},
                                       {0x8000, -0.0F},
                                       {0x83FF, -6.0975552e-5F},
                                       {0x0400, 6.1035156e-5F}}) {
    std::string data(2, '\0');
    std::memcpy(data.data(), &bits, 2);
    const auto file = SafeTensors::open(
        folder.write("h", file_of(R"({"x":{"dtype":"F16","shape":[],"data_offsets":[0,2]}})", data)));
    ASSERT_TRUE(file) << file.error().message;
    const auto values = file->floats("x", {});
    ASSERT_TRUE(values) << values.error().message;
    EXPECT_EQ((*values)[0], expected);
    EXPECT_EQ(std::signbit((*values)[0]), std::signbit(expected));
  }
}

TEST(SafeTensors, RefusesNotANumber) {
  const TempFolder folder;
  for (const char* const dtype : {"F16", "BF16"}) {
    const std::string header =
        std::string(R"({"x":{"dtype":")") + dtype + R"(","shape":[1],"data_offsets":[0,2]}})";
    const auto file = SafeTensors::open(folder.write("n", file_of(header, "\xC0\x7F")));
    ASSERT_TRUE(file) << file.error().message;
    expect_error(file->floats("x", std::array<uint64_t, 1>{1}), ErrorCode::kCorrupt, "holds nan at 0");
  }
}

TEST(SafeTensors, RefusesBadHeaders) {
  const struct {
    const char* header;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {R"([1])", ErrorCode::kCorrupt, "not a JSON object"},
      {R"({"x":)", ErrorCode::kCorrupt, "not valid JSON"},
      {R"({"x":1})", ErrorCode::kCorrupt, "tensor \"x\" is not an object"},
      {R"({"x":{"shape":[1],"data_offsets":[0,4]}})", ErrorCode::kCorrupt, "dtype is missing"},
      {R"({"x":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}})", ErrorCode::kUnsupported, "dtype \"Q4\""},
      {R"({"x":{"dtype":"F32","shape":4,"data_offsets":[0,4]}})", ErrorCode::kCorrupt, "shape is not a list"},
      {R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", ErrorCode::kCorrupt, "shape holds -1"},
      {R"({"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", ErrorCode::kCorrupt,
       "at most 8"},
      {R"({"x":{"dtype":"F32","shape":[1]}})", ErrorCode::kCorrupt, "data_offsets is not a pair"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", ErrorCode::kCorrupt, "do not lie in"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", ErrorCode::kCorrupt, "4 bytes of data"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}})", ErrorCode::kCorrupt,
       "truncated"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", ErrorCode::kCorrupt,
       "4 bytes do not hold shape [2]"},
      {R"({"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", ErrorCode::kCorrupt,
       "do not hold"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       ErrorCode::kCorrupt, "overlap at byte 0"},
      {R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       ErrorCode::kCorrupt, "gap"},
      {R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", ErrorCode::kCorrupt,
       "3 bytes after the last tensor"},
  };
  const TempFolder folder;
  for (const auto& test : cases) {
    const std::string path = folder.write("m.safetensors", file_of(test.header, "abcd"));
    const auto result = SafeTensors::open(path);
    expect_error(result, test.code, test.message);
    if (!result) {
      EXPECT_NE(result.error().message.find(path), std::string::npos) << result.error().message;
    }
  }
}

TEST(SafeTensors, NamesForeignAndTruncatedFiles) {
  const TempFolder folder;
  const struct {
    std::string contents;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {"", ErrorCode::kCorrupt, "has 0 bytes"},
      {"abc", ErrorCode::kCorrupt, "too few"},
      {"PK\x03\x04 and more", ErrorCode::kUnsupported, "zip archive"},
      {"GGUF and more of it", ErrorCode::kUnsupported, "GGUF"},
      {"version https://git-lfs.github.com/spec/v1\n", ErrorCode::kUnsupported, "git lfs pull"},
      {"<!DOCTYPE html><html></html>", ErrorCode::kUnsupported, "web page"},
      {"this is some text or other", ErrorCode::kUnsupported, "at most 100000000"},
      {std::string("\xFF\x00\x00\x00\x00\x00\x00\x00{}", 10), ErrorCode::kCorrupt,
       "truncated: a header of 255"},
      {file_of(std::string(200, '['), ""), ErrorCode::kCorrupt, "nested deeper than 64"},
  };
  for (const auto& test : cases) {
    expect_error(SafeTensors::open(folder.write("m.safetensors", test.contents)), test.code, test.message);
  }
  expect_error(SafeTensors::open(folder.path() + "/none"), ErrorCode::kNotFound, "cannot open");
  expect_error(SafeTensors::open(folder.path()), ErrorCode::kIo, "not a regular file");
}

// Whatever a damaged header says, every span handed out can be read to its end.
void read_all(const SafeTensors& file) {
  for (const std::string& name : file.names()) {
    const auto tensor = file.tensor(name);
    if (!tensor) continue;
    unsigned sum = 0;
    for (const std::byte byte : tensor->bytes) sum += static_cast<unsigned>(byte);
    EXPECT_LE(sum, 255 * tensor->bytes.size());
    static_cast<void>(file.floats(name, tensor->shape));
  }
}

TEST(SafeTensors, DamagedFilesNeverCrash) {
  const TempFolder folder;
  for_each_damage(file_of(kHeader, small_data()), [&](const std::string& contents) {
    const auto file = SafeTensors::open(folder.write("m.safetensors", contents));
    if (file) read_all(*file);
  });
}

// The header of the real model over a sparse file of its size, so that no damage costs 90 MB of copying.
TEST(SafeTensors, DamagedHeaderOfTheRealModelNeverCrashes) {
  if (real_model_dir().empty()) GTEST_SKIP() << "models/all-MiniLM-L6-v2 is not installed";
  const auto real = SafeTensors::open(real_model_dir() + "/model.safetensors");
  ASSERT_TRUE(real) << real.error().message;
  EXPECT_TRUE(real->contains("embeddings.word_embeddings.weight"));
  uint64_t length = 0;
  std::memcpy(&length, real->file_bytes().data(), sizeof length);
  const std::string header(reinterpret_cast<const char*>(real->file_bytes().data()), 8 + length);
  const size_t size = real->file_bytes().size();
  const TempFolder folder;
  size_t opened = 0;
  for (size_t i = 0; i < header.size(); i += 1 + header.size() / 400) {
    std::string flipped = header;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    const std::string path = folder.write("m.safetensors", flipped);
    std::filesystem::resize_file(path, i % 5 == 0 ? size - i - 1 : size);
    const auto file = SafeTensors::open(path);
    opened += file.has_value() ? 1 : 0;
    if (!file) {
      EXPECT_NE(file.error().message.find(path), std::string::npos);
    }
  }
  EXPECT_LT(opened, 320U);  // flips inside names go unseen here; the encoder misses the tensor then
}

}  // namespace
}  // namespace enhanced_gptcache::embed

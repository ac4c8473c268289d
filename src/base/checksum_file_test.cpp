#include "base/checksum_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace enhanced_gptcache::base {
namespace {

class ChecksumFile : public testing::Test {
 protected:
  ChecksumFile() { std::filesystem::create_directories(folder_); }
  ~ChecksumFile() override { std::filesystem::remove_all(folder_); }
  void list(std::string_view text) const { std::ofstream(folder_ + "/SHA256SUMS") << text; }
  ErrorCode code_of(std::string_view bytes) const {
    return check_listed_sha256(folder_ + "/abc.bin", bytes).error().code;
  }

  // Of "abc" (FIPS 180-4, example 1).
  static constexpr std::string_view kSum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const std::string folder_ = testing::TempDir() + "checksum_file_test";
};

TEST_F(ChecksumFile, AcceptsWhatIsListed) {
  for (const char* separator : {"  ", " *"}) {
    list(std::string(64, '0') + "  other\n" + std::string(kSum) + separator + "abc.bin\n");
    EXPECT_TRUE(check_listed_sha256(folder_ + "/abc.bin", "abc"));
    EXPECT_EQ(code_of("abd"), ErrorCode::kCorrupt);
    EXPECT_EQ(code_of(""), ErrorCode::kCorrupt);
  }
  list(std::string(kSum) + "  abc.bin");
  EXPECT_TRUE(check_listed_sha256(folder_ + "/abc.bin", "abc")) << "without a line feed";
}

TEST_F(ChecksumFile, RefusesWhatIsNot) {
  EXPECT_EQ(code_of("abc"), ErrorCode::kNotFound);
  for (const std::string& text : {std::string(), std::string("abc.bin\n"), std::string(kSum) + "  abc.bi\n",
                                  std::string(kSum) + "  xabc.bin\n", std::string(kSum) + "\tabc.bin\n",
                                  std::string(kSum) + "\n", std::string("\n\n")}) {
    list(text);
    EXPECT_EQ(code_of("abc"), ErrorCode::kCorrupt) << text;
  }
  list(std::string(size_t{65} << 10U, 'x'));
  EXPECT_EQ(code_of("abc"), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace enhanced_gptcache::base

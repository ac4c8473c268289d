#include "base/small_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::base {
namespace {

namespace fs = std::filesystem;

class SmallFile : public testing::Test {
 protected:
  SmallFile() : folder_(fs::temp_directory_path() / ("egptc-small-" + random_hex(8))) {
    fs::create_directory(folder_);
  }
  ~SmallFile() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  std::string write(const std::string& text, mode_t mode) const {
    std::ofstream(path(), std::ios::binary) << text;
    ::chmod(path().c_str(), mode);
    return path();
  }
  std::string path() const { return (folder_ / "file").string(); }
  const fs::path folder_;
};

struct stat status_of(uid_t owner, mode_t mode) {
  struct stat status {};
  status.st_uid = owner;
  status.st_mode = S_IFREG | mode;
  return status;
}

TEST_F(SmallFile, IsReadAsAWholeOrNotAtAll) {
  EXPECT_EQ(read_small_file(write("12345", 0644), 5).value(), "12345");
  EXPECT_EQ(read_small_file(path(), 4).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(read_small_file(path() + ".none", 4).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_small_file(folder_.string(), 4).error().code, ErrorCode::kIo);
  const std::string large(100'000, 'x');
  EXPECT_EQ(read_small_file(write(large, 0600), 1 << 20U).value(), large);
}

TEST_F(SmallFile, IsReplacedForItsOwnerOnly) {
  write("old", 0644);
  ASSERT_TRUE(replace_file(path(), "new"));
  EXPECT_EQ(read_private_file(path(), 10).value(), "new");
  EXPECT_FALSE(fs::exists(path() + ".new"));
  EXPECT_EQ(replace_file((folder_ / "none/file").string(), "x").error().code, ErrorCode::kNotFound);
  fs::create_directory(folder_ / "taken");
  EXPECT_EQ(replace_file((folder_ / "taken").string(), "x").error().code, ErrorCode::kIo);
  EXPECT_FALSE(fs::exists(folder_ / "taken.new"));
}

TEST_F(SmallFile, SecretsOpenToOthersAreRefused) {
  for (const mode_t mode : {0644, 0640, 0620, 0606, 0660}) {
    const auto read = read_private_file(write("secret", mode), 100);
    ASSERT_FALSE(read) << mode;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(read.error().message.find(path() + " has mode 0"), std::string::npos) << read.error().message;
    EXPECT_EQ(read.error().message.find("secret"), std::string::npos);
  }
  for (const mode_t mode : {0600, 0400})
    EXPECT_EQ(read_private_file(write("secret", mode), 100, PrivateOwner::kOursOrRoot).value(), "secret");
}

TEST_F(SmallFile, NamedFilesBelongToUsOrToRoot) {
  const uid_t us = ::geteuid();
  const uid_t somebody = us + 4711;
  EXPECT_EQ(why_not_private(status_of(somebody, 0600), PrivateOwner::kAny), "") << "root reads the service's";
  EXPECT_NE(why_not_private(status_of(somebody, 0600), PrivateOwner::kOursOrRoot).find("belongs to user"),
            std::string::npos);
  EXPECT_EQ(why_not_private(status_of(us, 0600), PrivateOwner::kOursOrRoot), "");
  EXPECT_EQ(why_not_private(status_of(0, 0400), PrivateOwner::kOursOrRoot), "");
  // A mounted secret: root's, readable by our group. Not when root itself is who reads.
  EXPECT_EQ(why_not_private(status_of(0, 0440), PrivateOwner::kOursOrRoot).empty(), us != 0);
  for (const mode_t mode : {0460, 0444, 0602})
    EXPECT_NE(why_not_private(status_of(0, mode), PrivateOwner::kOursOrRoot), "") << mode;
}

}  // namespace
}  // namespace enhanced_gptcache::base

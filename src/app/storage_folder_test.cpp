#include "app/storage_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace enhanced_gptcache::app {
namespace {

struct StorageFolderTest : testing::Test {
  std::string root = testing::TempDir() + "/egptc_folder_" + std::to_string(::getpid());
  void SetUp() override { std::filesystem::remove_all(root); }
  void TearDown() override { std::filesystem::remove_all(root); }
};

TEST_F(StorageFolderTest, MakesAPrivateFolder) {
  auto folder = StorageFolder::open(root + "/a/b");
  ASSERT_TRUE(folder) << folder.error().message;
  struct stat info {};
  ASSERT_EQ(::stat((root + "/a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
}

TEST_F(StorageFolderTest, OneOwnerAtATime) {
  auto first = StorageFolder::open(root);
  ASSERT_TRUE(first);
  auto second = StorageFolder::open(root);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
  first->reset();
  EXPECT_TRUE(StorageFolder::open(root));
}

TEST_F(StorageFolderTest, AFileInTheWayIsNamed) {
  std::ofstream(root) << "x";
  auto folder = StorageFolder::open(root + "/below");
  ASSERT_FALSE(folder);
  EXPECT_NE(folder.error().message.find("storage.path " + root), std::string::npos);
}

}  // namespace
}  // namespace enhanced_gptcache::app

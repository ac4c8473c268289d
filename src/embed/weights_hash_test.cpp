#include "embed/weights_hash.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <utime.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "embed/model_files_fixture.h"

namespace enhanced_gptcache::embed {
namespace {

class RememberedHash : public testing::Test {
 protected:
  void SetUp() override {
    weights_ = folder_.write("model.safetensors", "weights");
    memo_ = folder_.path() + "/memo";
  }
  /// As if the file had been written long ago.
  void let_settle() { now_seconds_ = std::time(nullptr) + 60; }
  base::Hash128 ask(uint64_t value) {
    return remembered_hash(weights_, memo_, now_seconds_, [&] {
      ++computed_;
      return base::Hash128{value, ~value};
    });
  }

  TempFolder folder_;
  std::string weights_, memo_;
  int64_t now_seconds_ = std::time(nullptr);
  int computed_ = 0;
};

TEST_F(RememberedHash, IsComputedOnceForOneFileAndAgainForAnother) {
  EXPECT_EQ(ask(7), (base::Hash128{7, ~uint64_t{7}}));
  EXPECT_FALSE(std::filesystem::exists(memo_)) << "the file is too new to be told from its next version";
  let_settle();
  EXPECT_EQ(ask(8), (base::Hash128{8, ~uint64_t{8}}));
  EXPECT_EQ(ask(9), (base::Hash128{8, ~uint64_t{8}}));
  EXPECT_EQ(computed_, 2);
  // The same size and the same time of the last write: the inode tells.
  struct stat status {};
  ASSERT_EQ(::stat(weights_.c_str(), &status), 0);
  std::filesystem::rename(folder_.write("other", "Weights"), weights_);
  const utimbuf times{status.st_atime, status.st_mtime};
  ASSERT_EQ(::utime(weights_.c_str(), &times), 0);
  EXPECT_EQ(ask(10), (base::Hash128{10, ~uint64_t{10}}));
  EXPECT_EQ(computed_, 3);
}

TEST_F(RememberedHash, ADamagedMemoIsNotBelieved) {
  let_settle();
  ask(1);
  const std::string good = file_contents(memo_);
  ASSERT_FALSE(good.empty());
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() - 1), good.substr(0, good.size() - 2) + "\n",
        good.substr(0, good.size() - 2) + "g\n", good + "\n", "x" + good.substr(1), std::string(1000, 'a')}) {
    std::ofstream(memo_, std::ios::binary) << bad;
    computed_ = 0;
    EXPECT_EQ(ask(2), (base::Hash128{2, ~uint64_t{2}})) << bad;
    EXPECT_EQ(computed_, 1);
  }
}

TEST_F(RememberedHash, NoFileAndNoPlaceForTheMemoAreNoErrors) {
  EXPECT_EQ(remembered_hash(folder_.path() + "/none", memo_, now_seconds_,
                            [] {
                              return base::Hash128{3, 4};
                            }),
            (base::Hash128{3, 4}));
  let_settle();
  EXPECT_EQ(remembered_hash(weights_, folder_.path() + "/none/memo", now_seconds_,
                            [] {
                              return base::Hash128{5, 6};
                            }),
            (base::Hash128{5, 6}));
}

}  // namespace
}  // namespace enhanced_gptcache::embed

#include "cache/pca_feed.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace enhanced_gptcache::cache {
namespace {

class PcaFeedTest : public testing::Test {
 protected:
  PcaFeedTest() {
    std::filesystem::create_directories(folder_);
    options_.target_dimensions = 4;
    options_.training_samples = 20;
    options_.compression_threshold = 10;
    options_.model_path = folder_ + "/pca_model.bin";
  }
  ~PcaFeedTest() override { std::filesystem::remove_all(folder_); }

  void offer(PcaFeed& feed, std::string_view tenant, int count) {
    std::normal_distribution<float> normal;
    for (int i = 0; i < count; ++i) {
      std::vector<float> vector(8);
      for (float& v : vector) v = normal(random_);
      feed.offer(tenant, vector);
    }
    work(feed);
  }
  void work(PcaFeed& feed) {
    feed.work([this](std::string_view tenant) {
      asked_for_ = tenant;
      return entries_;
    });
  }
  static CacheStats stats(const PcaFeed& feed) {
    CacheStats stats;
    feed.describe(stats);
    return stats;
  }
  void train() {
    PcaFeed feed(options_, "epoch 1");
    offer(feed, "a", 25);
    ASSERT_EQ(stats(feed).pca_version, 1U);
    ASSERT_FALSE(stats(feed).pca_loaded);
    ASSERT_TRUE(std::filesystem::exists(options_.model_path));
  }

  const std::string folder_ = testing::TempDir() + "pca_feed_" + std::to_string(::getpid());
  PcaOptions options_;
  std::mt19937 random_{1};
  size_t entries_ = 100;
  std::string asked_for_;
};

TEST_F(PcaFeedTest, GoesOnFromItsFileAndForItsTenantOnly) {
  train();
  PcaFeed feed(options_, "epoch 1");
  EXPECT_TRUE(stats(feed).pca_loaded);
  EXPECT_EQ(stats(feed).pca_samples, 25U);
  EXPECT_GT(stats(feed).pca_explained_variance, 0.0);
  work(feed);
  EXPECT_EQ(asked_for_, "a");
  EXPECT_TRUE(stats(feed).pca_active);
  offer(feed, "b", 30);
  EXPECT_EQ(stats(feed).pca_samples, 25U) << "another tenant's vectors";
  offer(feed, "a", 15);
  EXPECT_EQ(stats(feed).pca_samples, 40U);
  EXPECT_EQ(stats(feed).pca_version, 2U);
  EXPECT_EQ(stats(feed).pca_files_refused, 0U);
  entries_ = 9;
  work(feed);
  EXPECT_FALSE(stats(feed).pca_active) << "fewer entries than compression_threshold";
}

TEST_F(PcaFeedTest, ADamagedFileIsKeptAsideAndCounted) {
  train();
  {
    std::fstream file(options_.model_path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(40);
    file.put('!');
  }
  PcaFeed feed(options_, "epoch 1");
  EXPECT_FALSE(stats(feed).pca_loaded);
  EXPECT_EQ(stats(feed).pca_files_refused, 1U);
  EXPECT_NE(stats(feed).pca_problem.find("pca_model.bin"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(options_.model_path + ".damaged"));
  EXPECT_FALSE(std::filesystem::exists(options_.model_path));
  // Trained anew, for whoever comes first.
  offer(feed, "b", 20);
  EXPECT_EQ(stats(feed).pca_version, 1U);
  EXPECT_TRUE(stats(feed).pca_active);
  PcaFeed next(options_, "epoch 1");
  EXPECT_TRUE(stats(next).pca_loaded);
  EXPECT_EQ(stats(next).pca_files_refused, 0U);
}

TEST_F(PcaFeedTest, AnotherModelOrSizeStartsAfresh) {
  train();
  PcaFeed other_model(options_, "epoch 2");
  EXPECT_FALSE(stats(other_model).pca_loaded);
  EXPECT_EQ(stats(other_model).pca_samples, 0U);
  EXPECT_NE(stats(other_model).pca_problem.find("another embedding model"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(options_.model_path)) << "sound, so it stays until the next fit";
  options_.target_dimensions = 3;
  PcaFeed other_size(options_, "epoch 1");
  EXPECT_FALSE(stats(other_size).pca_loaded);
  EXPECT_EQ(stats(other_size).pca_files_refused, 1U);
}

TEST_F(PcaFeedTest, OffReadsNothing) {
  train();
  options_.enabled = false;
  PcaFeed feed(options_, "epoch 1");
  offer(feed, "a", 30);
  EXPECT_FALSE(stats(feed).pca_loaded);
  EXPECT_FALSE(stats(feed).pca_active);
  EXPECT_EQ(stats(feed).pca_samples, 0U);
}

TEST_F(PcaFeedTest, ChangedSettingsNeverMixTenants) {
  PcaFeed feed(options_, "epoch 1");
  offer(feed, "a", 5);
  options_.training_samples = 30;
  feed.set_options(options_);
  offer(feed, "b", 40);
  EXPECT_EQ(stats(feed).pca_samples, 0U) << "the feed is still the first tenant's";
  offer(feed, "a", 30);
  EXPECT_EQ(stats(feed).pca_version, 1U);
}

}  // namespace
}  // namespace enhanced_gptcache::cache

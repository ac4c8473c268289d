// The cache and its mirror on disk: what a restart finds, and what happens when the disk fails.

#include <filesystem>
#include <thread>

#include "cache/cache_fixture.h"
#include "fakes/fake_entry_table.h"

namespace enhanced_gptcache::cache {
namespace {

class StorageTest : public CacheTest {
 protected:
  StorageTest() { restart(); }

  static Options stored_options() {
    Options options = options_of_tests();
    options.key_bytes = std::string(32, 'k');
    return options;
  }
  void restart(const Options& options = stored_options()) {
    cache_.reset();
    cache_ =
        open_cache(options, embedder_, clock_, false, std::make_unique<fakes::FakeEntryTable>(disk_)).value();
  }
  size_t on_disk() {
    EXPECT_TRUE(cache_->commit());
    return disk_->size();
  }
  static bool eventually(const std::function<bool()>& is_true) {
    for (int i = 0; i < 5000 && !is_true(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return is_true();
  }

  std::shared_ptr<fakes::FakeDisk> disk_ = std::make_shared<fakes::FakeDisk>();
};

TEST_F(StorageTest, ARestartFindsBothLayersWithoutEmbedding) {
  StoreRequest request;
  request.prompt = prompt("How do I reset my password?");
  request.text = "Click forgot.";
  request.tags = {"help"};
  request.subject = "anna";
  request.ttl_ms = 60'000;
  const std::string id = put(request);
  put(prompt("And for the app?", {{"user", "How do I log in?"}, {"assistant", "With your mail."}}), "Same.");
  EXPECT_EQ(disk_->size(), 2U) << "durable when store() returns";
  const size_t calls = embedder_->calls();
  restart();
  EXPECT_EQ(embedder_->calls(), calls);
  EXPECT_EQ(cache_->storage_stats().loaded, 2U);
  const Lookup exact = look(prompt("How do I reset my password?"));
  ASSERT_NE(exact.entry, nullptr);
  EXPECT_EQ(exact.layer, Layer::kExact);
  EXPECT_EQ(exact.entry->id(), id);
  EXPECT_EQ(exact.entry->subject(), "anna");
  EXPECT_EQ(exact.entry->tags(), std::vector<std::string_view>{"help"});
  EXPECT_TRUE(exact.entry->semantic());
  const Lookup semantic = look(prompt("How can I reset my password?"));
  ASSERT_NE(semantic.entry, nullptr);
  EXPECT_EQ(semantic.layer, Layer::kSemantic);
  EXPECT_EQ(ask(prompt("And for the app?", {{"user", "How do I log in?"}, {"assistant", "With your mail."}})),
            "Same.");
  EXPECT_NE(ask(prompt("And for the app?", {{"user", "How do I pay?"}, {"assistant", "By card."}})), "Same.");
  clock_.advance_ms(60'000);
  EXPECT_EQ(look(prompt("How do I reset my password?")).entry, nullptr);
}

TEST_F(StorageTest, WhatLeavesMemoryLeavesTheDisk) {
  StoreRequest tagged;
  tagged.prompt = prompt("Which plan has phone support?");
  tagged.text = "Gold.";
  tagged.tags = {"plans"};
  put(tagged);
  const std::string removed = put(prompt("Who wrote Faust?"), "Goethe.");
  put(prompt("Who painted Guernica?"), "Monet.");
  put(prompt("Who built the Eiffel tower?"), "Eiffel.");
  EXPECT_EQ(on_disk(), 4U);
  EXPECT_TRUE(cache_->remove("local", removed));
  EXPECT_EQ(on_disk(), 3U);
  Feedback wrong;
  wrong.request_id = look(prompt("Who painted Guernica?")).request_id;
  wrong.correct = false;
  EXPECT_EQ(cache_->feedback(wrong)->action, "removed");
  EXPECT_EQ(on_disk(), 2U);
  Filter filter;
  filter.tags = {"plans"};
  EXPECT_EQ(cache_->invalidate(filter, true), 1U);
  EXPECT_EQ(on_disk(), 2U) << "a dry run removes nothing";
  EXPECT_EQ(cache_->invalidate(filter, false), 1U);
  EXPECT_EQ(on_disk(), 1U);
  EXPECT_EQ(cache_->flush("local", std::nullopt), 1U);
  EXPECT_EQ(on_disk(), 0U);
  restart();
  EXPECT_EQ(cache_->stats().entries, 0U);
}

TEST_F(StorageTest, ReplacementsAndExpiryAreMirrored) {
  StoreRequest request;
  request.prompt = prompt("What time does the shop open?");
  request.text = "At nine.";
  request.ttl_ms = 1000;
  put(request);
  request.text = "At ten.";
  put(request);
  EXPECT_EQ(on_disk(), 1U);
  restart();
  EXPECT_EQ(ask(request.prompt), "At ten.");
  clock_.advance_ms(2000);
  cache_->maintain();
  EXPECT_EQ(on_disk(), 0U);
  put(request);
  clock_.advance_ms(2000);
  restart();
  EXPECT_EQ(cache_->storage_stats().outdated, 1U);
  EXPECT_EQ(on_disk(), 0U) << "expired while nobody looked";
}

TEST_F(StorageTest, EvictionIsMirroredAndASmallerCacheLoadsTheNewest) {
  Options options = stored_options();
  options.bytes_max = 200'000;
  restart(options);
  const std::string padding(2000, 'x');
  for (int i = 0; i < 200; ++i) put(prompt("Question number " + std::to_string(i) + "?"), padding);
  EXPECT_GT(cache_->stats().evictions_size, 0U);
  EXPECT_EQ(on_disk(), cache_->stats().entries);
  options.bytes_max = 60'000;
  restart(options);
  EXPECT_GT(cache_->stats().entries, 5U);
  EXPECT_EQ(on_disk(), cache_->stats().entries);
  EXPECT_EQ(ask(prompt("Question number 199?")), padding);
}

TEST_F(StorageTest, AnotherModelLeavesTheExactLayer) {
  put(prompt("How do I reset my password?"), "Click forgot.");
  embedder_ = std::make_shared<fakes::FakeEmbedder>(64, 64, "fake-2");
  restart();
  EXPECT_EQ(cache_->storage_stats().exact_only, 1U);
  EXPECT_EQ(cache_->stats().semantic_entries, 0U);
  const Lookup exact = look(prompt("How do I reset my password?"));
  ASSERT_NE(exact.entry, nullptr);
  EXPECT_FALSE(exact.entry->semantic());
  EXPECT_EQ(look(prompt("How can I reset my password?")).entry, nullptr);
  EXPECT_EQ(cache_->flush("local", std::nullopt), 1U);
  EXPECT_EQ(on_disk(), 0U);
}

TEST_F(StorageTest, DamagedBytesAreLeftOutAndSaid) {
  put(prompt("Who wrote Faust?"), "Goethe.");
  put(prompt("Who painted Guernica?"), "Picasso.");
  cache_.reset();
  std::string& bytes = disk_->rows.begin()->second.bytes;
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  restart();
  const StorageStats stats = cache_->storage_stats();
  EXPECT_EQ(stats.loaded, 1U);
  EXPECT_EQ(stats.damaged, 1U);
  EXPECT_NE(stats.problem.find("1 damaged"), std::string::npos);
}

TEST_F(StorageTest, AFullDiskServesRefusesAndRecovers) {
  put(prompt("Who wrote Faust?"), "Goethe.");
  disk_->is_full = true;
  StoreRequest request;
  request.prompt = prompt("Who painted Guernica?");
  request.text = "Picasso.";
  const auto refused = cache_->store(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(eventually([&] { return cache_->storage_stats().is_failing; }));
  request.write_behind = true;
  EXPECT_FALSE(cache_->store(request)) << "answers from traffic are not stored either";
  EXPECT_EQ(cache_->storage_stats().refused, 1U);
  EXPECT_EQ(ask(prompt("Who wrote Faust?")), "Goethe.");
  EXPECT_EQ(cache_->flush("local", "nowhere"), 0U);
  EXPECT_FALSE(cache_->commit()) << "a removal cannot be promised now";
  disk_->is_full = false;
  ASSERT_TRUE(eventually([&] { return !cache_->storage_stats().is_failing; }));
  request.write_behind = false;
  EXPECT_TRUE(cache_->store(request));
  EXPECT_EQ(on_disk(), 2U);
}

TEST_F(StorageTest, ADamagedTableIsWrittenAgain) {
  for (int i = 0; i < 20; ++i) put(prompt("Question number " + std::to_string(i) + "?"), "Answer.");
  disk_->is_damaged = true;
  StoreRequest request;
  request.prompt = prompt("Who painted Guernica?");
  request.text = "Picasso.";
  EXPECT_FALSE(cache_->store(request));
  ASSERT_TRUE(eventually([&] { return cache_->storage_stats().rebuilds == 1; }));
  ASSERT_TRUE(eventually([&] { return !cache_->storage_stats().is_failing; }));
  EXPECT_EQ(on_disk(), cache_->stats().entries);
  restart();
  EXPECT_GE(cache_->stats().semantic_entries, 20U) << "with their vectors, which only the index had";
  const Lookup found = look(prompt("What is question number 7?"));
  ASSERT_NE(found.entry, nullptr);
  EXPECT_EQ(found.layer, Layer::kSemantic);
  EXPECT_EQ(found.entry->query(), "Question number 7?");
}

TEST_F(StorageTest, AsynchronousStoresAreDurableWhenAnswered) {
  std::atomic<int> answered{0};
  std::atomic<int> missing{0};
  for (int i = 0; i < 50; ++i) {
    StoreRequest request;
    request.prompt = prompt("Question number " + std::to_string(i) + "?");
    request.text = "Answer.";
    cache_->store_async(request, [&](Result<Stored> stored) {
      if (!stored || disk_->size() == 0) ++missing;
      ++answered;
    });
  }
  ASSERT_TRUE(eventually([&] { return answered == 50; }));
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(disk_->size(), 50U);
}

/// Removals and stores of the same keys from several threads: memory and disk end up the same.
TEST_F(StorageTest, MemoryAndDiskAgreeAfterARace) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 300; ++i) {
        StoreRequest request;
        request.prompt = prompt("Question number " + std::to_string(i % 7) + "?");
        request.text = std::to_string(t) + "." + std::to_string(i);
        request.write_behind = true;
        EXPECT_TRUE(cache_->store(request));
        if (i % 11 == 0) cache_->flush("local", std::nullopt);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(on_disk(), cache_->stats().entries);
  std::vector<std::string> before;
  for (int i = 0; i < 7; ++i) before.push_back(ask(prompt("Question number " + std::to_string(i) + "?")));
  restart();
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(ask(prompt("Question number " + std::to_string(i) + "?")), before[static_cast<size_t>(i)]);
}

TEST_F(StorageTest, AFolderOnDisk) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("egptc-cache-" + base::random_hex(8));
  Options options = stored_options();
  options.storage.path = folder.string();
  const auto open = [&] { return open_cache(options, embedder_, clock_, false); };
  cache_ = open().value();
  put(prompt("How do I reset my password?"), "Click forgot.");
  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(cache_->checkpoint((folder / "copy").string()));
  cache_.reset();
  cache_ = open().value();
  EXPECT_EQ(ask(prompt("How can I reset my password?")), "Click forgot.");
  EXPECT_GT(cache_->storage_stats().disk_bytes, 0U);
  cache_.reset();
  options.key_bytes = std::string(32, 'z');
  EXPECT_EQ(open().error().code, ErrorCode::kInvalidArgument) << "entries of another key are not ours";
  options.key_bytes.clear();
  EXPECT_EQ(open().error().code, ErrorCode::kInvalidArgument);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace enhanced_gptcache::cache

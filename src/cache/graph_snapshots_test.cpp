// Graphs over a restart: the same answers from a snapshot, from a damaged one, and from none.

#include "cache/graph_snapshots.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "base/epoch.h"
#include "cache/cache_fixture.h"
#include "fakes/fake_entry_table.h"
#include "fakes/test_folder.h"

namespace enhanced_gptcache::cache {
namespace {

namespace fs = std::filesystem;

constexpr size_t kGraphFrom = 64;
constexpr size_t kEntries = 300;

std::string read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_whole(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class GraphSnapshotsTest : public CacheTest {
 protected:
  GraphSnapshotsTest() { restart(); }

  Options stored_options(char key = 'k') const {
    Options options = options_of_tests();
    options.key_bytes = std::string(32, key);
    options.state_folder = folder_.path.string();
    options.graph_from = kGraphFrom;
    return options;
  }
  void restart() { restart(stored_options()); }
  void restart(const Options& options) {
    cache_.reset();
    open(options);
  }
  void open(const Options& options) {
    cache_ =
        open_cache(options, embedder_, clock_, false, std::make_unique<fakes::FakeEntryTable>(disk_)).value();
  }
  static std::string question(size_t i) {
    return "How do I mend part" + std::to_string(i) + " of engine" + std::to_string(i / 7) + "?";
  }
  static std::string other_words(size_t i) {
    return "How can I mend part" + std::to_string(i) + " of engine" + std::to_string(i / 7) + "?";
  }
  void fill(size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) put(prompt(question(i)), "answer " + std::to_string(i));
  }
  /// How many of [from, to) are answered by meaning.
  size_t answered(size_t from, size_t to) {
    size_t right = 0;
    for (size_t i = from; i < to; ++i) {
      LookupOptions by_meaning;
      const Lookup found = look(prompt(other_words(i)), by_meaning);
      right += found.entry != nullptr && found.layer == Layer::kSemantic &&
               found.entry->text() == "answer " + std::to_string(i);
    }
    return right;
  }
  fs::path index_folder() const { return folder_.path / "index"; }
  fs::path snapshot() const {
    for (const auto& each : fs::directory_iterator(index_folder()))
      if (each.path().extension() == ".graph") return each.path();
    return {};
  }
  size_t files_aside() const {
    size_t count = 0;
    for (const auto& each : fs::directory_iterator(index_folder()))
      count += each.path().extension() == ".aside";
    return count;
  }

  fakes::TestFolder folder_;
  std::shared_ptr<fakes::FakeDisk> disk_ = std::make_shared<fakes::FakeDisk>();
};

TEST_F(GraphSnapshotsTest, ARestartTakesTheGraphFromItsSnapshot) {
  fill(0, kEntries);
  EXPECT_EQ(answered(0, kEntries), kEntries);
  restart();
  const StorageStats stats = cache_->storage_stats();
  EXPECT_EQ(stats.graphs_restored, 1U);
  EXPECT_EQ(stats.graph_rows_restored + stats.graph_rows_waiting, kEntries);
  EXPECT_EQ(stats.graphs_put_aside, 0U);
  EXPECT_EQ(answered(0, kEntries), kEntries);
  cache_->maintain();
  EXPECT_EQ(cache_->storage_stats().graph_rows_waiting, 0U);
  EXPECT_EQ(answered(0, kEntries), kEntries);
  EXPECT_EQ(fs::status(snapshot()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

/// The vectors on disk by id, all but their scales, which may differ in the last bit.
std::map<base::Hash128, std::string> vectors_on(const fakes::FakeDisk& disk) {
  const std::lock_guard lock(disk.mutex);
  std::map<base::Hash128, std::string> vectors;
  for (const auto& [key, row] : disk.rows) {
    const auto view = store::EntryView::parse(row.bytes);
    EXPECT_TRUE(view);
    vectors[row.id] = view->text(store::EntryText::kEmbedding).substr(9);
  }
  return vectors;
}

TEST_F(GraphSnapshotsTest, VectorsComeBackFromTheIndexAsTheyWere) {
  fill(0, kEntries);
  ASSERT_TRUE(cache_->commit());
  const auto before = vectors_on(*disk_);
  ASSERT_EQ(before.size(), kEntries);
  // Again and again, from a graph that grew, from one that was restored, and from none.
  for (int round = 0; round < 3; ++round) {
    disk_->is_damaged = true;
    StoreRequest request;
    request.prompt = prompt("How do I mend a wheel?");
    request.text = "so";
    EXPECT_FALSE(cache_->store(request));
    const auto is_rebuilt = [this] {
      const StorageStats stats = cache_->storage_stats();
      return stats.rebuilds >= 1 && !stats.is_failing;
    };
    for (int i = 0; i < 10000 && !is_rebuilt(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // It is in memory all the same.
    Filter wheel;
    wheel.query_contains = "wheel";
    EXPECT_EQ(cache_->invalidate(wheel, false), 1U);
    ASSERT_TRUE(cache_->commit());
    EXPECT_GE(cache_->storage_stats().rebuilds, 1U);
    EXPECT_TRUE(vectors_on(*disk_) == before);
    Options options = stored_options();
    if (round == 1) options.graph_from = 4096;
    restart(options);
    EXPECT_EQ(cache_->stats().semantic_entries, kEntries);
    EXPECT_EQ(answered(0, kEntries), kEntries);
  }
}

TEST_F(GraphSnapshotsTest, WhatCameAndWentSinceIsMadeGoodById) {
  fill(0, kEntries);
  restart();  // the snapshot of now
  const std::string old = read_whole(snapshot());
  Filter all;
  const std::vector<EntryPtr> entries = cache_->list(all, kEntries, "");
  for (size_t i = 0; i < entries.size(); i += 10) EXPECT_TRUE(cache_->remove("local", entries[i]->id()));
  fill(kEntries, kEntries + 40);
  const fs::path path = snapshot();
  cache_.reset();
  write_whole(path, old);
  open(stored_options());
  const StorageStats stats = cache_->storage_stats();
  EXPECT_EQ(stats.graphs_restored, 1U);
  EXPECT_EQ(stats.graph_rows_waiting, 40U + (kEntries - stats.graph_rows_restored - kEntries / 10));
  EXPECT_EQ(answered(kEntries, kEntries + 40), 40U) << "found while they wait";
  EXPECT_EQ(answered(0, kEntries), kEntries - kEntries / 10) << "what was removed is in no answer";
  cache_->maintain();
  EXPECT_EQ(cache_->storage_stats().graph_rows_waiting, 0U);
  EXPECT_EQ(answered(0, kEntries + 40), kEntries - kEntries / 10 + 40);
}

TEST_F(GraphSnapshotsTest, ADamagedSnapshotIsPutAsideAndCostsNoAnswer) {
  fill(0, kEntries);
  restart();
  const fs::path path = snapshot();
  cache_.reset();
  const std::string good = read_whole(path);
  std::vector<std::string> damaged = {"", good + "x", std::string(good.size(), '\0')};
  for (size_t at = 1; at < good.size(); at += 1 + at / 8) {
    damaged.push_back(good.substr(0, at));
    std::string flipped = good;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    damaged.push_back(std::move(flipped));
  }
  for (const std::string& bytes : damaged) {
    write_whole(path, bytes);
    open(stored_options());
    const StorageStats stats = cache_->storage_stats();
    ASSERT_EQ(stats.graphs_put_aside, 1U) << bytes.size();
    ASSERT_EQ(stats.graphs_restored, 0U);
    ASSERT_FALSE(stats.graph_problem.empty());
    ASSERT_EQ(stats.graph_rows_waiting, kEntries);
    ASSERT_EQ(files_aside(), 1U);
    ASSERT_FALSE(fs::exists(path));
    ASSERT_EQ(answered(10, 20), 10U);
    cache_.reset();
  }
  open(stored_options());
  cache_->maintain();
  EXPECT_EQ(cache_->storage_stats().graphs_saved, 1U) << "as soon as it is built";
  EXPECT_EQ(answered(0, kEntries), kEntries);
}

TEST_F(GraphSnapshotsTest, OfAnotherModelOrInstanceItIsPutAside) {
  fill(0, kEntries);
  restart();
  const std::string good = read_whole(snapshot());
  const auto same_model = embedder_;
  embedder_ = std::make_shared<fakes::FakeEmbedder>(64, 64, "fake-2");
  cache_.reset();
  // Entries of a new model, and the old model's snapshot in the place of theirs.
  disk_ = std::make_shared<fakes::FakeDisk>();
  open(stored_options());
  fill(0, kEntries);
  cache_.reset();
  write_whole(snapshot(), good);
  open(stored_options());
  EXPECT_EQ(cache_->storage_stats().graphs_put_aside, 1U);
  EXPECT_NE(cache_->storage_stats().graph_problem.find("model"), std::string::npos);
  EXPECT_EQ(answered(0, 20), 20U);
  cache_.reset();
  disk_ = std::make_shared<fakes::FakeDisk>();
  embedder_ = same_model;
  open(stored_options('x'));
  fill(0, kEntries);
  cache_.reset();
  write_whole(snapshot(), good);
  open(stored_options('x'));
  EXPECT_EQ(cache_->storage_stats().graphs_put_aside, 1U);
  EXPECT_EQ(answered(0, 20), 20U);
}

TEST_F(GraphSnapshotsTest, OneOfOtherEntriesIsPutAside) {
  fill(0, kEntries);
  restart();
  const std::string old = read_whole(snapshot());
  const fs::path path = snapshot();
  EXPECT_EQ(cache_->flush("local", std::nullopt), kEntries);
  fill(0, kEntries);
  cache_.reset();
  write_whole(path, old);
  open(stored_options());
  EXPECT_EQ(cache_->storage_stats().graphs_put_aside, 1U);
  EXPECT_NE(cache_->storage_stats().graph_problem.find("still stored"), std::string::npos);
  EXPECT_EQ(answered(0, kEntries), kEntries);
}

TEST_F(GraphSnapshotsTest, NoTextAndNoVectorIsInIt) {
  fill(0, kEntries);
  restart();
  const std::string bytes = read_whole(snapshot());
  EXPECT_EQ(bytes.find("mend"), std::string::npos);
  EXPECT_EQ(bytes.find("answer"), std::string::npos);
  EXPECT_LE(bytes.size(), 1000 + kEntries * (17 + 4 * index::kLinksMax)) << "ids and links are all";
}

TEST_F(GraphSnapshotsTest, SavedNowAndThenAndGoneWithItsGraph) {
  fill(0, kEntries);
  cache_->maintain();
  EXPECT_EQ(cache_->storage_stats().graphs_saved, 1U);
  fill(kEntries, kEntries + 50);
  cache_->maintain();
  EXPECT_EQ(cache_->storage_stats().graphs_saved, 1U) << "not yet";
  clock_.advance_ms(601'000);
  cache_->maintain();
  EXPECT_EQ(cache_->storage_stats().graphs_saved, 2U);
  clock_.advance_ms(601'000);
  cache_->maintain();
  EXPECT_EQ(cache_->storage_stats().graphs_saved, 2U) << "nothing has changed";
  EXPECT_FALSE(snapshot().empty());
  cache_->flush("local", std::nullopt);
  clock_.advance_ms(601'000);
  cache_->maintain();
  EXPECT_TRUE(snapshot().empty());
}

TEST_F(GraphSnapshotsTest, AFolderThatCannotBeWrittenCostsNothingElse) {
  write_whole(folder_.path / "index", "a file where the folder should be");
  fill(0, kEntries);
  cache_->maintain();
  EXPECT_EQ(cache_->storage_stats().graph_save_errors, 1U);
  restart();
  EXPECT_EQ(answered(0, 20), 20U);
}

TEST_F(GraphSnapshotsTest, AnEmptyReaderAndAHugeBlockAreRefused) {
  const std::string path = folder_ / "one.graph";
  const base::SecretKey key = base::random_key();
  const GraphFileHead head{64, {1, 2}, {3, 4}};
  EXPECT_EQ(GraphFileReader::open(path, key).error().code, ErrorCode::kNotFound);
  {
    auto writer = GraphFileWriter::create(path, key, head).value();
    EXPECT_TRUE(fs::exists(path + ".new"));
  }
  EXPECT_FALSE(fs::exists(path + ".new")) << "given up";
  auto writer = GraphFileWriter::create(path, key, head).value();
  ASSERT_TRUE(writer.finish());
  auto reader = GraphFileReader::open(path, key).value();
  EXPECT_EQ(reader.head(), head);
  std::vector<GraphFileRow> rows(3);
  ASSERT_TRUE(reader.next(rows));
  EXPECT_TRUE(rows.empty());
  EXPECT_EQ(GraphFileReader::open(path, base::random_key()).error().code, ErrorCode::kCorrupt);
  std::string bytes = read_whole(path);
  bytes[8] = 9;
  write_whole(path, bytes);
  EXPECT_EQ(GraphFileReader::open(path, key).error().code, ErrorCode::kUnsupported);
  fs::remove(path);
  fs::create_directory(path);
  EXPECT_EQ(GraphFileReader::open(path, key).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace enhanced_gptcache::cache

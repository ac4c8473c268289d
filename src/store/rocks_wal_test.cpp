#include "store/rocks_wal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>

#include "store/rocks_table.h"
#include "store/stored_samples.h"
#include "store/wal_format.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

using Answers = std::map<base::Hash128, std::string>;

RocksTableOptions options_of(const fs::path& folder) {
  RocksTableOptions options;
  options.folder = folder / "entries";
  options.quarantine = folder / "quarantine";
  options.owner = "us";
  options.bytes_max = uint64_t{32} << 20U;
  return options;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// As a kill leaves it: entries 0 to 19 in files, then in the log 10 to 19 anew and 0 to 4 removed.
class RocksWalTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto write = [](EntryTable& table, const std::vector<EntryChange>& changes) {
      const auto done = table.write(changes, false);
      ASSERT_TRUE(done) << done.error().message;
    };
    const TestFolder live;
    {
      auto table = open_rocks_table(options_of(live.path)).value();
      for (uint64_t n = 0; n < 20; ++n) write(*table, {sample_put(n, 1)});
    }
    auto table = open_rocks_table(options_of(live.path)).value();
    for (uint64_t n = 10; n < 20; n += 2) write(*table, {sample_put(n, 2), sample_put(n + 1, 2, 20'000)});
    for (uint64_t n = 0; n < 5; ++n) write(*table, {sample_removal(n)});
    ASSERT_TRUE(table->sync());
    fs::copy(live.path, folder_.path, fs::copy_options::recursive);
    for (const auto& file : fs::directory_iterator(folder_.path / "entries"))
      // An older one may not have been deleted yet, and a newer one be empty.
      if (file.path().extension() == ".log" && read_file(file.path()).size() > bytes_.size()) {
        log_ = file.path().filename();
        bytes_ = read_file(file.path());
      }
    ASSERT_FALSE(bytes_.empty());
    for (uint64_t n = 5; n < 20; ++n)
      expected_[sample_key(n)] =
          sample_answer(n, n < 10 ? 1 : 2) + std::string(n >= 10 && n % 2 == 1 ? 20'000 : 0, 'x');
  }

  /// What a start finds with this log; `report`: and what it tells.
  Answers start_with(const std::string& log, LoadReport& report) {
    const TestFolder copy;
    fs::copy(folder_.path, copy.path, fs::copy_options::recursive);
    write_file(copy.path / "entries" / log_, log);
    auto table = open_rocks_table(options_of(copy.path)).value();
    Answers answers;
    std::mutex mutex;
    auto loaded = table->load(1, [&](EntryBytes bytes, const base::Hash128& key, const base::Hash128&) {
      const std::lock_guard lock(mutex);
      answers[key] = EntryView::trusted(bytes.view()).text(EntryText::kText);
    });
    EXPECT_TRUE(loaded);
    if (loaded) report = *loaded;
    was_replaced_ = table->stats().was_replaced;
    log_was_damaged_ = table->stats().log_was_damaged;
    return answers;
  }

  void expect_nothing_wrong(const Answers& answers) {
    for (const auto& [key, answer] : answers) {
      ASSERT_TRUE(expected_.contains(key)) << "a removed entry came back: " << answer.substr(0, 40);
      ASSERT_TRUE(answer == expected_.at(key)) << answer.substr(0, 40);
    }
  }

  const TestFolder folder_;
  std::string log_, bytes_;
  Answers expected_;
  bool was_replaced_ = false, log_was_damaged_ = false;
};

TEST_F(RocksWalTest, ReadsAndWritesTheFormatOfRocksDb) {
  const WalContent content = read_wal(bytes_);
  EXPECT_GT(bytes_.size(), 3U * 32768U) << "records of several fragments";
  EXPECT_GE(content.records.size(), 10U);
  EXPECT_TRUE(content.torn.empty());
  for (const WalRecord& record : content.records) EXPECT_FALSE(record.is_damaged);
  EXPECT_EQ(write_wal(content.records), bytes_);
  EXPECT_TRUE(read_wal({}).records.empty());
}

TEST_F(RocksWalTest, AnEndWithinARecordIsTorn) {
  const size_t records = read_wal(bytes_).records.size();
  for (const size_t less : {1U, 5U, 30U, 40U}) {
    const WalContent content = read_wal(std::string_view(bytes_).substr(0, bytes_.size() - less));
    EXPECT_FALSE(content.torn.empty()) << less;
    EXPECT_EQ(content.records.size(), records - 1) << less;
  }
}

TEST_F(RocksWalTest, AFlippedBitCostsTheEntryThatItHits) {
  size_t cost = 0;
  for (size_t round = 0; round < 70; ++round) {
    // Where there are few bytes beside texts: the records of the removals, at the end.
    const size_t at = round % 2 == 0 ? bytes_.size() - 1 - 6 * round : bytes_.size() * round / 71;
    std::string log = bytes_;
    log[at] = static_cast<char>(log[at] ^ (1U << (round % 8)));
    SCOPED_TRACE(at);
    LoadReport report;
    const Answers answers = start_with(log, report);
    expect_nothing_wrong(answers);
    ASSERT_FALSE(was_replaced_);
    ASSERT_FALSE(log_was_damaged_) << "its records were not put right one by one";
    ASSERT_GE(answers.size() + 1, expected_.size());
    for (const auto& [key, answer] : expected_)
      ASSERT_TRUE(answers.contains(key) ||
                  std::count(report.damaged_keys.begin(), report.damaged_keys.end(), key));
    cost += expected_.size() - answers.size();
  }
  EXPECT_GT(cost, 0U);
}

/// Nothing in the log tells any more whose removal it was.
TEST_F(RocksWalTest, ARemovalThatIsWipedOutBringsNothingBack) {
  for (const uint64_t n : {0U, 2U, 4U}) {
    std::string key(16, '\0');
    const base::Hash128 hash = sample_key(n);
    for (size_t i = 0; i < 8; ++i) {
      key[i] = static_cast<char>(hash.high >> (56 - 8 * i));
      key[8 + i] = static_cast<char>(hash.low >> (56 - 8 * i));
    }
    const size_t first = bytes_.find(key), last = bytes_.rfind(key);
    ASSERT_NE(first, std::string::npos);
    ASSERT_NE(first, last);
    std::string log = bytes_;
    std::fill(log.begin() + static_cast<ptrdiff_t>(first), log.begin() + static_cast<ptrdiff_t>(last) + 16,
              'z');
    LoadReport report;
    const Answers answers = start_with(log, report);
    SCOPED_TRACE(n);
    EXPECT_FALSE(answers.contains(hash));
  }
}

TEST_F(RocksWalTest, AFolderWithoutLogsHasNothingToMend) {
  const TestFolder empty;
  EXPECT_EQ(mend_logs(empty.path, 0).damaged_records, 0U);
  EXPECT_EQ(mend_logs(empty / "missing", 5).damaged_records, 0U);
}

}  // namespace
}  // namespace enhanced_gptcache::store

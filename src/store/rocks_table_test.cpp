#include "store/rocks_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <random>

#include "store/stored_samples.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

using Answers = std::map<base::Hash128, std::string>;

RocksTableOptions options_of(const TestFolder& folder) {
  RocksTableOptions options;
  options.folder = folder / "entries";
  options.quarantine = folder / "quarantine";
  options.owner = "us";
  options.bytes_max = uint64_t{32} << 20U;
  return options;
}

std::unique_ptr<EntryTable> open(const TestFolder& folder) {
  return open_rocks_table(options_of(folder)).value();
}

Answers load(EntryTable& table, LoadReport* report = nullptr, size_t threads = 2) {
  Answers answers;
  std::mutex mutex;
  auto loaded = table.load(threads, [&](EntryBytes bytes, const base::Hash128& key, const base::Hash128&) {
    const std::lock_guard lock(mutex);
    answers[key] = EntryView::trusted(bytes.view()).text(EntryText::kText);
  });
  EXPECT_TRUE(loaded);
  if (report != nullptr && loaded) *report = *loaded;
  return answers;
}

void write(EntryTable& table, const std::vector<EntryChange>& changes, bool is_synced = false) {
  const auto done = table.write(changes, is_synced);
  ASSERT_TRUE(done) << done.error().message;
}

TEST(RocksTable, KeepsTheNewestOfEachKey) {
  const TestFolder folder;
  {
    auto table = open(folder);
    write(*table, {sample_put(1, 1), sample_put(2, 1), sample_put(3, 1)});
    write(*table, {sample_put(2, 2), sample_removal(3), sample_put(4, 1), sample_removal(4)}, true);
    ASSERT_TRUE(table->sync());
    ASSERT_TRUE(table->settle());
  }
  auto again = open(folder);
  LoadReport report;
  const Answers answers = load(*again, &report);
  EXPECT_EQ(answers, (Answers{{sample_key(1), sample_answer(1, 1)}, {sample_key(2), sample_answer(2, 2)}}));
  EXPECT_EQ(report.entries, 2U);
  EXPECT_EQ(report.damaged + report.stray, 0U);
  EXPECT_FALSE(again->stats().was_replaced);
  EXPECT_GT(again->stats().disk_bytes, 0U);
}

TEST(RocksTable, OneProcessOwnsIt) {
  const TestFolder folder;
  const auto table = open(folder);
  const auto second = open_rocks_table(options_of(folder));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(fs::status(folder / "entries").permissions(), fs::perms::owner_all);
}

TEST(RocksTable, RefusesAnotherKeyAndANewerVersion) {
  const TestFolder folder;
  write(*open(folder), {sample_put(1, 1)});
  RocksTableOptions options = options_of(folder);
  options.owner = "somebody else";
  const auto foreign = open_rocks_table(options);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(foreign.error().message.find("instance key"), std::string::npos);

  options = options_of(folder);
  options.schema_version = 2;
  options.migrations = {[](std::string_view bytes) -> Result<std::string> { return std::string(bytes); }};
  ASSERT_TRUE(open_rocks_table(options));
  const auto older = open_rocks_table(options_of(folder));
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code, ErrorCode::kUnsupported);
}

TEST(RocksTable, MigratesEveryEntryOnceAndDropsWhatCannotBe) {
  const TestFolder folder;
  write(*open(folder), {sample_put(1, 1), sample_put(2, 1)});
  RocksTableOptions options = options_of(folder);
  options.schema_version = 3;
  int converted = 0;
  options.migrations.push_back([&](std::string_view bytes) -> Result<std::string> {
    ++converted;
    if (EntryView::trusted(bytes).exact_key() == sample_key(2)) return fail(ErrorCode::kCorrupt, "no");
    return std::string(bytes);
  });
  options.migrations.push_back([&](std::string_view bytes) -> Result<std::string> {
    ++converted;
    return std::string(bytes);
  });
  {
    auto table = open_rocks_table(options).value();
    EXPECT_EQ(load(*table), (Answers{{sample_key(1), sample_answer(1, 1)}}));
  }
  EXPECT_EQ(converted, 3);
  EXPECT_TRUE(open_rocks_table(options));
  EXPECT_EQ(converted, 3);
}

TEST(RocksTable, CheckpointIsACopyOfItsMoment) {
  const TestFolder folder;
  auto table = open(folder);
  write(*table, {sample_put(1, 1)});
  ASSERT_TRUE(table->checkpoint(folder / "copy"));
  write(*table, {sample_put(2, 1)});
  EXPECT_FALSE(table->checkpoint(folder / "copy")) << "an existing folder is not overwritten";
  RocksTableOptions options = options_of(folder);
  options.folder = folder / "copy";
  EXPECT_EQ(load(*open_rocks_table(options).value()).size(), 1U);
  EXPECT_EQ(load(*table).size(), 2U);
}

TEST(RocksTable, ReplacePutsTheOldFilesAsideAndStartsEmpty) {
  const TestFolder folder;
  auto table = open(folder);
  write(*table, {sample_put(1, 1)});
  ASSERT_TRUE(table->replace());
  EXPECT_TRUE(load(*table).empty());
  write(*table, {sample_put(2, 1)});
  EXPECT_FALSE(fs::is_empty(folder / "quarantine"));
  table->clear_quarantine();
  EXPECT_FALSE(fs::exists(folder / "quarantine"));
  table.reset();
  EXPECT_EQ(load(*open(folder)).size(), 1U);
}

TEST(RocksTable, AnEntryUnderAForeignKeyIsDamaged) {
  const TestFolder folder;
  auto table = open(folder);
  EntryChange change = sample_put(1, 1);
  change.key = sample_key(2);
  write(*table, {change, sample_put(3, 1)});
  LoadReport report;
  EXPECT_EQ(load(*table, &report).size(), 1U);
  EXPECT_EQ(report.damaged, 1U);
  EXPECT_EQ(load(*table, &report).size(), 1U);
  EXPECT_EQ(report.damaged, 0U) << "it was taken out";
}

// --- damage ------------------------------------------------------------------------------------

/// A table with entries that were replaced and removed, in settled files and in the log.
struct Damaged {
  static constexpr uint64_t kEntries = 300;

  explicit Damaged(const TestFolder& folder) { fill(folder); }
  void fill(const TestFolder& folder) {
    for (uint64_t n = 0; n < kEntries; ++n) expected[sample_key(n)] = sample_answer(n, 1);
    {
      auto table = open(folder);
      for (uint64_t n = 0; n < kEntries; ++n) write(*table, {sample_put(n, 1)});
    }  // the next opening moves the log into files
    {
      auto table = open(folder);
      for (uint64_t n = 0; n < 60; ++n) change(*table, n);
    }
    // As if killed: the newest changes are in the log alone.
    const TestFolder killed;
    {
      auto table = open(folder);
      for (uint64_t n = 60; n < 120; ++n) change(*table, n);
      ASSERT_TRUE(table->sync());
      fs::copy(folder.path, killed.path, fs::copy_options::recursive);
    }
    fs::remove_all(folder.path);
    fs::copy(killed.path, folder.path, fs::copy_options::recursive);
  }

  void change(EntryTable& table, uint64_t n) {
    if (n % 3 == 0) {
      write(table, {sample_removal(n)});
      expected.erase(sample_key(n));
    } else {
      write(table, {sample_put(n, 2)});
      expected[sample_key(n)] = sample_answer(n, 2);
    }
  }
  Answers expected;
};

std::vector<fs::path> data_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (!name.starts_with("LOG") && name != "LOCK" && fs::file_size(file.path()) > 0)
      files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void flip(const fs::path& file, uint64_t bit) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(bit / 8));
  const char byte = static_cast<char>(stream.get() ^ (1 << (bit % 8)));
  stream.seekp(static_cast<std::streamoff>(bit / 8));
  stream.put(byte);
}

int from_environment(const char* name, int otherwise) {
  const char* wanted = std::getenv(name);
  return wanted == nullptr ? otherwise : std::atoi(wanted);
}

/// Flips in CI; set EGPTC_BIT_FLIPS for more.
int flip_rounds() { return from_environment("EGPTC_BIT_FLIPS", 60); }

/// Of the sample entries a block of 4 KiB holds fewer, compressed or not; the table has 260 that count.
constexpr size_t kEntriesOfABlock = 16;

bool is_named(const LoadReport& report, const base::Hash128& key) {
  return std::find(report.damaged_keys.begin(), report.damaged_keys.end(), key) != report.damaged_keys.end();
}

TEST(RocksTable, FlippedBitsInItsFilesGiveNoWrongAnswerAndCostABlockAtMost) {
  const TestFolder folder;
  Answers expected = Damaged(folder).expected;
  std::mt19937_64 random(20261123 + from_environment("EGPTC_BIT_FLIPS_SEED", 0));
  size_t noticed = 0, lost = 0, most = 0;
  for (int round = 0; round < flip_rounds(); ++round) {
    const TestFolder copy;
    fs::copy(folder.path, copy.path, fs::copy_options::recursive);
    const std::vector<fs::path> files = data_files(copy.path / "entries");
    const fs::path file = files[random() % files.size()];
    const uint64_t bit = random() % (fs::file_size(file) * 8);
    flip(file, bit);
    SCOPED_TRACE(file.filename().string() + " bit " + std::to_string(bit));
    auto opened = open_rocks_table(options_of(copy));
    ASSERT_TRUE(opened) << opened.error().message;
    LoadReport report;
    const Answers answers = load(**opened, &report);
    for (const auto& [key, answer] : answers) {
      ASSERT_TRUE(expected.contains(key)) << "a removed entry came back: " << answer;
      ASSERT_EQ(answer, expected.at(key));
    }
    const TableStats stats = (*opened)->stats();
    const size_t missing = expected.size() - answers.size();
    ASSERT_FALSE(stats.was_replaced);
    ASSERT_LE(missing, kEntriesOfABlock);
    for (const auto& [key, answer] : expected)
      ASSERT_TRUE(answers.contains(key) || is_named(report, key)) << "not named: " << answer;
    noticed += missing > 0 ? 1 : 0;
    lost += missing;
    most = std::max(most, missing);
  }
  std::printf("%d flips: %zu cost entries, %zu in all and %zu at most, all named\n", flip_rounds(), noticed,
              lost, most);
}

/// Every byte from the properties' end to the footer, by its highest bit: one of them is a flag that RocksDB
/// believes before it looks at the checksum, and an assertion ended the process.
void flip_flags_at_the_ends(bool has_copies) {
  const TestFolder folder;
  write(*open(folder), {sample_put(1, 1)});
  (void)load(*open(folder));  // the next opening moves the log into files
  size_t aside = 0, tried = 0;
  for (const fs::path& file : data_files(folder.path / "entries")) {
    if (file.extension() != ".sst") continue;
    for (uint64_t from_end = 80; from_end <= 110; ++from_end, ++tried) {
      const TestFolder copy;
      fs::copy(folder.path, copy.path, fs::copy_options::recursive);
      flip(copy.path / "entries" / file.filename(), (fs::file_size(file) - from_end) * 8 + 7);
      if (!has_copies) fs::remove_all(copy.path / "entries.spare");
      SCOPED_TRACE(file.filename().string() + ", from its end " + std::to_string(from_end));
      auto opened = open_rocks_table(options_of(copy));
      ASSERT_TRUE(opened) << opened.error().message;
      const Answers answers = load(**opened);
      for (const auto& [key, answer] : answers) EXPECT_EQ(answer, sample_answer(1, 1));
      EXPECT_TRUE(!has_copies || answers.size() == 1);
      aside += (*opened)->stats().was_replaced ? 1 : 0;
    }
  }
  EXPECT_GT(tried, 0U);
  EXPECT_EQ(aside > 0, !has_copies) << "a table that cannot be read is put aside";
}

TEST(RocksTable, FlippedFlagsAtTheEndOfATableStopNobody) {
  flip_flags_at_the_ends(false);
  flip_flags_at_the_ends(true);
}

TEST(RocksTable, AFileThatAKilledProcessDidNotFinishCostsNothing) {
  const TestFolder folder;
  const Answers expected = Damaged(folder).expected;
  std::string whole;
  for (const fs::path& file : data_files(folder.path / "entries"))
    if (file.extension() == ".sst") {
      std::ifstream in(file, std::ios::binary);
      whole.assign(std::istreambuf_iterator<char>(in), {});
    }
  ASSERT_GT(whole.size(), 200U);
  // No manifest lists it, whatever it ends with.
  for (int round = 0; round < 60; ++round) {
    const size_t size = 60 + (whole.size() - 61) * static_cast<size_t>(round) / 60;
    std::string cut = whole.substr(0, size);
    if (round % 2 == 1) std::fill(cut.begin() + 8, cut.end(), static_cast<char>(0xf0 + round % 16));
    std::ofstream(folder.path / "entries" / "999999.sst", std::ios::binary) << cut;
    auto opened = open_rocks_table(options_of(folder));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_FALSE((*opened)->stats().was_replaced) << size;
    EXPECT_EQ(load(**opened), expected) << size;
  }
}

TEST(RocksTable, AFileCutShortGivesNoWrongAnswer) {
  const TestFolder folder;
  const Answers expected = Damaged(folder).expected;
  for (const fs::path& file : data_files(folder.path / "entries")) {
    for (const double share : {0.0, 0.3, 0.9}) {
      const TestFolder copy;
      fs::copy(folder.path, copy.path, fs::copy_options::recursive);
      const fs::path target = copy.path / "entries" / file.filename();
      fs::resize_file(target, static_cast<uintmax_t>(static_cast<double>(fs::file_size(target)) * share));
      SCOPED_TRACE(target.string());
      auto opened = open_rocks_table(options_of(copy));
      ASSERT_TRUE(opened) << opened.error().message;
      const bool is_log = file.extension() == ".log";
      for (const auto& [key, answer] : load(**opened)) {
        if (is_log) continue;  // a log that ends early is what a loss of power leaves: an older state
        ASSERT_TRUE(expected.contains(key)) << answer;
        ASSERT_EQ(answer, expected.at(key));
      }
    }
  }
}

}  // namespace
}  // namespace enhanced_gptcache::store

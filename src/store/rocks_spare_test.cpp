#include "store/rocks_spare.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "store/rocks_table.h"
#include "store/stored_samples.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::unique_ptr<EntryTable> open(const TestFolder& folder) {
  RocksTableOptions options;
  options.folder = folder / "entries";
  options.quarantine = folder / "quarantine";
  options.owner = "us";
  return open_rocks_table(options).value();
}

void fill(const TestFolder& folder) {
  const auto table = open(folder);
  for (uint64_t n = 0; n < 50; ++n) ASSERT_TRUE(table->write(std::vector{sample_put(n, 1)}, false));
}

std::set<std::string> files_like(const fs::path& folder, std::string_view part) {
  std::set<std::string> names;
  for (const auto& file : fs::directory_iterator(folder))
    if (file.path().filename().string().find(part) != std::string::npos) names.insert(file.path().filename());
  return names;
}

Mark mark_of(const TestFolder& folder) { return read_mark(folder / "entries.mark"); }

TEST(RocksSpare, EveryTableFileAndTheManifestHaveACopyAndNothingElseHas) {
  const TestFolder folder;
  fill(folder);
  EXPECT_EQ(files_like(folder / "entries.spare", ".sst"), files_like(folder / "entries", ".sst"));
  EXPECT_EQ(files_like(folder / "entries.spare", "MANIFEST"),
            std::set<std::string>{mark_of(folder).manifest});
  EXPECT_EQ(fs::status(folder / "entries.spare").permissions(), fs::perms::owner_all);
  fs::remove_all(folder / "entries.spare");
  open(folder).reset();
  EXPECT_EQ(files_like(folder / "entries.spare", ".sst"), files_like(folder / "entries", ".sst"));
}

TEST(RocksSpare, ErasingLeavesNoCopyOfFilesThatAreGone) {
  const TestFolder folder;
  fill(folder);
  const std::set<std::string> before = files_like(folder / "entries", ".sst");
  const auto table = open(folder);
  ASSERT_TRUE(table->write(std::vector{sample_removal(3)}, true));
  ASSERT_TRUE(table->purge({}));
  for (const std::string& name : files_like(folder / "entries.spare", ".sst"))
    EXPECT_TRUE(fs::exists(folder.path / "entries" / name)) << name;
  EXPECT_NE(files_like(folder / "entries", ".sst"), before);
}

TEST(RocksSpare, PutsBytesRightAndLeavesACopyOfAnotherTableAlone) {
  const TestFolder folder, other;
  fill(folder);
  fill(other);
  for (const std::string& name : files_like(folder / "entries", ".sst")) {
    const fs::path file = folder.path / "entries" / name;
    const std::string whole = read_file(file);
    std::string damaged = whole;
    damaged[damaged.size() - 60] = static_cast<char>(damaged[damaged.size() - 60] ^ 4);
    write_file(file, damaged);
    mend_from_spares(folder / "entries", mark_of(folder));
    EXPECT_TRUE(read_file(file) == whole) << name;

    const std::string foreign(whole.size(), 'q');
    write_file(file, foreign);
    mend_from_spares(folder / "entries", mark_of(folder));
    EXPECT_TRUE(read_file(file) == foreign) << name;
    EXPECT_FALSE(fs::exists(folder.path / "entries.spare" / name));
    write_file(file, whole);
  }
}

TEST(RocksSpare, ADamagedCopyIsNotBelieved) {
  const TestFolder folder;
  fill(folder);
  for (const std::string& name : files_like(folder / "entries", ".sst")) {
    const fs::path copy = folder.path / "entries.spare" / name;
    std::string bytes = read_file(copy);
    bytes[bytes.size() - 60] = static_cast<char>(bytes[bytes.size() - 60] ^ 4);
    write_file(copy, bytes);
    const std::string whole = read_file(folder.path / "entries" / name);
    mend_from_spares(folder / "entries", mark_of(folder));
    EXPECT_TRUE(read_file(folder.path / "entries" / name) == whole) << name;
    EXPECT_FALSE(fs::exists(copy));
  }
}

TEST(RocksSpare, CurrentNamesTheMarkedManifestAgain) {
  const TestFolder folder;
  fill(folder);
  const fs::path current = folder.path / "entries/CURRENT";
  const std::string right = read_file(current);
  for (const char* wrong : {"", "MANIFEST", "MANIFEST-000001\n", "MANIFEST-999999\n", "nANIFEST-000005\n"}) {
    write_file(current, wrong);
    mend_from_spares(folder / "entries", mark_of(folder));
    EXPECT_EQ(read_file(current), right) << wrong;
  }
  write_file(folder.path / "entries/MANIFEST-999998", "newer");
  write_file(current, "?");
  mend_from_spares(folder / "entries", mark_of(folder));
  EXPECT_EQ(read_file(current), "?") << "which one is meant is not certain";
}

}  // namespace
}  // namespace enhanced_gptcache::store

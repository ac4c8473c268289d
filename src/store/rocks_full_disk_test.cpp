// The table on a file system that is really full: what the fake of EntryLog's tests cannot show is how
// RocksDB itself behaves then.

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "store/rocks_table.h"
#include "store/stored_samples.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

/// A file system of its own in memory.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path) : path_(path) {
    fs::create_directories(path);
    is_mounted_ = mount("tmpfs", path.c_str(), "tmpfs", 0, "size=24m,mode=700") == 0;
  }
  ~SmallDisk() {
    if (is_mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool is_mounted() const { return is_mounted_; }

  /// Takes all but `bytes` of what is free.
  void leave(uint64_t bytes) const {
    std::ofstream ballast(path_ + "/ballast", std::ios::binary | std::ios::app);
    const std::string block(4096, 'b');
    while (fs::space(path_).available > bytes && ballast.write(block.data(), 4096).flush()) {
    }
  }
  void clear() const { fs::remove(path_ + "/ballast"); }

 private:
  const std::string path_;
  bool is_mounted_ = false;
};

void write(EntryTable& table, uint64_t n) {
  const EntryChange change = sample_put(n, 1, size_t{64} << 10U);
  const auto done = table.write({&change, 1}, true);
  ASSERT_TRUE(done) << done.error().message;
}

/// What is written is in the log; moving it into files is what the disk refuses, and after that the engine
/// refuses everything. (An append to the log that fails is avoided: Debian's RocksDB may abort on it.)
bool refuses_to_settle(EntryTable& table) {
  for (int i = 0; i < 200; ++i) {
    if (!table.settle()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

TEST(RocksFullDisk, NobodyRecoversButWhoIsAsked) {
  const TestFolder folder;
  const SmallDisk disk(folder / "disk");
  if (!disk.is_mounted()) GTEST_SKIP() << "mounting needs root; tests/wire/test_storage.py tells the same";
  RocksTableOptions options;
  options.folder = folder / "disk/entries";
  options.quarantine = folder / "disk/quarantine";
  options.owner = "us";
  options.bytes_max = uint64_t{16} << 20U;
  auto table = open_rocks_table(options).value();
  constexpr uint64_t kWritten = 16;
  for (uint64_t n = 0; n < kWritten; ++n) write(*table, n);
  disk.leave(0);
  ASSERT_TRUE(refuses_to_settle(*table));
  // RocksDB by itself looks every five seconds whether there is room again, and recovers on a thread of its
  // own: recover() at that time would wait for it for ever.
  disk.clear();
  std::this_thread::sleep_for(std::chrono::seconds(7));
  const EntryChange one = sample_put(1'000'000, 1);
  EXPECT_FALSE(table->write({&one, 1}, true)) << "somebody else has recovered it";
  const auto recovered = table->recover();
  ASSERT_TRUE(recovered) << recovered.error().message;
  EXPECT_TRUE(table->write({&one, 1}, true));
  table.reset();
  table = open_rocks_table(options).value();
  std::atomic<uint64_t> count = 0;
  ASSERT_TRUE(table->load(1, [&](EntryBytes, const base::Hash128&, const base::Hash128&) { ++count; }));
  EXPECT_EQ(count, kWritten + 1);
}

}  // namespace
}  // namespace enhanced_gptcache::store

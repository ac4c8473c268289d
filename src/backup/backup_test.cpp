#include "backup/backup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::backup {
namespace {

namespace fs = std::filesystem;

class BackupTest : public testing::Test {
 protected:
  BackupTest() : folder_(fs::temp_directory_path() / ("egptc-backup-" + base::random_hex(8))) {
    fs::create_directories(folder_ / "data/deep");
    write(folder_ / "config.yaml", "cache: {}\n");
    write(folder_ / "data/one", std::string(700'000, 'x'));
    write(folder_ / "data/deep/two", "2");
    write(folder_ / "data/empty", "");
    fs::create_symlink("/etc/passwd", folder_ / "data/link");
  }
  ~BackupTest() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  static void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  BackupPlan plan() const {
    BackupPlan plan;
    plan.folder = (folder_ / "out").string();
    plan.config_name = "config.yaml";
    plan.sources = {{(folder_ / "config.yaml").string(), "config.yaml"},
                    {(folder_ / "data").string(), "cache"}};
    return plan;
  }
  const fs::path folder_;
};

TEST_F(BackupTest, MakesVerifiesAndUnpacks) {
  const auto made = make_backup(plan());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->metadata.files.size(), 4U) << "links are left out";
  EXPECT_EQ(made->metadata.bytes, 700'011U);
  const auto verified = verify_backup(made->path, {});
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(verified->timestamp, made->metadata.timestamp);
  const std::string to = (folder_ / "unpacked").string();
  ASSERT_TRUE(unpack_backup(made->path, {}, to));
  EXPECT_EQ(read(to + "/config.yaml"), "cache: {}\n");
  EXPECT_EQ(read(to + "/cache/one"), std::string(700'000, 'x'));
  EXPECT_EQ(read(to + "/cache/deep/two"), "2");
  EXPECT_TRUE(fs::exists(to + "/cache/empty"));
  EXPECT_FALSE(unpack_backup(made->path, {}, to)) << "an existing folder is not written into";
}

TEST_F(BackupTest, EveryDamageIsCorrupt) {
  const Made made = make_backup(plan()).value();
  const std::string whole = read(made.path);
  const fs::path bad = folder_ / "bad.tar.gz";
  for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 60) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    write(bad, changed);
    // gzip's own time, and the padding after the last file, are read by nobody.
    if (const auto verified = verify_backup(bad.string(), {})) {
      const fs::path to = folder_ / ("unpacked" + std::to_string(at));
      ASSERT_TRUE(unpack_backup(bad.string(), {}, to.string()));
      EXPECT_EQ(metadata_yaml(*verified), metadata_yaml(made.metadata)) << "byte " << at;
      EXPECT_EQ(read(to / "cache/one"), std::string(700'000, 'x')) << "byte " << at;
      EXPECT_EQ(read(to / "config.yaml"), "cache: {}\n") << "byte " << at;
    }
    write(bad, whole.substr(0, at));
    EXPECT_FALSE(verify_backup(bad.string(), {})) << "cut at " << at;
    EXPECT_FALSE(unpack_backup(bad.string(), {}, (folder_ / "none").string()));
    EXPECT_FALSE(fs::exists(folder_ / "none")) << "nothing half unpacked stays";
  }
  EXPECT_EQ(verify_backup((folder_ / "absent").string(), {}).error().code, ErrorCode::kNotFound);
}

TEST_F(BackupTest, AnEncryptedOneIsReadWithItsKeyAndShowsNothing) {
  const auto keys = vault::parse_keys(std::string(64, 'a') + "\n" + std::string(64, 'b'), "test").value();
  const auto older = vault::parse_keys(std::string(64, 'c') + "," + std::string(64, 'a'), "test").value();
  const auto others = vault::parse_keys(std::string(64, 'd'), "test").value();
  BackupPlan sealed = plan();
  write(folder_ / "data/secret", "a sentence that must not be seen");
  sealed.keys = keys;
  const auto made = make_backup(sealed);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->path.ends_with(".tar.gz.enc"));
  EXPECT_EQ(fs::status(made->path).permissions() & fs::perms::all,
            fs::perms::owner_read | fs::perms::owner_write);
  const std::string bytes = read(made->path);
  for (const char* seen : {"must not be seen", "config.yaml", "backup_", "\x1f\x8b\x08"})
    EXPECT_EQ(bytes.find(seen), std::string::npos) << seen;
  EXPECT_TRUE(verify_backup(made->path, keys));
  const std::string to = (folder_ / "unpacked").string();
  ASSERT_TRUE(unpack_backup(made->path, older, to)) << "any of the given keys opens it";
  EXPECT_EQ(read(to + "/cache/secret"), "a sentence that must not be seen");
  EXPECT_EQ(read(to + "/cache/one"), std::string(700'000, 'x'));
  for (const BackupKeys& wrong : {BackupKeys(others), BackupKeys()}) {
    const auto refused = unpack_backup(made->path, wrong, (folder_ / "none").string());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("key"), std::string::npos) << refused.error().message;
    EXPECT_FALSE(fs::exists(folder_ / "none"));
  }
}

TEST_F(BackupTest, EveryDamageOfAnEncryptedOneIsCorrupt) {
  BackupPlan sealed = plan();
  sealed.keys = vault::parse_keys(std::string(64, 'a'), "test").value();
  // Does not compress, so that there are several pieces.
  std::string noise;
  while (noise.size() < 300'000) noise += base::random_hex(32);
  write(folder_ / "data/noise", noise);
  const Made made = make_backup(sealed).value();
  const std::string whole = read(made.path);
  ASSERT_GT(whole.size(), size_t{130'000});
  const fs::path bad = folder_ / "bad.tar.gz.enc";
  const auto is_refused = [&](const std::string& bytes) {
    write(bad, bytes);
    const auto refused = unpack_backup(bad.string(), sealed.keys, (folder_ / "none").string());
    return !refused && !fs::exists(folder_ / "none");
  };
  for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 50) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    EXPECT_TRUE(is_refused(changed)) << "byte " << at;
    EXPECT_TRUE(is_refused(whole.substr(0, at))) << "cut at " << at;
  }
  EXPECT_TRUE(is_refused(whole.substr(0, whole.size() - 1)));
  EXPECT_TRUE(is_refused(whole + "x")) << "something was added";
  constexpr size_t kHead = 48, kPiece = (size_t{64} << 10U) + 16;
  EXPECT_TRUE(is_refused(whole.substr(0, kHead) + whole.substr(kHead + kPiece, kPiece) +
                         whole.substr(kHead, kPiece) + whole.substr(kHead + 2 * kPiece)))
      << "reordered";
  EXPECT_TRUE(is_refused(whole.substr(0, kHead + kPiece))) << "cut between two pieces";
  EXPECT_TRUE(is_refused(whole.substr(0, kHead) + whole.substr(kHead + kPiece))) << "a piece left out";
  EXPECT_FALSE(is_refused(whole));
}

TEST_F(BackupTest, AMissingSourceLeavesNoBackup) {
  BackupPlan wrong = plan();
  wrong.sources.push_back({(folder_ / "absent").string(), "models"});
  const auto made = make_backup(wrong);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("absent"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder_ / "out"));
}

TEST_F(BackupTest, MetadataSurvivesOddNames) {
  Metadata metadata;
  metadata.timestamp = "20260131_235959";
  metadata.type = "production";
  metadata.version = "1: \"x\"\n";
  metadata.files = {{"cache/a: {b}\n#c", 3, std::string(64, 'a')}};
  const auto read = read_metadata(metadata_yaml(metadata));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->version, metadata.version);
  EXPECT_EQ(read->files[0].name, metadata.files[0].name);
  EXPECT_FALSE(read_metadata("files: 3"));
  EXPECT_FALSE(read_metadata("{"));
}

TEST_F(BackupTest, ReplacesAllOrNone) {
  write(folder_ / "new/a", "new a");
  write(folder_ / "new/b", "new b");
  write(folder_ / "old/a", "old a");
  const auto path = [&](const char* name) { return (folder_ / name).string(); };
  const auto failed = replace_all(
      {{path("new/a"), path("old/a"), path("kept/a")}, {path("new/absent"), path("old/b"), path("kept/b")}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(read(folder_ / "old/a"), "old a");
  EXPECT_EQ(read(folder_ / "new/a"), "new a");
  ASSERT_TRUE(replace_all(
      {{path("new/a"), path("old/a"), path("kept/a")}, {path("new/b"), path("old/b"), path("kept/b")}}));
  EXPECT_EQ(read(folder_ / "old/a"), "new a");
  EXPECT_EQ(read(folder_ / "old/b"), "new b");
  EXPECT_EQ(read(folder_ / "kept/a"), "old a");
}

TEST_F(BackupTest, RemovesOnlyItsOwnOldFiles) {
  const fs::path out = folder_ / "out";
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(24 * 40);
  for (const char* name : {"backup_20200101_000000.tar.gz", "backup_x.tar.gz", "other"}) {
    write(out / name, "x");
    fs::last_write_time(out / name, long_ago);
  }
  write(out / "backup_20200102_000000.tar.gz", "young");
  EXPECT_EQ(remove_old_backups(out.string(), 30), 1U);
  EXPECT_FALSE(fs::exists(out / "backup_20200101_000000.tar.gz"));
  EXPECT_EQ(std::distance(fs::directory_iterator(out), fs::directory_iterator()), 3);
}

}  // namespace
}  // namespace enhanced_gptcache::backup

#include "config/settings_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <thread>

#include "config/admin_file.h"
#include "config/test_folder.h"

namespace enhanced_gptcache::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class SettingsSourceTest : public ::testing::Test {
 protected:
  void open(const std::string& text) {
    request_.path = folder_.write("config.yaml", text);
    request_.flags = {"storage.path=" + (folder_ / "data")};
    open_request();
  }
  void open_request() {
    LoadOutcome outcome = load(request_);
    ASSERT_TRUE(outcome.loaded) << outcome.errors.at(0).text();
    source_ = std::make_unique<SettingsSource>(request_, outcome.loaded);
    source_->subscribe([this](const Change& change) {
      const std::lock_guard lock(mutex_);
      changes_.push_back(change);
      seen_.notify_all();
    });
  }
  /// Waits for the next change; false after a long time, which is a failure and no measurement.
  bool wait_for_changes(size_t count) {
    std::unique_lock lock(mutex_);
    return seen_.wait_for(lock, std::chrono::seconds(20), [&] { return changes_.size() >= count; });
  }
  int64_t ttl() const { return source_->current()->cache.ttl_seconds; }
  static std::string with_ttl(int ttl) {
    return "cache: {ttl_seconds: " + std::to_string(ttl) + "}\ncontext:\npca:\nfederated:\n";
  }

  TestFolder folder_;
  LoadRequest request_;
  std::mutex mutex_;
  std::condition_variable seen_;
  std::vector<Change> changes_;
  std::unique_ptr<SettingsSource> source_;  // last: it stops before what its listener uses goes
};

TEST_F(SettingsSourceTest, ReloadSwapsTheWholeSnapshot) {
  open(with_ttl(1));
  const auto before = source_->current();
  folder_.write("config.yaml", with_ttl(2));
  const auto change = source_->reload();
  ASSERT_TRUE(change);
  EXPECT_THAT(change->keys, ElementsAre("cache.ttl_seconds"));
  EXPECT_EQ(before->cache.ttl_seconds, 1) << "whoever holds the old one keeps it";
  EXPECT_EQ(ttl(), 2);
  ASSERT_EQ(changes_.size(), 1U);
  EXPECT_EQ(changes_[0].before->cache.ttl_seconds, 1);
  EXPECT_EQ(changes_[0].after->cache.ttl_seconds, 2);
  EXPECT_EQ(source_->status().applied, 1U);
  ASSERT_TRUE(source_->reload());
  EXPECT_EQ(source_->status().unchanged, 1U);
  EXPECT_EQ(changes_.size(), 1U);
}

TEST_F(SettingsSourceTest, AnInvalidFileChangesNothingAndIsRemembered) {
  open(with_ttl(1));
  folder_.write("config.yaml", "cache: {ttl_seconds: 2, size_mb: 0}\ncontext:\npca:\nfederated:\nx:\n");
  const auto change = source_->reload();
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(change.error().message, HasSubstr("config.yaml:1: cache.size_mb"));
  EXPECT_EQ(ttl(), 1);
  ReloadStatus status = source_->status();
  EXPECT_FALSE(status.valid);
  EXPECT_EQ(status.rejected, 1U);
  EXPECT_EQ(status.errors.size(), 2U);
  folder_.write("config.yaml", with_ttl(1));
  ASSERT_TRUE(source_->reload());
  status = source_->status();
  EXPECT_TRUE(status.valid);
  EXPECT_THAT(status.errors, IsEmpty());
}

TEST_F(SettingsSourceTest, RestartOnlyKeysKeepTheirRunningValue) {
  open(with_ttl(1));
  folder_.write("config.yaml", with_ttl(2) + "server: {port: 9999}\n");
  const auto change = source_->reload();
  ASSERT_TRUE(change);
  EXPECT_THAT(change->keys, ElementsAre("cache.ttl_seconds"));
  EXPECT_THAT(change->pending_restart, ElementsAre("server.port"));
  EXPECT_EQ(source_->current()->server.port, 8080);
  EXPECT_EQ(source_->loaded()->values[find_key("server.port")].origin, Origin::kBuiltIn);
  EXPECT_THAT(source_->status().pending_restart, ElementsAre("server.port"));
  folder_.write("config.yaml", with_ttl(2));
  ASSERT_TRUE(source_->reload());
  EXPECT_THAT(source_->status().pending_restart, IsEmpty());
}

TEST_F(SettingsSourceTest, AdminChangesAreKeptAppliedAndReset) {
  open(with_ttl(1));
  auto change = source_->apply_admin({{"cache.ttl_seconds", "7"}, {"upstream.no_proxy", "[\"a\"]"}});
  ASSERT_TRUE(change) << change.error().message;
  EXPECT_EQ(ttl(), 7);
  ASSERT_TRUE(source_->apply_admin({{"cache.candidates", "3"}}));
  open_request();  // the next start
  EXPECT_EQ(ttl(), 7);
  EXPECT_EQ(source_->current()->cache.candidates, 3);
  EXPECT_EQ(source_->loaded()->values[find_key("cache.ttl_seconds")].origin, Origin::kAdmin);
  change = source_->reset_admin();
  ASSERT_TRUE(change);
  EXPECT_EQ(ttl(), 1);
  EXPECT_FALSE(std::filesystem::exists(source_->loaded()->admin_path));
  ASSERT_TRUE(source_->reset_admin()) << "nothing to forget is fine";
}

TEST_F(SettingsSourceTest, AWrongAdminChangeLeavesNoTrace) {
  open(with_ttl(1));
  ASSERT_TRUE(source_->apply_admin({{"cache.ttl_seconds", "7"}}));
  const std::string kept = TestFolder::read(source_->loaded()->admin_path);
  const auto change =
      source_->apply_admin({{"cache.ttl_seconds", "8"}, {"cache.size_mb", "-1"}, {"cache.x", "1"}});
  ASSERT_FALSE(change);
  EXPECT_THAT(change.error().message, HasSubstr("cache.size_mb"));
  EXPECT_THAT(change.error().message, HasSubstr("cache.x: unknown key"));
  EXPECT_EQ(ttl(), 7);
  EXPECT_EQ(TestFolder::read(source_->loaded()->admin_path), kept);
  EXPECT_TRUE(source_->status().valid);
}

TEST_F(SettingsSourceTest, ACheckSaysWhatAChangeWouldDoAndDoesNothing) {
  open(with_ttl(1));
  const auto good = source_->check_admin({{"cache.ttl_seconds", "7"}, {"server.threads", "9"}});
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_THAT(good->keys, ElementsAre("cache.ttl_seconds"));
  EXPECT_THAT(good->pending_restart, ElementsAre("server.threads"));
  EXPECT_EQ(good->after->cache.ttl_seconds, 7);
  const auto bad = source_->check_admin({{"cache.ttl_seconds", "-1"}});
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("cache.ttl_seconds"));
  EXPECT_EQ(ttl(), 1);
  EXPECT_FALSE(std::filesystem::exists(source_->loaded()->admin_path));
  EXPECT_TRUE(source_->status().valid);
  EXPECT_EQ(source_->status().applied, 0U);
}

TEST_F(SettingsSourceTest, AnAdminChangeUnderAFlagSaysItHasNoEffect) {
  request_.path = folder_.write("config.yaml", with_ttl(1));
  request_.flags = {"storage.path=" + (folder_ / "data"), "cache.ttl_seconds=5"};
  open_request();
  const auto change = source_->apply_admin({{"cache.ttl_seconds", "7"}});
  ASSERT_TRUE(change);
  EXPECT_THAT(change->overridden, ElementsAre("cache.ttl_seconds"));
  EXPECT_EQ(ttl(), 5);
}

TEST_F(SettingsSourceTest, WhatIsWrongWithARequestReadsAsFieldValueRange) {
  open(with_ttl(1));
  const auto message = [&](const AdminValues& changes) {
    const auto done = source_->apply_admin(changes);
    EXPECT_EQ(done.error().code, ErrorCode::kInvalidArgument);
    const auto checked = source_->check_admin(changes);
    EXPECT_EQ(done.error().message, checked.error().message);
    return done.error().message;
  };
  EXPECT_EQ(message({{"cache.size_mb", "0"}}), "cache.size_mb: \"0\", must be 1 to 1048576 MiB");
  EXPECT_EQ(message({{"limits.concurrent_key", "3"}}),
            "limits.concurrent_key: \"3\", needs security.enabled: true");
  EXPECT_EQ(message({{"cache.mod", "x"}}), "cache.mod: unknown key; did you mean cache.mode?");
  EXPECT_THAT(message({{"cache.guards_off", "[a"}}), StartsWith("cache.guards_off: \"[a\", not readable"));
  EXPECT_THAT(message({{"upstream.api_key", "a b"}}), StartsWith("upstream.api_key: \"********\", must be"));
  const std::string two = message({{"cache.size_mb", "0"}, {"cache.candidates", "0"}});
  EXPECT_EQ(two, "cache.candidates: \"0\", must be 1 to 64\ncache.size_mb: \"0\", must be 1 to 1048576 MiB");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "data/admin_config.json"));
}

TEST_F(SettingsSourceTest, ARequestLearnsNothingAboutFiles) {
  open(with_ttl(1));
  const std::string present = folder_.write("present", "no key\nat all"), absent = folder_ / "absent";
  for (const char* name :
       {"upstream.api_key_file", "upstream.ca_file", "security.jwt_secret_file", "storage.backup_key_file",
        "embedder.model_dir", "pca.model_path", "storage.path"}) {
    const auto first = source_->apply_admin({{name, present}}),
               second = source_->check_admin({{name, absent}});
    ASSERT_FALSE(first) << name;
    EXPECT_EQ(first.error().message, std::string(name) +
                                         ": cannot be set through /admin/config: use the settings file, the "
                                         "environment or a flag");
    EXPECT_EQ(second.error().message, first.error().message);
  }
}

TEST_F(SettingsSourceTest, AGuardSeesWhatWouldBeInUseAndRefuses) {
  open(with_ttl(1));
  int64_t seen_ttl = 0, seen_threads = -1;
  const SettingsSource::Guard refuse = [&](const Settings& settings) -> Result<void> {
    seen_ttl = settings.cache.ttl_seconds;
    seen_threads = settings.server.threads;
    return fail(ErrorCode::kUnsupported, "not this one");
  };
  const AdminValues changes = {{"cache.ttl_seconds", "7"}, {"server.threads", "3"}};
  EXPECT_EQ(source_->apply_admin(changes, refuse).error().message, "not this one");
  EXPECT_EQ(seen_ttl, 7);
  EXPECT_EQ(seen_threads, 0) << "it waits for a restart";
  EXPECT_FALSE(source_->check_admin(changes, refuse));
  EXPECT_EQ(ttl(), 1);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "data/admin_config.json"));
  ASSERT_TRUE(source_->apply_admin(changes));
  EXPECT_FALSE(source_->reset_admin(refuse));
  EXPECT_EQ(ttl(), 7) << "a reset can shut a door, too";
  EXPECT_EQ(seen_ttl, 1);
}

TEST_F(SettingsSourceTest, UnwritableAndDamagedAdminFiles) {
  open(with_ttl(1));
  folder_.write("data", "a file where the folder should be");
  EXPECT_EQ(source_->apply_admin({{"cache.ttl_seconds", "7"}}).error().code, ErrorCode::kInvalidArgument);
  std::filesystem::remove(folder_ / "data");
  std::filesystem::create_directories(folder_ / "data/admin_config.json.new");
  EXPECT_EQ(source_->apply_admin({{"cache.ttl_seconds", "7"}}).error().code, ErrorCode::kIo);
  EXPECT_EQ(ttl(), 1);
  for (const char* damaged : {"[1]", "{\"cache.ttl_seconds\": [1]}", "{\"cache.ttl_seconds\": \"1\""}) {
    folder_.write("data/admin_config.json", damaged);
    EXPECT_FALSE(source_->reload()) << damaged;
    EXPECT_FALSE(source_->apply_admin({{"cache.ttl_seconds", "7"}})) << damaged;
  }
}

TEST_F(SettingsSourceTest, WatchSeesWritesRenamesAndLinkSwaps) {
  std::filesystem::create_directory(folder_ / "v1");
  std::filesystem::create_directory(folder_ / "v2");
  folder_.write("v1/config.yaml", with_ttl(1));
  folder_.write("v2/config.yaml", with_ttl(4));
  std::filesystem::create_symlink("v1", folder_ / "..data");
  std::filesystem::create_symlink("..data/config.yaml", folder_ / "config.yaml");
  request_.path = folder_ / "config.yaml";
  request_.flags = {"storage.path=" + (folder_ / "data")};
  open_request();
  ASSERT_TRUE(source_->watch(10));
  folder_.write("v1/config.yaml", with_ttl(2));  // in place
  ASSERT_TRUE(wait_for_changes(1));
  EXPECT_EQ(ttl(), 2);
  folder_.write("v1/new", with_ttl(3));  // as editors save
  std::filesystem::rename(folder_ / "v1/new", folder_ / "v1/config.yaml");
  ASSERT_TRUE(wait_for_changes(2));
  EXPECT_EQ(ttl(), 3);
  std::filesystem::create_symlink("v2", folder_ / "..data_new");  // as Kubernetes swaps
  std::filesystem::rename(folder_ / "..data_new", folder_ / "..data");
  ASSERT_TRUE(wait_for_changes(3));
  EXPECT_EQ(ttl(), 4);
  source_->stop_watching();
}

TEST_F(SettingsSourceTest, WatchSeesSecretFilesAdminFilesAndFilesThatAppear) {
  const std::string key = folder_.write("key", "sk-1");
  request_.search = {folder_ / "config.yaml"};
  request_.flags = {"storage.path=" + (folder_ / "data"), "upstream.api_key_file=" + key};
  open_request();
  ASSERT_TRUE(source_->watch(10));
  folder_.write("key", "sk-2");
  ASSERT_TRUE(wait_for_changes(1));
  EXPECT_EQ(source_->current()->upstream.api_key, "sk-2");
  folder_.write("config.yaml", with_ttl(9));
  ASSERT_TRUE(wait_for_changes(2));
  EXPECT_EQ(ttl(), 9);
  ASSERT_TRUE(write_admin_file(folder_ / "data/admin_config.json", {{"cache.ttl_seconds", "10"}}));
  ASSERT_TRUE(wait_for_changes(3));
  EXPECT_EQ(ttl(), 10);
}

TEST_F(SettingsSourceTest, ReadersRunBesideReloads) {
  open("cache: {ttl_seconds: 1, candidates: 1}\ncontext:\npca:\nfederated:\n");
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto settings = source_->current();
        // One snapshot is one consistent set: both keys are written together.
        EXPECT_EQ(settings->cache.ttl_seconds, settings->cache.candidates);
        EXPECT_TRUE(source_->status().valid);
      }
    });
  }
  for (int i = 1; i <= 30; ++i) {
    folder_.write("config.yaml", "cache: {ttl_seconds: " + std::to_string(i) + ", candidates: " +
                                     std::to_string(i) + "}\ncontext:\npca:\nfederated:\n");
    EXPECT_TRUE(source_->reload());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace enhanced_gptcache::config

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "fakes/process_limits.h"
#include "security/credentials.h"
#include "security/instance_key.h"

namespace enhanced_gptcache::security {
namespace {

namespace fs = std::filesystem;

class InstanceKey : public testing::Test {
 protected:
  InstanceKey() : folder_(fs::temp_directory_path() / ("egptc_key_" + base::random_hex(6))) {
    fs::create_directory(folder_);
  }
  ~InstanceKey() override { fs::remove_all(folder_); }
  std::string path() const { return instance_key_path(folder_.string()); }
  void write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path()) << text;
    ::chmod(path().c_str(), mode);
  }
  fs::path folder_;
};

TEST_F(InstanceKey, IsCreatedOnceForItsOwnerOnly) {
  const auto first = load_or_create_instance_key(path());
  ASSERT_TRUE(first) << first.error().message;
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  const auto second = load_or_create_instance_key(path());
  ASSERT_TRUE(second);
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(InstanceKey, ProcessesThatStartTogetherAgree) {
  std::vector<std::thread> threads;
  std::vector<std::string> keys(8);
  for (std::string& key : keys)
    threads.emplace_back([this, &key] {
      const auto loaded = load_or_create_instance_key(path());
      if (loaded) key.assign(loaded->begin(), loaded->end());
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(keys[0].size(), 32U);
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 1U);
}

TEST_F(InstanceKey, BadFilesAreNamed) {
  struct Case {
    std::string text;
    mode_t mode;
    ErrorCode code;
    std::string message;
  };
  const std::string good(64, 'a');
  const Case cases[] = {
      {good, 0644, ErrorCode::kInvalidArgument, "mode 0644"},
      {good, 0620, ErrorCode::kInvalidArgument, "mode 0620"},
      {"", 0600, ErrorCode::kCorrupt, "64 hexadecimal"},
      {good.substr(1), 0600, ErrorCode::kCorrupt, "64 hexadecimal"},
      {good + "a", 0600, ErrorCode::kCorrupt, "64 hexadecimal"},
      {good + "\n\n", 0600, ErrorCode::kCorrupt, "64 hexadecimal"},
      {std::string(63, 'a') + "g", 0600, ErrorCode::kCorrupt, "64 hexadecimal"},
      {std::string(100'000, 'a'), 0600, ErrorCode::kCorrupt, "64 hexadecimal"},
  };
  for (const Case& c : cases) {
    write(c.text, c.mode);
    const auto loaded = load_or_create_instance_key(path());
    ASSERT_FALSE(loaded) << c.message;
    EXPECT_EQ(loaded.error().code, c.code);
    EXPECT_NE(loaded.error().message.find(c.message), std::string::npos) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find(path()), std::string::npos);
    fs::remove(path());
  }
  write(good + "\n", 0400);
  EXPECT_TRUE(load_or_create_instance_key(path()));
}

TEST_F(InstanceKey, FolderInItsPlaceOrNowhere) {
  fs::create_directory(path());
  ::chmod(path().c_str(), 0700);
  const auto folder = load_or_create_instance_key(path());
  ASSERT_FALSE(folder);
  EXPECT_NE(folder.error().message.find("regular file"), std::string::npos);
  const auto nowhere = load_or_create_instance_key((folder_ / "absent" / "instance.key").string());
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::kIo);
  const auto under_file = load_or_create_instance_key("/dev/null/instance.key");
  ASSERT_FALSE(under_file);
  EXPECT_EQ(under_file.error().code, ErrorCode::kIo);
}

TEST_F(InstanceKey, AFullDiskLeavesNothingBehind) {
  {
    const fakes::FileSizeLimit limit(0);
    const auto loaded = load_or_create_instance_key(path());
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, ErrorCode::kIo);
    EXPECT_NE(loaded.error().message.find("cannot write the instance key " + path()), std::string::npos);
  }
  EXPECT_TRUE(fs::is_empty(folder_)) << "half a key would lock everything later";
  EXPECT_TRUE(load_or_create_instance_key(path()));
}

TEST(Carriers, OnlyOursAreTakenOut) {
  const std::string own = "egptc_" + std::string(12, 'a') + "_" + std::string(64, 'b');
  EXPECT_TRUE(is_own_carrier("x-api-key", own, false));
  EXPECT_TRUE(is_own_carrier("Authorization", "Bearer " + own, false));
  EXPECT_TRUE(is_own_carrier("Authorization", "Bearer a.b.c", true)) << "a token that was ours to check";
  EXPECT_FALSE(is_own_carrier("Authorization", "Bearer sk-of-the-provider", false));
  EXPECT_FALSE(is_own_carrier("x-api-key", "sk-of-the-provider", true));
  EXPECT_FALSE(is_own_carrier("accept", own, true)) << "no header that carries secrets";
}

struct FakeRequest {
  struct Header {
    std::string_view name, value;
  };
  std::vector<Header> headers;
  std::string_view query;
};

const base::SecretKey kKey{1, 2, 3};

std::string tenant(std::vector<FakeRequest::Header> headers, std::string_view query = {}) {
  return carriers_of(FakeRequest{std::move(headers), query}).tenant(kKey);
}

TEST(Carriers, EveryCarrierMakesItsOwnTenant) {
  std::set<std::string> tenants;
  const std::string_view names[] = {"Authorization",       "x-api-key",      "api-key",      "X-Goog-Api-Key",
                                    "OpenAI-Organization", "OpenAI-Project", "Helicone-Auth"};
  size_t expected = 1;
  tenants.insert(tenant({}));
  for (const std::string_view name : names)
    for (const std::string_view value : {"one", "two"}) {
      tenants.insert(tenant({{name, value}}));
      tenants.insert(tenant({{"Authorization", "Bearer sk"}, {name, value}}));
      expected += 2;
    }
  for (const std::string_view query : {"key=one", "key=two", "api-version=1&key=three"}) {
    tenants.insert(tenant({}, query));
    ++expected;
  }
  EXPECT_EQ(tenants.size(), expected);
}

TEST(Carriers, TheSameCallerInAnotherSpelling) {
  EXPECT_EQ(
      tenant({{"Authorization", "Bearer a"}, {"OpenAI-Project", "p"}}),
      tenant(
          {{"openai-project", "p"}, {"AUTHORIZATION", "Bearer a"}, {"Accept", "x"}, {"X-Request-Id", "7"}}));
  EXPECT_EQ(tenant({{"Authorization", ""}, {"X-Stainless-Lang", "js"}, {"X-Forwarded-For", "1.2.3.4"}},
                   "api-version=2&key="),
            "anonymous");
  EXPECT_EQ(tenant({{"x-api-key", "k"}}).size(), 32U);
  const base::SecretKey other{9};
  Carriers carriers;
  carriers.add_header("x-api-key", "k");
  EXPECT_NE(carriers.tenant(other), carriers.tenant(kKey));
}

TEST(Carriers, AHeaderNobodyKnowsIsATenantOfItsOwn) {
  std::set<std::string> tenants{tenant({}),
                                tenant({{"X-Auth-Token", "a"}}),
                                tenant({{"X-Auth-Token", "b"}}),
                                tenant({{"X-User-Id", "a"}}),
                                tenant({{"PRIVATE-TOKEN", "a"}}),
                                tenant({{"Authorization", "a"}, {"X-Auth-Token", "a"}})};
  EXPECT_EQ(tenants.size(), 6U);
  EXPECT_EQ(tenant({{"x-auth-token", "a"}}), tenant({{"X-AUTH-TOKEN", "a"}}));
}

TEST(Carriers, ValuesCannotBeShiftedBetweenCarriers) {
  EXPECT_NE(tenant({{"api-key", "ab"}, {"x-api-key", "c"}}), tenant({{"api-key", "a"}, {"x-api-key", "bc"}}));
  EXPECT_NE(tenant({{"api-key", "a"}, {"api-key", "b"}}), tenant({{"api-key", "a"}}));
}

TEST(Carriers, OwnKeysAreSeenWherverTheyAre) {
  struct Case {
    FakeRequest request;
    bool own;
    bool secret;
  };
  const Case cases[] = {
      {{{{"Authorization", "Bearer egptc_abc"}}, {}}, true, true},
      {{{{"authorization", "egptc_abc"}}, {}}, true, true},
      {{{{"X-EGPTC-Key", "anything"}}, {}}, true, true},
      {{{{"x-api-key", "egptc_1"}}, {}}, true, true},
      {{{}, "a=b&key=egptc_1"}, true, true},
      {{{{"Authorization", "Bearer skegptc_abc"}}, {}}, false, true},
      {{{{"Authorization", "Bearer sk-1"}}, {}}, false, true},
      {{{{"OpenAI-Organization", "o"}}, {}}, false, false},
      {{{{"X-Auth-Token", "t"}}, {}}, false, false},
      {{{{"X-Auth-Token", "Token egptc_1"}}, {}}, true, false},
      {{{{"Accept", "egptc_1"}}, {}}, true, false},
      {{{}, "key=%65gptc_1"}, true, true},
      {{{}, "%6bey=sk-1"}, false, true},
      {{{}, "q=egptc_1"}, true, false},
      {{{{"X-Cache-Namespace", "egptc_team"}}, {}}, false, false},
  };
  for (const Case& c : cases) {
    const Carriers carriers = carriers_of(c.request);
    EXPECT_EQ(carriers.has_own_key(), c.own);
    EXPECT_EQ(carriers.has_secret(), c.secret);
  }
}

TEST(Carriers, QueryWithoutCredentials) {
  EXPECT_EQ(strip_credentials("key=1"), "");
  EXPECT_EQ(strip_credentials("a=1&KEY=2&b&c=3&api-key=4"), "a=1&b&c=3");
  EXPECT_EQ(strip_credentials(""), "");
}

}  // namespace
}  // namespace enhanced_gptcache::security

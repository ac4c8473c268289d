#include "security/key_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "security/api_key.h"
#include "security/key_file.h"

namespace enhanced_gptcache::security {
namespace {

class FakeClock final : public base::Clock {
 public:
  int64_t wall_ms() const override { return now_ms; }
  int64_t mono_us() const override { return now_ms * 1000; }
  int64_t now_ms = 1'700'000'000'000;
};

class KeyStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "keysXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    reopen();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void reopen() {
    store_.reset();
    auto opened = KeyStore::open(folder_, key_, clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  NewKey make(const KeyWish& wish = {}) {
    auto made = store_->create(wish);
    EXPECT_TRUE(made);
    return std::move(*made);
  }
  std::string file() const {
    std::ifstream in(folder_ + "/api_keys.json");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& text) { std::ofstream(folder_ + "/api_keys.json") << text; }

  std::string folder_;
  base::SecretKey key_ = base::random_key();
  FakeClock clock_;
  std::unique_ptr<KeyStore> store_;
};

TEST_F(KeyStoreTest, KnowsWhetherThereAreOtherTenants) {
  const std::string acme = tenant_of_name("acme"), other = tenant_of_name("other");
  EXPECT_FALSE(store_->has_other_tenant(acme));
  const auto make_for = [this](Role role, const char* tenant) {
    KeyWish wish;
    wish.role = role;
    wish.tenant = tenant;
    return make(wish);
  };
  make_for(Role::kAdmin, "head");
  make_for(Role::kViewer, "head");
  make_for(Role::kClient, "acme");
  make_for(Role::kOperator, "acme");
  EXPECT_FALSE(store_->has_other_tenant(acme));
  EXPECT_TRUE(store_->has_other_tenant(other));
  const NewKey gone = make_for(Role::kClient, "other");
  EXPECT_TRUE(store_->has_other_tenant(acme));
  ASSERT_TRUE(store_->revoke(gone.record.prefix));
  EXPECT_TRUE(store_->has_other_tenant(acme)) << "what it left at the provider is still there";
  reopen();
  EXPECT_TRUE(store_->has_other_tenant(acme));
}

TEST_F(KeyStoreTest, AKeyIsKnownAndItsSecretIsNowhere) {
  KeyWish wish;
  wish.role = Role::kOperator;
  wish.tenant = "acme";
  const NewKey made = make(wish);
  const IdentityPtr who = store_->authenticate(made.key);
  ASSERT_NE(who, nullptr);
  EXPECT_EQ(who->role, Role::kOperator);
  EXPECT_EQ(who->tenant, "tenant:acme");
  EXPECT_EQ(who->id, "key:" + made.record.prefix);
  EXPECT_EQ(file().find(parse_api_key(made.key)->secret), std::string::npos);
  struct stat status {};
  ASSERT_EQ(::stat((folder_ + "/api_keys.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  reopen();
  EXPECT_NE(store_->authenticate(made.key), nullptr);
}

TEST_F(KeyStoreTest, WithoutATenantItIsAlone) {
  EXPECT_NE(store_->authenticate(make().key)->tenant, store_->authenticate(make().key)->tenant);
}

TEST_F(KeyStoreTest, EveryOtherTextIsNobody) {
  const std::string key = make().key;
  for (size_t i = 0; i < key.size(); ++i) {
    std::string other = key;
    other[i] = other[i] == '0' ? '1' : '0';
    EXPECT_EQ(store_->authenticate(other), nullptr) << i;
    EXPECT_EQ(store_->authenticate(key.substr(0, i)), nullptr) << i;
  }
  for (const std::string& other : {key + "0", " " + key, key + "\n", std::string(), make_api_key()})
    EXPECT_EQ(store_->authenticate(other), nullptr);
}

TEST_F(KeyStoreTest, RevocationAndExpiryHoldAtOnce) {
  KeyWish wish;
  wish.expires_ms = clock_.now_ms + 1000;
  const NewKey expiring = make(wish);
  const NewKey revoked = make();
  EXPECT_NE(store_->authenticate(expiring.key), nullptr);
  ASSERT_TRUE(store_->revoke(revoked.record.prefix));
  EXPECT_EQ(store_->authenticate(revoked.key), nullptr);
  EXPECT_EQ(store_->revoke(revoked.record.prefix).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->revoke("000000000000").error().code, ErrorCode::kNotFound);
  clock_.now_ms += 1000;
  EXPECT_EQ(store_->authenticate(expiring.key), nullptr);
  reopen();
  EXPECT_EQ(store_->authenticate(revoked.key), nullptr);
}

TEST_F(KeyStoreTest, RevocationHoldsEvenWhenItCannotBeWritten) {
  const NewKey made = make();
  // The name of the temporary file is taken by a folder.
  std::filesystem::create_directory(folder_ + "/api_keys.json.new");
  EXPECT_FALSE(store_->create({}));
  const auto done = store_->revoke(made.record.prefix);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kIo);
  EXPECT_EQ(store_->authenticate(made.key), nullptr);
}

TEST_F(KeyStoreTest, RotationKeepsTheOldSecretForItsGrace) {
  const NewKey first = make();
  auto second = store_->rotate(first.record.prefix, 5000);
  ASSERT_TRUE(second);
  EXPECT_EQ(store_->authenticate(first.key), store_->authenticate(second->key));
  clock_.now_ms += 5000;
  EXPECT_EQ(store_->authenticate(first.key), nullptr);
  EXPECT_NE(store_->authenticate(second->key), nullptr);
  auto third = store_->rotate(first.record.prefix, 0);
  ASSERT_TRUE(third);
  EXPECT_EQ(store_->authenticate(second->key), nullptr);
  EXPECT_FALSE(store_->rotate(first.record.prefix, -1));
  EXPECT_FALSE(store_->rotate("000000000000", 0));
}

TEST_F(KeyStoreTest, WishesAreChecked) {
  const auto refused = [this](auto change) {
    KeyWish wish;
    change(wish);
    const auto made = store_->create(wish);
    return made ? std::string("made") : made.error().message;
  };
  EXPECT_THAT(refused([](KeyWish& w) { w.tenant = "a b"; }), testing::HasSubstr("tenant"));
  EXPECT_THAT(refused([](KeyWish& w) { w.scopes = {"everything"}; }), testing::HasSubstr("cache:read"));
  EXPECT_THAT(refused([](KeyWish& w) { w.controls = {"no-such"}; }), testing::HasSubstr("only-if-cached"));
  EXPECT_THAT(refused([](KeyWish& w) { w.namespaces = {""}; }), testing::HasSubstr("namespaces"));
  EXPECT_THAT(refused([](KeyWish& w) { w.name = std::string(200, 'n'); }), testing::HasSubstr("name"));
  EXPECT_THAT(refused([this](KeyWish& w) { w.expires_ms = clock_.now_ms; }), testing::HasSubstr("expires"));
}

TEST_F(KeyStoreTest, AdoptedKeysReplaceOneAnother) {
  EXPECT_FALSE(store_->has_active_admin());
  const std::string one = make_api_key();
  const std::string two = make_api_key();
  ASSERT_TRUE(store_->adopt_admin(one));
  EXPECT_EQ(store_->authenticate(one)->role, Role::kAdmin);
  EXPECT_TRUE(store_->has_active_admin());
  ASSERT_TRUE(store_->adopt_admin(two));
  EXPECT_EQ(store_->authenticate(one), nullptr);
  EXPECT_NE(store_->authenticate(two), nullptr);
  ASSERT_TRUE(store_->drop_adopted());
  EXPECT_EQ(store_->authenticate(two), nullptr);
  EXPECT_FALSE(store_->adopt_admin("egptc_short"));
  const NewKey made = make();
  EXPECT_FALSE(store_->adopt_admin(made.key)) << "its name is taken";
}

TEST_F(KeyStoreTest, DamagedFilesAreRefusedByName) {
  make();
  const std::string good = file();
  size_t refused = 0;
  for (size_t size = 0; size + 2 < good.size(); ++size) {  // the last bytes are white space
    write(good.substr(0, size));
    const auto opened = KeyStore::open(folder_, key_, clock_);
    EXPECT_FALSE(opened) << size;
    if (!opened) refused += opened.error().message.find("api_keys.json") != std::string::npos;
  }
  EXPECT_EQ(refused, good.size() - 2);
  for (const char* text : {"[]", "{}", R"({"version":2,"keys":[]})", R"({"version":1,"keys":{}})",
                           R"({"version":1,"keys":[1]})", R"({"version":1,"keys":[{}]})"}) {
    write(text);
    EXPECT_EQ(KeyStore::open(folder_, key_, clock_).error().code, ErrorCode::kCorrupt) << text;
  }
  write(good);
  ::chmod((folder_ + "/api_keys.json").c_str(), 0644);
  EXPECT_EQ(KeyStore::open(folder_, key_, clock_).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(KeyStoreTest, AnotherInstanceKeyKnowsNone) {
  const std::string key = make().key;
  key_ = base::random_key();
  reopen();
  EXPECT_EQ(store_->authenticate(key), nullptr);
}

TEST_F(KeyStoreTest, ReadersDoNotWaitForWriters) {
  const std::string key = make().key;
  std::atomic<bool> done{false};
  std::atomic<int> lost{0};
  std::thread reader([&] {
    while (!done) lost += store_->authenticate(key) == nullptr;
  });
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(store_->revoke(make().record.prefix));
  done = true;
  reader.join();
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(store_->list().size(), 51U);
}

}  // namespace
}  // namespace enhanced_gptcache::security

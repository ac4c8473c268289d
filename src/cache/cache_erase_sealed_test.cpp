// Erasing a subject from what is sealed, on a real table: which keys go, and what may be said of it then.

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "base/epoch.h"
#include "cache/erase_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

TEST_F(SealedEraseTest, ACrashedEraseSparesWhatWasStoredAfterIt) {
  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->commit());
  noted("anna");  // and then it was killed
  clock_.advance_ms(5);
  put_for("anna", "Who wrote Hamlet?");  // sealed by the same key
  ASSERT_TRUE(cache_->commit());
  start();
  EXPECT_FALSE(has("Who wrote Faust?"));
  EXPECT_TRUE(has("Who wrote Hamlet?"));
  EXPECT_TRUE(ledger_->pending().empty());
  start();
  EXPECT_TRUE(has("Who wrote Hamlet?")) << "on disk by a key that is still there";
  EXPECT_EQ(cache_->storage_stats().keyless, 0U);
}

TEST_F(SealedEraseTest, ARestoreSparesTheKeyOfWhoCameBack) {
  put_for("anna", "Who wrote Faust?");
  EXPECT_EQ(erase("anna").data_keys, 1U);
  clock_.advance_ms(5);
  put_for("anna", "Who wrote Hamlet?");
  ASSERT_TRUE(cache_->commit());
  ASSERT_TRUE(ledger_->note_restore());
  start();
  start();
  EXPECT_TRUE(has("Who wrote Hamlet?"));
  EXPECT_FALSE(has("Who wrote Faust?"));
}

TEST_F(SealedEraseTest, WhatIsStoredWhileErasingIsSealedAnew) {
  put_for("anna", "Who wrote Faust?");
  const int64_t asked_ms = clock_.wall_ms();
  ASSERT_TRUE(cache_->commit());
  clock_.advance_ms(5);
  put_for("anna", "Who wrote Hamlet?");
  ASSERT_TRUE(cache_->commit());
  vault::Erasure wanted;
  wanted.time_ms = asked_ms;
  wanted.subject = vault::subject_hash(secret_, "local", "anna");
  ASSERT_TRUE(ledger_->begin(wanted));
  cache_->replay_erasures();
  EXPECT_TRUE(ledger_->pending().empty());
  start();
  EXPECT_TRUE(has("Who wrote Hamlet?"));
}

TEST_F(SealedEraseTest, WhatIsAcknowledgedMeanwhileIsThereAfterARestart) {
  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->commit());
  std::atomic<bool> is_over{false};
  std::atomic<int> stored{0};
  std::thread storing([&] {
    for (int n = 0; !is_over; ++n) {
      clock_.advance_ms(1);
      const std::string query = "Question number " + std::to_string(n) + "?";
      StoreRequest request;
      request.prompt = prompt(query);
      request.text = "Answer.";
      request.subject = "anna";
      if (cache_->store(request)) ++stored;
    }
  });
  for (int turn = 0; turn < 5; ++turn) {
    const int before = stored;
    while (stored < before + 3) std::this_thread::yield();
    EXPECT_TRUE(cache_->erase("local", "anna", std::nullopt));
  }
  is_over = true;
  storing.join();
  ASSERT_TRUE(cache_->commit());
  const size_t live = cache_->list_subject("local", "anna", std::nullopt, SIZE_MAX, "")->size();
  start();
  EXPECT_EQ(cache_->storage_stats().keyless, 0U);
  EXPECT_EQ(cache_->list_subject("local", "anna", std::nullopt, SIZE_MAX, "")->size(), live);
}

TEST_F(SealedEraseTest, OnlyWhatItsOwnKeysSealedIsClaimedToHaveDiedWithThem) {
  put_for("anna", "Who wrote Faust?");
  ErasedSubject erased = erase("anna");
  EXPECT_TRUE(erased.died_with_keys);
  erased = erase("anna");
  EXPECT_FALSE(erased.died_with_keys) << "no key was destroyed";
  EXPECT_TRUE(erased.is_stored);

  put_for("jwt:anna", "Who wrote Faust?");
  EXPECT_FALSE(erase("jwt:anna").died_with_keys) << "it may have written entries for others";
  put_for("local", "Who wrote Faust?");
  EXPECT_FALSE(erase("local").died_with_keys) << "the tenant itself";

  put_for("anna", "Who wrote Faust?");
  noted("anna");
  erased = erase("anna");
  EXPECT_FALSE(erased.died_with_keys) << "an earlier one was cut short";
  EXPECT_TRUE(ledger_->pending().empty()) << "and is finished by this one";

  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->reseal());
  EXPECT_FALSE(erase("anna").died_with_keys) << "not everything is sealed by the keys of now";
  cache_->maintain();
  EXPECT_FALSE(cache_->encryption_stats().is_resealing);
  put_for("anna", "Who wrote Faust?");
  EXPECT_TRUE(erase("anna").died_with_keys);
}

TEST_F(SealedEraseTest, AnEntryOfTwoPeopleDiedWithNoKeyOfOneOfThem) {
  StoreRequest shared;
  shared.prompt = prompt("What is my balance?");
  shared.prompt.user = "anna";
  shared.prompt.user_scoped = true;
  shared.text = "100.";
  shared.subject = "ben";  // whose key seals it
  const std::string id = put(shared);
  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->commit());
  EXPECT_TRUE(cache_->remove("local", id));  // and it lies in old files yet
  start();
  const ErasedSubject erased = erase("anna");
  EXPECT_EQ(erased.data_keys, 1U);
  EXPECT_FALSE(erased.died_with_keys) << "what is in old files opens by the key of ben";
  EXPECT_TRUE(erased.is_stored) << "so they were written anew";
}

TEST_F(SealedEraseTest, AnEntryWrittenByOnePersonForAnotherCounts) {
  StoreRequest written;
  written.prompt = prompt("Who wrote Faust?");
  written.text = "Goethe.";
  written.subject = "ben";
  written.principal = "anna";
  put(written);
  put_for("anna", "Who wrote Hamlet?");
  EXPECT_FALSE(erase("anna").died_with_keys);
}

TEST_F(SealedEraseTest, ResealingHoldsNoEntryThatHasLeft) {
  const std::string id = put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->commit());
  ASSERT_TRUE(cache_->reseal());
  std::weak_ptr<const Entry> entry = cache_->get("local", id);
  ASSERT_TRUE(cache_->remove("local", id));
  ASSERT_TRUE(cache_->commit());
  for (int i = 0; i < 4; ++i) base::epoch_collect();
  EXPECT_TRUE(entry.expired());
  cache_->maintain();
  EXPECT_FALSE(cache_->encryption_stats().is_resealing);
}

TEST_F(SealedEraseTest, AMasterKeyOfTheKeystoreIsInUse) {
  put_for("anna", "Who wrote Faust?");
  put_for("", "Who wrote Hamlet?");
  ASSERT_TRUE(cache_->commit());
  const std::string first = cache_->encryption_stats().current_key;
  ASSERT_TRUE(cache_->reseal());
  EXPECT_EQ(cache_->encryption_stats().keys_in_use, std::vector<std::string>{first});
  const auto second = vault::parse_keys(std::string(64, '2'), "keys").value();
  EXPECT_EQ(vault_->subjects()->rewrap(second).error().code, ErrorCode::kInvalidArgument)
      << "the first key is still needed";
  cache_->maintain();
  start();
  EXPECT_TRUE(has("Who wrote Faust?"));
}

TEST_F(SealedEraseTest, ADamagedKeystoreCostsNoEntryOnDisk) {
  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->commit());
  cache_.reset();
  vault_.reset();
  fs::copy_file(folder_ / "keys", folder_ / "good", fs::copy_options::overwrite_existing);
  {
    std::fstream file(folder_ / "keys", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(256 + 140);  // within the first key
    file.put('\x55');
    file.put('\xaa');
  }
  start();
  EXPECT_FALSE(has("Who wrote Faust?"));
  EXPECT_EQ(cache_->storage_stats().locked, 1U);
  EXPECT_NE(cache_->storage_stats().problem.find("keystore"), std::string::npos);
  cache_.reset();
  vault_.reset();
  fs::copy_file(folder_ / "good", folder_ / "keys", fs::copy_options::overwrite_existing);
  start();
  EXPECT_TRUE(has("Who wrote Faust?")) << "with a good copy it is there again";
  EXPECT_EQ(cache_->storage_stats().problem, "");
}

}  // namespace
}  // namespace enhanced_gptcache::cache

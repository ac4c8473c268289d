// Sealed tables: what somebody who can write to the disk can do, and what a missing key does.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "store/rocks_db.h"
#include "store/rocks_table.h"
#include "store/stored_samples.h"
#include "vault/erasure_ledger.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;
using Answers = std::map<base::Hash128, std::string>;

const std::string kKeyA(64, 'a');
const std::string kKeyB(64, 'b');

base::SecretKey instance_key() {
  base::SecretKey key;
  key.fill(9);
  return key;
}

EntryChange put_of(uint64_t n, const std::string& text, const std::string& subject) {
  const base::Hash128 id = base::keyed_hash(instance_key(), "id", {std::to_string(n), text});
  const std::string id_text = id.hex();
  EntryFields fields;
  fields.id = id_text;
  fields.tenant = "acme";
  fields.text = text;
  fields.subject = subject;
  fields.exact_key = sample_key(n);
  auto bytes = std::make_shared<EntryBytes>(encode_entry(fields).value());
  return {sample_key(n), id, bytes, bytes->view()};
}

class SealedTable : public testing::Test {
 protected:
  /// `keys` empty: no vault at all.
  Result<std::unique_ptr<EntryTable>> open(const std::string& keys, bool encrypts = true) {
    RocksTableOptions options;
    options.folder = folder_ / "entries";
    options.quarantine = folder_ / "quarantine";
    options.owner = "us";
    options.bytes_max = uint64_t{32} << 20U;
    options.accepts_other_keystore = accepts_other_keystore_;
    vault_.reset();
    if (!keys.empty()) {
      vault_ = vault::Vault::open({{keys, "", ""}, encrypts}).value();
      EGPTC_TRY_VOID(vault_->open_keystore(keystore_));
      options.sealer = std::make_shared<const EntrySealer>(vault_, instance_key());
    }
    return open_rocks_table(options);
  }
  std::unique_ptr<EntryTable> must_open(const std::string& keys, bool encrypts = true) {
    auto table = open(keys, encrypts);
    EXPECT_TRUE(table) << table.error().message;
    return std::move(*table);
  }
  Answers load(EntryTable& table) {
    Answers answers;
    std::mutex mutex;
    report_ = table
                  .load(2,
                        [&](EntryBytes bytes, const base::Hash128& key, const base::Hash128&) {
                          const std::lock_guard lock(mutex);
                          answers[key] = EntryView::trusted(bytes.view()).text(EntryText::kText);
                        })
                  .value();
    return answers;
  }
  void write(EntryTable& table, const std::vector<EntryChange>& changes) {
    const auto done = table.write(changes, true);
    ASSERT_TRUE(done) << done.error().message;
  }
  /// Changes rows behind the table's back, as somebody would who knows RocksDB.
  void tamper(const std::function<void(RocksDb&)>& change) {
    RocksDb db;
    ASSERT_TRUE(open_database(folder_ / "entries", uint64_t{32} << 20U, db).ok());
    change(db);
    ASSERT_TRUE(db.db->SyncWAL().ok());
  }
  static std::string row(RocksDb& db, uint64_t n) {
    std::string bytes;
    EXPECT_TRUE(db.db->Get({}, db.entries, key_bytes(sample_key(n)), &bytes).ok());
    return bytes;
  }
  static void set_row(RocksDb& db, uint64_t n, const std::string& bytes) {
    EXPECT_TRUE(db.db->Put({}, db.entries, key_bytes(sample_key(n)), bytes).ok());
  }
  bool is_on_disk(const std::string& text) {
    for (const auto& file : fs::recursive_directory_iterator(folder_.path)) {
      if (!file.is_regular_file()) continue;
      std::ostringstream content;
      content << std::ifstream(file.path(), std::ios::binary).rdbuf();
      if (content.str().find(text) != std::string::npos) return true;
    }
    return false;
  }

  std::string files() const {
    std::string names;
    for (const auto& file : fs::directory_iterator(folder_ / "entries"))
      names += file.path().filename().string() + " ";
    return names;
  }

  TestFolder folder_;
  std::string keystore_ = folder_ / "subjects.keys";
  bool accepts_other_keystore_ = false;
  std::shared_ptr<vault::Vault> vault_;
  LoadReport report_;
};

TEST_F(SealedTable, HoldsNothingInClearAndLoadsWhatItHeld) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "xylophone one", "anna"), put_of(2, "xylophone two", "")});
    EXPECT_FALSE(is_on_disk("xylophone"));
    EXPECT_FALSE(is_on_disk("anna"));
  }
  auto table = must_open(kKeyA);
  EXPECT_EQ(load(*table), (Answers{{sample_key(1), "xylophone one"}, {sample_key(2), "xylophone two"}}));
  EXPECT_EQ(report_.tampered + report_.damaged + report_.keyless + report_.to_reseal, 0U);
  EXPECT_EQ(table->seal_keys().size(), 1U);
}

TEST_F(SealedTable, AWrongOrMissingKeyIsAnErrorAndNothingIsLost) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "one", "anna")});
  }
  for (const std::string& keys : {kKeyB, std::string()}) {
    const auto opened = open(keys);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument) << opened.error().message;
  }
  auto table = must_open(kKeyB + "," + kKeyA);
  EXPECT_EQ(load(*table).size(), 1U);
  EXPECT_EQ(report_.to_reseal, 0U) << "a data key does not change with the master key";
}

TEST_F(SealedTable, RecordsThatWereSwappedReplayedOrForgedAreRefusedAndCounted) {
  {
    auto table = must_open(kKeyA);
    for (uint64_t n = 0; n < 8; ++n)
      write(*table, {put_of(n, "text " + std::to_string(n), n < 4 ? "anna" : "")});
  }
  std::string old_version;
  tamper([&](RocksDb& db) { old_version = row(db, 0); });
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(0, "newer text", "anna")});
  }
  tamper([&](RocksDb& db) {
    set_row(db, 0, old_version);  // of the same key, but not the version the directory lists
    const std::string second = row(db, 5);
    set_row(db, 5, row(db, 6));
    set_row(db, 6, second);
    std::string flipped = row(db, 7);
    flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);
    set_row(db, 7, flipped);
    set_row(db, 4, std::string(put_of(4, "forged without a seal", "").bytes));
    set_row(db, 3, row(db, 3).substr(0, 50));
  });
  auto table = must_open(kKeyA);
  EXPECT_EQ(load(*table), (Answers{{sample_key(1), "text 1"}, {sample_key(2), "text 2"}}));
  EXPECT_EQ(report_.tampered, 6U);
  EXPECT_EQ(report_.damaged, 6U);
}

TEST_F(SealedTable, EveryFlippedBitOfARecordIsFound) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "text", "")});
  }
  std::string whole;
  tamper([&](RocksDb& db) { whole = row(db, 1); });
  for (size_t bit = 0; bit < whole.size() * 8; bit += 149) {
    std::string bad = whole;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    tamper([&](RocksDb& db) {
      set_row(db, 1, bad);
      EXPECT_TRUE(
          db.db->Put({}, db.directory, key_bytes(sample_key(1)), key_bytes(put_of(1, "text", "").id)).ok());
    });
    auto table = must_open(kKeyA);
    ASSERT_TRUE(load(*table).empty()) << "bit " << bit;
    ASSERT_EQ(report_.damaged + report_.keyless, 1U) << "bit " << bit;
  }
}

TEST_F(SealedTable, ADestroyedDataKeyTakesItsEntriesAlong) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "anna's", "anna"), put_of(2, "ben's", "ben"), put_of(3, "nobody's", "")});
    const auto subject = vault::subject_hash(instance_key(), "acme", "anna");
    EXPECT_EQ(vault_->subjects()->destroy(subject, std::nullopt).value(), 1U);
  }
  auto table = must_open(kKeyA);
  EXPECT_EQ(load(*table), (Answers{{sample_key(2), "ben's"}, {sample_key(3), "nobody's"}}));
  EXPECT_EQ(report_.keyless, 1U);
  EXPECT_EQ(report_.damaged, 0U);
}

TEST_F(SealedTable, AnotherKeystoreIsRefusedUnlessItIsAccepted) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "anna's", "anna"), put_of(3, "nobody's", "")});
  }
  keystore_ = folder_ / "another.keys";
  const auto refused = open(kKeyA);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("keystore"), std::string::npos);
  accepts_other_keystore_ = true;
  {
    auto table = must_open(kKeyA);
    EXPECT_EQ(load(*table).size(), 1U);
    EXPECT_EQ(report_.keyless, 1U);
  }
  accepts_other_keystore_ = false;
  EXPECT_EQ(load(*must_open(kKeyA)).size(), 1U);
}

TEST_F(SealedTable, PlainEntriesAreBelievedUntilAllIsSealed) {
  {
    auto table = must_open("");
    write(*table, {put_of(1, "plain one", ""), put_of(2, "plain two", "anna")});
  }
  {
    auto table = must_open(kKeyA);
    EXPECT_EQ(load(*table).size(), 2U);
    EXPECT_EQ(report_.to_reseal, 2U);
    write(*table, {put_of(1, "plain one", "")});
  }
  {
    auto table = must_open(kKeyA);
    EXPECT_EQ(load(*table).size(), 2U) << "a kill in between";
    write(*table, {put_of(1, "plain one", ""), put_of(2, "plain two", "anna")});
    const auto finished = table->finish_reseal(vault_->current_key());
    ASSERT_TRUE(finished) << finished.error().message << " of " << files();
    EXPECT_FALSE(is_on_disk("plain one"));
  }
  tamper([&](RocksDb& db) { set_row(db, 1, std::string(put_of(1, "plain one", "").bytes)); });
  auto table = must_open(kKeyA);
  EXPECT_EQ(load(*table).size(), 1U);
  EXPECT_EQ(report_.tampered, 1U);
}

TEST_F(SealedTable, PlainEntriesAreNotBelievedAgainWhenTheTablesOwnNoteIsTakenAway) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "one", ""), put_of(2, "two", "")});
  }
  tamper([&](RocksDb& db) {
    EXPECT_TRUE(db.db->Delete({}, db.meta, "all_sealed").ok());
    set_row(db, 1, std::string(put_of(1, "forged", "").bytes));
    EXPECT_TRUE(
        db.db->Put({}, db.directory, key_bytes(sample_key(1)), key_bytes(put_of(1, "forged", "").id)).ok());
  });
  auto table = must_open(kKeyA);
  EXPECT_EQ(load(*table), (Answers{{sample_key(2), "two"}}));
  EXPECT_EQ(report_.tampered, 1U);
}

TEST_F(SealedTable, WhatWasWrittenWhileSwitchedOffIsBelievedWhenItIsOnAgain) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "one", "")});
  }
  {
    auto table = must_open(kKeyA, false);
    write(*table, {put_of(2, "two", "")});
  }
  EXPECT_EQ(load(*must_open(kKeyA)).size(), 2U) << "the way back was not finished";
}

TEST_F(SealedTable, ATenantWithoutRoomForKeysStopsNobodyElse) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "anna's", "anna"), put_of(2, "ben's", "ben")});
    vault_->subjects()->set_tenant_keys_max(2);
    write(*table, {put_of(3, "carl's", "carl"), put_of(1, "anna's again", "anna"), put_of(4, "nobody's", ""),
                   put_of(2, "carl's too", "carl")});
    EXPECT_EQ(table->stats().keys_refused, 2U);
  }
  EXPECT_EQ(load(*must_open(kKeyA)), (Answers{{sample_key(1), "anna's again"}, {sample_key(4), "nobody's"}}))
      << "what was to be replaced does not come back";
}

TEST_F(SealedTable, AnotherKeyThatBecameCurrentMeanwhileStaysInUse) {
  auto table = must_open(kKeyB + "," + kKeyA);
  write(*table, {put_of(1, "one", "")});
  const vault::KeyId older = vault::parse_keys(kKeyA, "keys").value()->current().id;
  ASSERT_TRUE(table->finish_reseal(older)) << "everything was sealed by it when it was current";
  EXPECT_EQ(table->seal_keys().size(), 2U);
  ASSERT_TRUE(table->finish_reseal(vault_->current_key()));
  EXPECT_EQ(table->seal_keys().size(), 1U);
}

TEST_F(SealedTable, AnOldKeyIsNeededUntilEverythingIsSealedAnew) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "one", ""), put_of(2, "two", "anna")});
  }
  {
    auto table = must_open(kKeyB + "," + kKeyA);
    EXPECT_EQ(load(*table).size(), 2U);
    EXPECT_EQ(report_.to_reseal, 1U);
    EXPECT_EQ(table->seal_keys().size(), 2U);
  }
  EXPECT_FALSE(open(kKeyB)) << "not before";
  {
    auto table = must_open(kKeyB + "," + kKeyA);
    write(*table, {put_of(1, "one", ""), put_of(2, "two", "anna")});
    ASSERT_TRUE(vault_->rewrap());
    const auto finished = table->finish_reseal(vault_->current_key());
    ASSERT_TRUE(finished) << finished.error().message << " of " << files();
    EXPECT_EQ(table->seal_keys().size(), 1U);
  }
  auto table = must_open(kKeyB);
  EXPECT_EQ(load(*table).size(), 2U);
}

TEST_F(SealedTable, SealsCanBeTakenAwayAgain) {
  {
    auto table = must_open(kKeyA);
    write(*table, {put_of(1, "one", "anna")});
  }
  {
    auto table = must_open(kKeyA, false);
    EXPECT_EQ(load(*table).size(), 1U);
    EXPECT_EQ(report_.to_reseal, 1U);
    write(*table, {put_of(1, "one", "anna")});
    const auto finished = table->finish_reseal(vault_->current_key());
    ASSERT_TRUE(finished) << finished.error().message << " of " << files();
  }
  EXPECT_EQ(load(*must_open("")).size(), 1U);
}

TEST_F(SealedTable, PurgeLeavesNoByteOfWhatWasRemovedOrReplaced) {
  auto table = must_open("");
  for (uint64_t n = 0; n < 200; ++n)
    write(*table, {put_of(n, (n % 2 == 0 ? "xylophone " : "other ") + std::to_string(n), "")});
  ASSERT_TRUE(table->settle());
  write(*table, {put_of(1, "xylophone replaced", "")});
  write(*table, {put_of(1, "other again", "")});
  std::vector<EntryChange> removals;
  std::vector<base::Hash128> keys = {sample_key(1)};
  for (uint64_t n = 0; n < 200; n += 2) {
    removals.push_back(sample_removal(n));
    keys.push_back(sample_key(n));
  }
  write(*table, removals);
  EXPECT_TRUE(is_on_disk("xylophone"));
  ASSERT_TRUE(table->purge(keys));
  EXPECT_FALSE(is_on_disk("xylophone"));
  EXPECT_TRUE(is_on_disk("other"));
  write(*table, {put_of(500, "xylophone once more", ""), sample_removal(500)});
  const base::Hash128 one = sample_key(500);
  ASSERT_TRUE(table->purge({&one, 1}));
  EXPECT_FALSE(is_on_disk("xylophone"));
  EXPECT_EQ(load(*table).size(), 100U);
}

TEST_F(SealedTable, PurgeOfATableAtRestWaitsForNothing) {
  auto table = must_open("");
  write(*table, {put_of(1, "xylophone", ""), put_of(2, "other", "")});
  ASSERT_TRUE(table->settle());
  // All is in table files now, and no log holds anything of it.
  write(*table, {sample_removal(1)});
  ASSERT_TRUE(table->settle());
  const base::Hash128 one = sample_key(1);
  for (int round = 0; round < 3; ++round) {
    const auto done = table->purge({&one, 1});
    EXPECT_TRUE(done) << done.error().message;
    EXPECT_FALSE(is_on_disk("xylophone"));
  }
  EXPECT_EQ(load(*table).size(), 1U);
}

}  // namespace
}  // namespace enhanced_gptcache::store

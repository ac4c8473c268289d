// The keystore, the ledger and the receipts: what erasing leaves behind, and what damage does to them.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "fakes/test_folder.h"
#include "vault/erasure_ledger.h"
#include "vault/receipt.h"
#include "vault/vault.h"

namespace enhanced_gptcache::vault {
namespace {

using fakes::TestFolder;

namespace fs = std::filesystem;

const std::string kKeyA(64, '1');
const std::string kKeyB(64, '2');

base::SecretKey instance(unsigned char byte = 7) {
  base::SecretKey key;
  key.fill(byte);
  return key;
}

SubjectRef ref_of(std::string_view subject, std::string_view name_space = "") {
  return {subject_hash(instance(), "acme", subject), namespace_hash(instance(), "acme", name_space)};
}

std::shared_ptr<const KeyRing> ring_of(const std::string& keys) { return parse_keys(keys, "keys").value(); }

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void write(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
}

TEST(SubjectKeys, OneKeyForEachSubjectAndNamespaceThatLasts) {
  const TestFolder folder;
  KeyId anna, here;
  {
    const auto keys = SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value();
    EXPECT_TRUE(keys->is_new());
    anna = keys->key_for(ref_of("anna"))->id;
    here = keys->key_for(ref_of("anna", "here"))->id;
    EXPECT_EQ(keys->key_for(ref_of("anna"))->id, anna);
    EXPECT_NE(anna, here);
    EXPECT_NE(keys->key_for(ref_of("ben"))->id, anna);
  }
  EXPECT_EQ(fs::status(folder / "keys").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  const auto again = SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value();
  EXPECT_FALSE(again->is_new());
  EXPECT_EQ(again->count(), 3U);
  EXPECT_EQ(again->key_for(ref_of("anna", "here"))->id, here);
  EXPECT_NE(again->find(anna), nullptr);
}

TEST(SubjectKeys, ADestroyedKeyIsGoneFromTheFileAndItsSlotIsUsedAgain) {
  const TestFolder folder;
  const auto keys = SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value();
  const DataKey anna = keys->key_for(ref_of("anna")).value();
  const KeyId here = keys->key_for(ref_of("anna", "here"))->id;
  const KeyId ben = keys->key_for(ref_of("ben"))->id;
  const auto size = fs::file_size(folder / "keys");
  EXPECT_EQ(keys->destroy(ref_of("anna").subject, ref_of("anna", "here").name_space).value(), 1U);
  EXPECT_EQ(keys->find(here), nullptr);
  EXPECT_NE(keys->find(anna.id), nullptr) << "another namespace";
  EXPECT_EQ(keys->destroy(ref_of("anna").subject, std::nullopt).value(), 1U);
  EXPECT_EQ(keys->destroy(ref_of("anna").subject, std::nullopt).value(), 0U);
  EXPECT_EQ(keys->find(anna.id), nullptr);
  EXPECT_NE(keys->find(ben), nullptr);
  EXPECT_EQ(read(folder / "keys").find(hash_bytes(anna.id)), std::string::npos);
  EXPECT_NE(keys->key_for(ref_of("anna"))->id, anna.id) << "who comes back gets another key";
  EXPECT_EQ(fs::file_size(folder / "keys"), size);
  EXPECT_EQ(SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value()->count(), 2U);
}

TEST(SubjectKeys, OnlyKeysMadeUntilThenAreDestroyed) {
  const TestFolder folder;
  const auto keys = SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value();
  const int64_t before_ms = base::system_clock().wall_ms() - 1;
  const KeyId anna = keys->key_for(ref_of("anna"))->id;
  EXPECT_EQ(keys->destroy(ref_of("anna").subject, std::nullopt, before_ms).value(), 0U);
  EXPECT_NE(keys->find(anna), nullptr) << "who came back after an older erasure";
  EXPECT_EQ(keys->key_for(ref_of("anna"))->id, anna);
  EXPECT_EQ(keys->destroy(ref_of("anna").subject, std::nullopt, base::system_clock().wall_ms()).value(), 1U);
  EXPECT_EQ(keys->find(anna), nullptr);
}

TEST(SubjectKeys, ARetiredKeyOpensUntilItIsDestroyedAndSealsNothing) {
  const TestFolder folder;
  KeyId old_key, new_key;
  {
    const auto keys = SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value();
    old_key = keys->key_for(ref_of("anna"))->id;
    EXPECT_EQ(keys->retire(ref_of("anna").subject, std::nullopt), 1U);
    new_key = keys->key_for(ref_of("anna"))->id;
    EXPECT_NE(old_key, new_key);
    EXPECT_NE(keys->find(old_key), nullptr);
  }
  // Killed in between: both are there, and the next start begins anew.
  const auto keys = SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value();
  EXPECT_EQ(keys->count(), 2U);
  EXPECT_EQ(keys->retire(ref_of("anna").subject, ref_of("anna", "here").name_space), 0U);
  EXPECT_EQ(keys->retire(ref_of("anna").subject, std::nullopt), 2U);
  const KeyId third = keys->key_for(ref_of("anna"))->id;
  EXPECT_EQ(keys->destroy_retired(ref_of("anna").subject, std::nullopt).value(), 2U);
  EXPECT_EQ(keys->find(old_key), nullptr);
  EXPECT_EQ(keys->find(new_key), nullptr);
  EXPECT_EQ(keys->key_for(ref_of("anna"))->id, third);
  EXPECT_EQ(keys->destroy_retired(ref_of("anna").subject, std::nullopt).value(), 0U);
}

TEST(SubjectKeys, RewrappingNeedsEveryKeyThatIsInUse) {
  const TestFolder folder;
  const std::string path = folder / "keys";
  const auto keys = SubjectKeys::open(path, ring_of(kKeyA)).value();
  ASSERT_TRUE(keys->key_for(ref_of("anna")));
  const std::string before = read(path);
  const auto refused = keys->rewrap(ring_of(kKeyB));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(read(path), before) << "nothing was written";
  ASSERT_TRUE(keys->key_for(ref_of("ben")));
  EXPECT_EQ(keys->master_keys().size(), 1U) << "by the old key still";
  EXPECT_TRUE(SubjectKeys::open(path, ring_of(kKeyA)));
  ASSERT_TRUE(keys->rewrap(ring_of(kKeyB + "," + kKeyA)));
  EXPECT_EQ(keys->master_keys(), std::vector<KeyId>{ring_of(kKeyB)->current().id});
}

TEST(SubjectKeys, OneTenantCannotTakeTheRoomOfOthers) {
  const TestFolder folder;
  auto keys = SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value();
  const auto of = [](std::string_view subject, std::string_view tenant) {
    SubjectRef ref = ref_of(subject);
    ref.tenant = tenant_hash(instance(), tenant);
    return ref;
  };
  keys->set_tenant_keys_max(2);
  ASSERT_TRUE(keys->key_for(of("a", "acme")));
  ASSERT_TRUE(keys->key_for(of("b", "acme")));
  keys.reset();
  keys = SubjectKeys::open(folder / "keys", ring_of(kKeyA)).value();
  keys->set_tenant_keys_max(2);
  EXPECT_EQ(keys->key_for(of("c", "acme")).error().code, ErrorCode::kOverloaded);
  EXPECT_TRUE(keys->key_for(of("a", "acme"))) << "those that are there go on";
  EXPECT_TRUE(keys->key_for(of("c", "other")));
  EXPECT_EQ(keys->destroy(ref_of("a").subject, std::nullopt).value(), 1U);
  EXPECT_TRUE(keys->key_for(of("c of acme", "acme"))) << "there is room again";
}

TEST(SubjectKeys, WhetherAllIsSealedIsAuthenticated) {
  const TestFolder folder;
  const std::string path = folder / "keys";
  {
    const auto keys = SubjectKeys::open(path, ring_of(kKeyA)).value();
    EXPECT_FALSE(keys->all_sealed());
    ASSERT_TRUE(keys->set_all_sealed(true));
    ASSERT_TRUE(keys->rewrap(ring_of(kKeyB + "," + kKeyA)));
  }
  EXPECT_TRUE(SubjectKeys::open(path, ring_of(kKeyB)).value()->all_sealed());
  std::string forged = read(path);
  forged[9] = 0;
  write(path, forged);
  EXPECT_EQ(SubjectKeys::open(path, ring_of(kKeyB)).error().code, ErrorCode::kCorrupt);
}

TEST(SubjectKeys, RewrappingChangesTheMasterKeyAndNothingElse) {
  const TestFolder folder;
  const std::string path = folder / "keys";
  KeyId anna, file;
  {
    const auto keys = SubjectKeys::open(path, ring_of(kKeyA)).value();
    anna = keys->key_for(ref_of("anna"))->id;
    file = keys->id();
    const auto wrong = SubjectKeys::open(path, ring_of(kKeyB));
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(wrong.error().message.find("not among the configured"), std::string::npos);
    ASSERT_TRUE(keys->rewrap(ring_of(kKeyB + "," + kKeyA)));
  }
  const auto keys = SubjectKeys::open(path, ring_of(kKeyB)).value();
  EXPECT_EQ(keys->key_for(ref_of("anna"))->id, anna);
  EXPECT_EQ(keys->id(), file);
}

TEST(SubjectKeys, DamageCostsOneKeyAndIsCounted) {
  const TestFolder folder;
  const std::string path = folder / "keys";
  {
    const auto keys = SubjectKeys::open(path, ring_of(kKeyA)).value();
    for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(keys->key_for(ref_of(name)));
  }
  const std::string whole = read(path);
  // Any bit of the second key's slot but those that name its master key.
  for (size_t at = 2 * 256; at < 2 * 256 + 64 + 96; at += 3) {
    if (at >= 2 * 256 + 64 + 8 && at < 2 * 256 + 64 + 24) continue;
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    write(path, bad);
    const auto keys = SubjectKeys::open(path, ring_of(kKeyA));
    ASSERT_TRUE(keys) << keys.error().message;
    ASSERT_EQ((*keys)->damaged(), 1U) << "byte " << at;
    ASSERT_EQ((*keys)->count(), 2U);
  }
  write(path, whole.substr(0, whole.size() - 100));
  const auto cut = SubjectKeys::open(path, ring_of(kKeyA)).value();
  EXPECT_EQ(cut->count(), 2U);
  EXPECT_EQ(cut->damaged(), 1U);
  std::string head = whole;
  head[20] ^= 1;
  write(path, head);
  EXPECT_EQ(SubjectKeys::open(path, ring_of(kKeyA)).error().code, ErrorCode::kCorrupt);
  fs::permissions(path, fs::perms::others_read, fs::perm_options::add);
  EXPECT_EQ(SubjectKeys::open(path, ring_of(kKeyA)).error().code, ErrorCode::kInvalidArgument);
}

TEST(Vault, ASubjectsBytesDieWithItsKey) {
  const TestFolder folder;
  const auto vault = Vault::open({{kKeyA, "", ""}, true}).value();
  ASSERT_TRUE(vault->open_keystore(folder / "keys"));
  const std::string sealed = vault->seal_for(ref_of("anna"), "p", "secret").value();
  std::string out(6, '\0');
  EXPECT_EQ(vault->open("p", sealed, out.data()), Opened::kYes);
  EXPECT_EQ(out, "secret");
  ASSERT_TRUE(vault->subjects()->destroy(ref_of("anna").subject, std::nullopt));
  EXPECT_EQ(vault->open("p", sealed, out.data()), Opened::kKeyDestroyed);
}

// --- the ledger --------------------------------------------------------------------------------

Erasure erasure_of(std::string_view subject, int64_t time_ms, bool has_namespace = false) {
  Erasure wanted;
  wanted.time_ms = time_ms;
  wanted.subject = ref_of(subject).subject;
  if (has_namespace) wanted.name_space = ref_of(subject, "here").name_space;
  return wanted;
}

TEST(ErasureLedger, CoversWhatCameBeforeAndKnowsWhatIsUnfinished) {
  const TestFolder folder;
  {
    const auto ledger = ErasureLedger::open(folder / "ledger", instance()).value();
    EXPECT_TRUE(ledger->empty());
    const Erasure first = ledger->begin(erasure_of("anna", 1000)).value();
    EXPECT_EQ(first.sequence, 1U);
    ASSERT_TRUE(ledger->finish(1, 5));
    ASSERT_TRUE(ledger->begin(erasure_of("ben", 2000, true)));
  }
  const auto ledger = ErasureLedger::open(folder / "ledger", instance()).value();
  const SubjectRef anna = ref_of("anna"), ben = ref_of("ben"), ben_here = ref_of("ben", "here");
  EXPECT_TRUE(ledger->covers(anna.subject, anna.name_space, 1000));
  EXPECT_FALSE(ledger->covers(anna.subject, anna.name_space, 1001)) << "stored afterwards";
  EXPECT_TRUE(ledger->covers(ben.subject, ben_here.name_space, 1));
  EXPECT_FALSE(ledger->covers(ben.subject, ben.name_space, 1)) << "another namespace";
  ASSERT_EQ(ledger->pending().size(), 1U);
  EXPECT_EQ(ledger->pending()[0].sequence, 2U);
  EXPECT_EQ(ledger->all()[0].entries, 5U);
  ASSERT_TRUE(ledger->finish(2, 1));
  EXPECT_TRUE(ledger->pending().empty());
  ASSERT_TRUE(ledger->note_restore());
  EXPECT_EQ(ErasureLedger::open(folder / "ledger", instance()).value()->pending().size(), 2U);
  ASSERT_TRUE(ledger->note_replay());
  EXPECT_TRUE(ErasureLedger::open(folder / "ledger", instance()).value()->pending().empty());
  EXPECT_EQ(read(folder / "ledger").find("anna"), std::string::npos);
}

TEST(ErasureLedger, ACutEndIsForgottenAndDamageIsCounted) {
  const TestFolder folder;
  const std::string path = folder / "ledger";
  {
    const auto ledger = ErasureLedger::open(path, instance()).value();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(ledger->begin(erasure_of("subject " + std::to_string(i), 1000)));
  }
  const std::string whole = read(path);
  const size_t third_end = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t size = third_end; size < whole.size(); ++size) {
    write(path, whole.substr(0, size));
    const auto ledger = ErasureLedger::open(path, instance()).value();
    ASSERT_EQ(ledger->all().size(), 3U) << size;
    ASSERT_EQ(ledger->damaged(), 0U);
    ASSERT_TRUE(ledger->begin(erasure_of("later", 3000)));
    ASSERT_EQ(ErasureLedger::open(path, instance()).value()->all().size(), 4U) << "goes on after the cut";
  }
  for (size_t at = 0; at < whole.size(); at += 7) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    write(path, bad);
    const auto ledger = ErasureLedger::open(path, instance());
    ASSERT_TRUE(ledger) << ledger.error().message;
    ASSERT_GE((*ledger)->damaged() + ((*ledger)->all().size() < 4 ? 1U : 0U), 1U) << "byte " << at;
    ASSERT_GE((*ledger)->all().size(), 2U) << "byte " << at;
  }
  write(path, whole);
  EXPECT_EQ(ErasureLedger::open(path, instance(8)).error().code, ErrorCode::kInvalidArgument);
}

TEST(ErasureLedger, MergesWhatAnotherCopyKnows) {
  const TestFolder folder;
  const auto ours = ErasureLedger::open(folder / "ours", instance()).value();
  const auto theirs = ErasureLedger::open(folder / "theirs", instance()).value();
  ASSERT_TRUE(ours->begin(erasure_of("anna", 1000)));
  ASSERT_TRUE(theirs->begin(erasure_of("anna", 1000)));
  ASSERT_TRUE(theirs->begin(erasure_of("ben", 1500)));
  ASSERT_TRUE(theirs->finish(2, 3));
  ASSERT_TRUE(ours->merge(*theirs));
  EXPECT_EQ(ours->all().size(), 2U);
  ASSERT_TRUE(ours->merge(*theirs));
  EXPECT_EQ(ours->all().size(), 2U);
  EXPECT_TRUE(ours->covers(ref_of("ben").subject, {}, 1500));
}

TEST(Receipt, OnlyTheSignedTextOfThisInstanceVerifies) {
  const std::string text = R"({"entries":3,"subject":"anna"})";
  const Signature signature = sign_receipt(instance(), text);
  EXPECT_EQ(signature.public_key, receipt_public_key(instance()));
  EXPECT_NE(signature.public_key, receipt_public_key(instance(8)));
  EXPECT_TRUE(verify_receipt(signature, text));
  EXPECT_FALSE(verify_receipt(signature, R"({"entries":4,"subject":"anna"})"));
  EXPECT_FALSE(verify_receipt({receipt_public_key(instance(8)), signature.value}, text));
  EXPECT_FALSE(verify_receipt({signature.public_key, ""}, text));
  EXPECT_FALSE(verify_receipt({"zz", signature.value}, text));
  std::string bad = signature.value;
  bad[0] = bad[0] == '0' ? '1' : '0';
  EXPECT_FALSE(verify_receipt({signature.public_key, bad}, text));
}

}  // namespace
}  // namespace enhanced_gptcache::vault

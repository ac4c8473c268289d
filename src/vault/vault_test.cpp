#include "vault/vault.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "fakes/test_folder.h"
#include "vault/key_source.h"

namespace enhanced_gptcache::vault {
namespace {

using fakes::TestFolder;

constexpr const char* kKeyA = "0101010101010101010101010101010101010101010101010101010101010101";
constexpr const char* kKeyB = "0303030303030303030303030303030303030303030303030303030303030303";

base::SecretKey key_of(unsigned char byte) {
  base::SecretKey key;
  key.fill(byte);
  return key;
}

std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    out += digits;
  }
  return out;
}

std::shared_ptr<Vault> vault_of(const std::string& keys, bool encrypts = true) {
  VaultOptions options;
  options.keys.text = keys;
  options.encrypts = encrypts;
  return Vault::open(options).value();
}

std::string opened(const Vault& vault, std::string_view place, std::string_view sealed) {
  std::string plain(Vault::opened_bytes(sealed), '\0');
  return vault.open(place, sealed, plain.data()) == Opened::kYes ? plain : "(closed)";
}

/// The vectors of the specification (C2SP, XAES-256-GCM).
TEST(Cipher, SealsAsTheSpecificationSays) {
  Nonce nonce;
  std::copy_n("ABCDEFGHIJKLMNOPQRSTUVWX", nonce.size(), nonce.begin());
  std::string out(12 + kTagBytes, '\0');
  Cipher(key_of(1)).seal(nonce, "", "XAES-256-GCM", out.data());
  EXPECT_EQ(hex_of(out), "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
  Cipher(key_of(3)).seal(nonce, "c2sp.org/XAES-256-GCM", "XAES-256-GCM", out.data());
  EXPECT_EQ(hex_of(out), "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
  std::string plain(12, '\0');
  EXPECT_TRUE(Cipher(key_of(3)).open(nonce, "c2sp.org/XAES-256-GCM", out, plain.data()));
  EXPECT_EQ(plain, "XAES-256-GCM");
  EXPECT_FALSE(Cipher(key_of(1)).open(nonce, "c2sp.org/XAES-256-GCM", out, plain.data()));
}

TEST(Sealed, EveryFlippedBitAndEveryCutIsRefused) {
  const auto vault = vault_of(kKeyA);
  const std::string text = "what Anna asked";
  const std::string sealed = vault->seal("here", text);
  EXPECT_EQ(sealed.size(), text.size() + kSealedExtraBytes);
  EXPECT_EQ(sealed.find("Anna"), sealed.npos);
  EXPECT_NE(vault->seal("here", text), sealed) << "a nonce of its own each time";
  EXPECT_EQ(opened(*vault, "here", sealed), text);
  EXPECT_EQ(opened(*vault, "there", sealed), "(closed)") << "bound to its place";
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string bad = sealed;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_EQ(opened(*vault, "here", bad), "(closed)") << "bit " << bit;
  }
  for (size_t size = 0; size < sealed.size(); ++size)
    ASSERT_EQ(opened(*vault, "here", std::string_view(sealed).substr(0, size)), "(closed)") << size;
  EXPECT_EQ(opened(*vault, "empty", vault->seal("empty", "")), "");
}

TEST(KeyRing, ReadsKeysAndNamesWhatIsWrong) {
  const auto ring =
      parse_keys(std::string("# new\n") + kKeyA + " # until May\r\n" + kKeyB + "\n", "x").value();
  ASSERT_EQ(ring->keys().size(), 2U);
  EXPECT_EQ(ring->current().id, key_id_of(key_of(1)));
  EXPECT_NE(ring->find(key_id_of(key_of(3))), nullptr);
  EXPECT_EQ(ring->find(key_id_of(key_of(2))), nullptr);
  const std::pair<std::string, std::string> bad[] = {
      {"", "holds no key"},
      {"# only a comment", "holds no key"},
      {"abc", "key number 1 must be 64 hexadecimal digits"},
      {std::string(kKeyA) + ", " + std::string(64, 'g'), "key number 2 must be"},
      {std::string(kKeyA) + "," + kKeyA, "twice"}};
  for (const auto& [text, message] : bad) {
    const auto parsed = parse_keys(text, "the file");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(parsed.error().message.find(message), std::string::npos) << parsed.error().message;
    EXPECT_EQ(parsed.error().message.find("0101"), std::string::npos) << "a key is never printed";
  }
}

TEST(KeySourceTest, FilesOfOthersAreRefused) {
  const TestFolder folder;
  const std::string path = folder / "keys";
  std::ofstream(path) << kKeyA << "\n";
  ::chmod(path.c_str(), 0640);
  const auto open = load_keys({"", path, ""});
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().message.find("mode 0640"), std::string::npos) << open.error().message;
  ::chmod(path.c_str(), 0400);
  EXPECT_TRUE(load_keys({"", path, ""}));
  EXPECT_EQ(load_keys({"", folder / "none", ""}).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(load_keys({"", folder.path.string(), ""})) << "a folder";
  if (::geteuid() == 0 && ::chown(path.c_str(), 12345, 12345) == 0) {
    EXPECT_NE(load_keys({"", path, ""}).error().message.find("belongs to user 12345"), std::string::npos);
  }
}

TEST(KeySourceTest, ACommandPrintsTheKeysOrSaysWhyNot) {
  const auto ring = load_keys({"", "", std::string("echo ") + kKeyA});
  ASSERT_TRUE(ring) << ring.error().message;
  EXPECT_EQ((*ring)->current().id, key_id_of(key_of(1)));
  EXPECT_NE(load_keys({"", "", "exit 3"}).error().message.find("status 3"), std::string::npos);
  EXPECT_NE(load_keys({"", "", "kill -9 $$"}).error().message.find("signal 9"), std::string::npos);
  EXPECT_NE(load_keys({"", "", "yes"}).error().message.find("larger"), std::string::npos);
  EXPECT_NE(load_keys({"", "", "true"}).error().message.find("holds no key"), std::string::npos);
}

TEST(Vault, AnOldKeyOpensAndANewOneSeals) {
  const auto before = vault_of(kKeyA);
  const std::string sealed = before->seal("p", "text");
  const auto both = vault_of(std::string(kKeyB) + "," + kKeyA);
  EXPECT_EQ(opened(*both, "p", sealed), "text");
  EXPECT_FALSE(both->is_current(sealed));
  EXPECT_TRUE(both->is_current(both->seal("p", "text")));
  std::string out(4, '\0');
  EXPECT_EQ(vault_of(kKeyB)->open("p", sealed, out.data()), Opened::kForeignKey);
  EXPECT_EQ(before->open("p", "plain", out.data()), Opened::kDamaged);
}

TEST(Vault, FilesKnowTheirNameAndPlainOnesAreBelievedOnlyAtFirst) {
  const auto vault = vault_of(kKeyA);
  const std::string bytes = vault->to_file("taus.bin", "taus");
  EXPECT_EQ(vault->from_file("taus.bin", bytes).value(), "taus");
  EXPECT_EQ(vault->from_file("budgets.bin", bytes).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(vault->from_file("taus.bin", "plain").value(), "plain");
  vault->accept_plain(false);
  EXPECT_EQ(vault->from_file("taus.bin", "plain").error().code, ErrorCode::kCorrupt);
  const auto foreign = vault_of(kKeyB)->from_file("taus.bin", bytes);
  EXPECT_EQ(foreign.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(foreign.error().message.find(key_id_of(key_of(1)).hex()), std::string::npos);
  const auto leaving = vault_of(kKeyA, false);
  EXPECT_EQ(leaving->to_file("x", "plain"), "plain");
  EXPECT_EQ(leaving->from_file("taus.bin", bytes).value(), "taus");
}

TEST(Vault, ReloadKeepsWhatIsInUse) {
  const TestFolder folder;
  const std::string path = folder / "keys";
  const auto write = [&](const std::string& text) {
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0600);
  };
  write(kKeyA);
  const auto vault = Vault::open({{"", path, ""}, true}).value();
  const KeyId first = vault->current_key();
  write(kKeyB);
  EXPECT_FALSE(vault->reload({first})) << "the key in use is gone";
  EXPECT_EQ(vault->current_key(), first);
  write(std::string(kKeyB) + "\n" + kKeyA);
  ASSERT_TRUE(vault->reload({first}));
  EXPECT_EQ(vault->current_key(), key_id_of(key_of(3)));
  EXPECT_TRUE(vault->knows(first));
}

}  // namespace
}  // namespace enhanced_gptcache::vault

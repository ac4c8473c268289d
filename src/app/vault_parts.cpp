#include "app/vault_parts.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/small_file.h"
#include "security/instance_key.h"

namespace enhanced_gptcache::app {
namespace {

constexpr size_t kKeyFileBytesMax = 4096;
constexpr const char* kInstanceKeyName = "instance.key";
constexpr std::string_view kSealedWord = "sealed ";

std::string to_hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

/// Empty: no hexadecimal digits.
std::string from_hex(std::string_view text) {
  if (text.size() % 2 != 0 || text.find_first_not_of("0123456789abcdef") != text.npos) return {};
  std::string bytes(text.size() / 2, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    unsigned char byte = 0;
    std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, byte, 16);
    bytes[i] = static_cast<char>(byte);
  }
  return bytes;
}

std::string path_of_key(const config::Settings& settings, const std::string& folder) {
  const std::string& named = settings.security.instance_key_file;
  return named.empty() ? security::instance_key_path(folder) : named;
}

/// What follows "sealed " in the file, as bytes; empty: it is not sealed.
Result<std::string> read_sealed(const std::string& path) {
  auto text = base::read_private_file(path, kKeyFileBytesMax);
  if (!text) return fail(std::move(text).error());
  while (!text->empty() && text->back() == '\n') text->pop_back();
  if (!text->starts_with(kSealedWord)) return std::string();
  std::string bytes = from_hex(std::string_view(*text).substr(kSealedWord.size()));
  if (bytes.empty()) return fail(ErrorCode::kCorrupt, fmt::format("the instance key {} is damaged", path));
  return bytes;
}

Result<base::SecretKey> unseal(const std::string& path, std::string sealed, const vault::Vault* vault) {
  if (vault == nullptr)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is sealed, so what is stored is encrypted: name the master key again "
                            "(storage.encryption_key_file, _keys or _command); nothing was changed",
                            path));
  auto plain = vault->from_file(kInstanceKeyName, std::move(sealed));
  if (!plain) return fail(plain.error().code, fmt::format("{}: {}", path, plain.error().message));
  base::SecretKey key;
  if (plain->size() != key.size())
    return fail(ErrorCode::kCorrupt, fmt::format("the instance key {} is damaged", path));
  std::memcpy(key.data(), plain->data(), key.size());
  return key;
}

Result<void> write_sealed(const std::string& path, const base::SecretKey& key, const vault::Vault& vault) {
  const std::string_view plain(reinterpret_cast<const char*>(key.data()), key.size());
  if (!vault.encrypts()) return base::replace_file(path, to_hex(plain) + "\n");
  return base::replace_file(path,
                            std::string(kSealedWord) + to_hex(vault.to_file(kInstanceKeyName, plain)) + "\n");
}

Result<void> to_void(const Result<base::SecretKey>& key) { return key ? Result<void>() : fail(key.error()); }

}  // namespace

std::string keystore_folder(const config::Settings& settings, const std::string& folder) {
  return settings.storage.keystore_path.empty() ? folder + "/keystore" : settings.storage.keystore_path;
}

std::string subject_keys_path(const std::string& keystore_folder) {
  return keystore_folder + "/subjects.keys";
}
std::string ledger_path(const std::string& keystore_folder) { return keystore_folder + "/erasures.ledger"; }

Result<std::shared_ptr<vault::Vault>> open_vault(const config::Settings& settings) {
  vault::VaultOptions options;
  options.keys = {settings.storage.encryption_keys, settings.storage.encryption_key_file,
                  settings.storage.encryption_key_command};
  options.encrypts = settings.storage.encryption != "off";
  if (!options.keys.is_set()) return std::shared_ptr<vault::Vault>();
  return vault::Vault::open(options);
}

Result<std::shared_ptr<const vault::KeyRing>> backup_keys(const config::Settings& settings) {
  const auto& storage = settings.storage;
  const vault::KeySource sources[] = {
      {storage.backup_keys, storage.backup_key_file, {}, "storage.backup_key"},
      {storage.encryption_keys, storage.encryption_key_file, storage.encryption_key_command}};
  std::vector<vault::MasterKey> keys;
  for (const vault::KeySource& source : sources) {
    if (!source.is_set()) continue;
    EGPTC_TRY(const auto ring, vault::load_keys(source));
    keys.insert(keys.end(), ring->keys().begin(), ring->keys().end());
  }
  if (keys.empty()) return std::shared_ptr<const vault::KeyRing>();
  return std::make_shared<const vault::KeyRing>(std::move(keys));
}

Result<base::SecretKey> open_instance_key(const config::Settings& settings, const std::string& folder,
                                          const vault::Vault* vault) {
  const std::string path = path_of_key(settings, folder);
  // A key that was named is somebody else's, replicas share it: it stays as it is.
  const bool is_ours = settings.security.instance_key_file.empty() && vault != nullptr;
  auto sealed = read_sealed(path);
  if (!sealed && sealed.error().code == ErrorCode::kNotFound && is_ours) {
    const base::SecretKey key = base::random_key();
    EGPTC_TRY_VOID(write_sealed(path, key, *vault));
    return key;
  }
  if (!sealed && sealed.error().code != ErrorCode::kNotFound) return fail(std::move(sealed).error());
  const bool is_sealed = sealed && !sealed->empty();
  const bool is_current = vault != nullptr && (is_sealed ? vault->is_current(*sealed) : !vault->encrypts());
  auto key =
      is_sealed ? unseal(path, std::move(*sealed), vault) : security::load_or_create_instance_key(path);
  if (key && is_ours && !is_current) EGPTC_TRY_VOID(write_sealed(path, *key, *vault));
  return key;
}

Result<void> check_instance_key(const config::Settings& settings, const std::string& folder,
                                const vault::Vault* vault) {
  const std::string path = path_of_key(settings, folder);
  auto sealed = read_sealed(path);
  if (!sealed && sealed.error().code == ErrorCode::kNotFound) return {};
  if (!sealed) return fail(std::move(sealed).error());
  if (sealed->empty()) return to_void(security::load_or_create_instance_key(path));
  return to_void(unseal(path, std::move(*sealed), vault));
}

Result<base::SecretKey> read_instance_key(const config::Settings& settings, const std::string& folder) {
  const std::string path = path_of_key(settings, folder);
  EGPTC_TRY(std::string sealed, read_sealed(path));
  if (sealed.empty()) return security::load_or_create_instance_key(path);
  EGPTC_TRY(const auto vault, open_vault(settings));
  return unseal(path, std::move(sealed), vault.get());
}

std::string encryption_json(const EncryptionStats& stats) {
  return nlohmann::json{{"encryption", stats.is_on},
                        {"current_key", stats.current_key},
                        {"keys", stats.keys},
                        {"keys_in_use", stats.keys_in_use},
                        {"data_keys", stats.data_keys},
                        {"entries_waiting", stats.waiting},
                        {"is_resealing", stats.is_resealing}}
      .dump();
}

vault::KeyId parse_key_id(std::string_view hex) { return vault::hash_from(from_hex(hex)); }

Result<VaultParts> open_vault_parts(const config::Settings& settings, const std::string& folder,
                                    std::shared_ptr<vault::Vault> vault) {
  VaultParts parts;
  parts.vault = std::move(vault);
  parts.keystore = keystore_folder(settings, folder);
  std::error_code ignored;
  parts.keystore_is_new = !std::filesystem::exists(parts.keystore, ignored);
  EGPTC_TRY(parts.lock, StorageFolder::open(parts.keystore, "storage.keystore_path"));
  if (parts.vault != nullptr) {
    // Before the instance key: a keystore that other master keys have sealed refuses.
    EGPTC_TRY_VOID(parts.vault->open_keystore(subject_keys_path(parts.keystore)));
    // A core would hold keys and everything they protect.
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_CORE, &none) != 0)
      base::log_warning("encryption: core dumps cannot be switched off");
  }
  EGPTC_TRY(parts.instance_key, open_instance_key(settings, folder, parts.vault.get()));
  EGPTC_TRY(parts.erasures, vault::ErasureLedger::open(ledger_path(parts.keystore), parts.instance_key));
  return parts;
}

Result<VaultParts> open_vault_parts(const config::Settings& settings, const std::string& folder) {
  EGPTC_TRY(auto vault, open_vault(settings));
  return open_vault_parts(settings, folder, std::move(vault));
}

void discard_new_keystore(VaultParts& parts) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  // RocksSeals::check() has taken back the file of keys if that is why the start is refused; else it stays.
  if (!parts.keystore_is_new || fs::exists(subject_keys_path(parts.keystore), ignored)) return;
  const std::string ledger = ledger_path(parts.keystore);
  if (parts.erasures == nullptr || fs::file_size(ledger, ignored) != 0) return;
  parts.erasures.reset();
  fs::remove(ledger, ignored);
  fs::remove(parts.keystore + "/" + kLockName, ignored);
  fs::remove(parts.keystore, ignored);  // only when nothing else is in it
}

}  // namespace enhanced_gptcache::app

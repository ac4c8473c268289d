#include "vault/vault.h"

#include <fmt/format.h>

namespace enhanced_gptcache::vault {
namespace {

std::string place_of_file(std::string_view name) { return "file " + std::string(name); }

}  // namespace

Error unknown_master_key(std::string_view what, const KeyId& id) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{} is sealed by the master key {}, which is not among the configured ones "
                      "(storage.encryption_key_file, _keys or _command): add it again; nothing was changed",
                      what, id.hex())};
}

Result<std::shared_ptr<Vault>> Vault::open(const VaultOptions& options) {
  EGPTC_TRY(auto ring, load_keys(options.keys));
  return std::shared_ptr<Vault>(new Vault(options, std::move(ring)));
}

Result<void> Vault::open_keystore(const std::string& path) {
  EGPTC_TRY(subjects_, SubjectKeys::open(path, ring()));
  return {};
}

std::string Vault::seal(std::string_view place, std::string_view plain) const {
  const auto ring = this->ring();
  return seal_bytes({KeyKind::kMaster, ring->current().id}, *ring->current().cipher, place, plain);
}

Result<std::string> Vault::seal_for(const SubjectRef& ref, std::string_view place,
                                    std::string_view plain) const {
  EGPTC_TRY(const DataKey key, subjects_->key_for(ref));
  return seal_bytes({KeyKind::kSubject, key.id}, *key.cipher, place, plain);
}

Opened Vault::open(std::string_view place, std::string_view sealed, char* out) const {
  const auto head = read_head(sealed);
  if (!head) return Opened::kDamaged;
  if (head->kind == KeyKind::kSubject) {
    const auto cipher = subjects_ == nullptr ? nullptr : subjects_->find(head->key);
    if (cipher == nullptr) return Opened::kKeyDestroyed;
    return open_bytes(sealed, *cipher, place, out) ? Opened::kYes : Opened::kDamaged;
  }
  const auto ring = this->ring();
  const MasterKey* key = ring->find(head->key);
  if (key == nullptr) return Opened::kForeignKey;
  return open_bytes(sealed, *key->cipher, place, out) ? Opened::kYes : Opened::kDamaged;
}

std::string Vault::to_file(std::string_view name, std::string_view plain) const {
  return encrypts() ? seal(place_of_file(name), plain) : std::string(plain);
}

Result<std::string> Vault::from_file(std::string_view name, std::string bytes) const {
  if (!looks_sealed(bytes)) {
    if (accepts_plain()) return bytes;
    return fail(ErrorCode::kCorrupt, fmt::format("{} is not sealed, but everything here is", name));
  }
  std::string plain(opened_bytes(bytes), '\0');
  switch (open(place_of_file(name), bytes, plain.data())) {
    case Opened::kYes:
      return plain;
    case Opened::kForeignKey:
      return fail(unknown_master_key(name, read_head(bytes)->key));
    default:
      return fail(ErrorCode::kCorrupt, fmt::format("{} does not open: it was changed or moved", name));
  }
}

std::vector<KeyId> Vault::key_ids() const {
  std::vector<KeyId> ids;
  const auto ring = this->ring();
  for (const MasterKey& key : ring->keys()) ids.push_back(key.id);
  return ids;
}

bool Vault::is_current(std::string_view bytes) const {
  if (!looks_sealed(bytes)) return !encrypts();
  const auto head = read_head(bytes);
  return encrypts() && head && (head->kind == KeyKind::kSubject || head->key == current_key());
}

Result<void> Vault::reload(const std::vector<KeyId>& in_use) {
  EGPTC_TRY(auto ring, load_keys(options_.keys));
  for (const KeyId& id : in_use)
    if (ring->find(id) == nullptr) return fail(unknown_master_key("part of what is stored", id));
  ring_.set(std::move(ring));
  key_changes_.fetch_add(1, std::memory_order_acq_rel);
  return {};
}

Result<void> Vault::rewrap() const {
  return subjects_ == nullptr ? Result<void>() : subjects_->rewrap(ring());
}

}  // namespace enhanced_gptcache::vault

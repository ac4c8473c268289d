#include "store/entry_seal.h"

#include "vault/erasure_ledger.h"

namespace enhanced_gptcache::store {
namespace {

std::string place_of(const base::Hash128& key, const base::Hash128& id) {
  return "entry v1 " + vault::hash_bytes(key) + vault::hash_bytes(id);
}

}  // namespace

std::string_view owner_of(const EntryView& entry) {
  const std::string_view subject = entry.text(EntryText::kSubject);
  return subject.empty() ? entry.text(EntryText::kUser) : subject;
}

bool is_client_name(std::string_view tenant, std::string_view name) {
  return name == tenant || name.find(':') != name.npos;
}

bool is_shared(const EntryView& entry) {
  const std::string_view owner = owner_of(entry);
  const std::string_view user = entry.text(EntryText::kUser);
  const std::string_view writer = entry.text(EntryText::kPrincipal);
  if (!user.empty() && user != owner) return true;
  return !writer.empty() && writer != owner && !is_client_name(entry.text(EntryText::kTenant), writer);
}

Result<std::string> EntrySealer::seal(const base::Hash128& key, const base::Hash128& id,
                                      std::string_view bytes) const {
  if (!vault_->encrypts()) return std::string(bytes);
  const EntryView entry = EntryView::trusted(bytes);
  const std::string_view owner = owner_of(entry);
  if (vault_->subjects() != nullptr && is_shared(entry))
    EGPTC_TRY_VOID(vault_->subjects()->note_shared_entry());
  if (owner.empty() || vault_->subjects() == nullptr) return vault_->seal(place_of(key, id), bytes);
  const std::string_view tenant = entry.text(EntryText::kTenant);
  const vault::SubjectRef ref{vault::subject_hash(instance_key_, tenant, owner),
                              vault::namespace_hash(instance_key_, tenant, entry.text(EntryText::kNamespace)),
                              vault::tenant_hash(instance_key_, tenant)};
  return vault_->seal_for(ref, place_of(key, id), bytes);
}

vault::Opened EntrySealer::open(const base::Hash128& key, const base::Hash128& id, std::string_view stored,
                                EntryBytes& into) const {
  if (!vault::looks_sealed(stored)) {
    if (!vault_->accepts_plain()) return vault::Opened::kDamaged;
    into = {std::make_unique<char[]>(stored.size()), stored.size()};
    std::memcpy(into.data.get(), stored.data(), stored.size());
    return vault::Opened::kYes;
  }
  const size_t size = vault::Vault::opened_bytes(stored);
  into = {std::make_unique<char[]>(size), size};
  return vault_->open(place_of(key, id), stored, into.data.get());
}

}  // namespace enhanced_gptcache::store

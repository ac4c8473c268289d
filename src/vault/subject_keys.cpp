#include "vault/subject_keys.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

namespace enhanced_gptcache::vault {
namespace {

// Every slot has 256 bytes, so that none lies across two sectors of a disk and a torn write damages one
// alone.
constexpr size_t kSlotBytes = 256;
constexpr std::string_view kHeadMagic = "EGPTKEYS";
constexpr std::string_view kSlotMagic = "EGPK";
constexpr char kVersion = 1;
constexpr size_t kAllSealedAt = 9;   // of the head
constexpr size_t kHasSharedAt = 10;  // of the head
constexpr size_t kCreatedAt = 8;
constexpr size_t kIdAt = 16;
constexpr size_t kSubjectAt = 32;
constexpr size_t kNamespaceAt = 48;
constexpr size_t kWrappedAt = 64;
constexpr size_t kWrappedBytes = sizeof(base::SecretKey) + kSealedExtraBytes;
constexpr size_t kTenantAt = 160;  // not authenticated: it is counted and nothing else
constexpr uint64_t kSlotsMax = uint64_t{1} << 26U;
static_assert(kWrappedAt + kWrappedBytes <= kTenantAt);

/// What a wrapped key is bound to: everything before it in its slot.
std::string place_of(std::string_view slot) {
  return "subject key " + std::string(slot.substr(0, kWrappedAt));
}

Error unknown_key(const std::string& path, const KeyId& id) {
  return {
      ErrorCode::kInvalidArgument,
      fmt::format("{} is sealed by the master key {}, which is not among the configured ones: add it again "
                  "(nothing was changed)",
                  path, id.hex())};
}

base::SecretKey random_secret() {
  base::SecretKey key;
  EGPTC_CHECK(RAND_priv_bytes(key.data(), static_cast<int>(key.size())) == 1);
  return key;
}

std::string_view view_of(const base::SecretKey& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

}  // namespace

SubjectKeys::~SubjectKeys() {
  if (auto done = sync(); !done) base::log_warning("keystore: {}", done.error().message);
  ::close(fd_);
}

Error SubjectKeys::io_error(const char* what) const {
  return {ErrorCode::kIo, fmt::format("the keystore {} cannot be {}: {}", path_, what, std::strerror(errno))};
}

Result<std::unique_ptr<SubjectKeys>> SubjectKeys::open(const std::string& path,
                                                       std::shared_ptr<const KeyRing> ring) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::kIo,
                fmt::format("the keystore {} cannot be opened: {}", path, std::strerror(errno)));
  std::unique_ptr<SubjectKeys> keys(new SubjectKeys(path, fd, std::move(ring)));
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail(keys->io_error("examined"));
  if (!S_ISREG(info.st_mode) || (info.st_mode & 077U) != 0)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the keystore {} has mode {:04o}: it must be a file with mode 0600", path,
                            info.st_mode & 07777U));
  const std::lock_guard lock(keys->mutex_);
  // Less than its head: a kill came while it was made, and no key can have been in use.
  const bool is_new = static_cast<size_t>(info.st_size) < kSlotBytes;
  EGPTC_TRY_VOID(is_new ? keys->begin_file() : keys->read_file());
  return keys;
}

Result<void> SubjectKeys::begin_file() {
  is_new_ = true;
  id_ = hash_from(view_of(random_secret()));
  return write_head(false, false);
}

void SubjectKeys::discard_new() {
  const std::lock_guard lock(mutex_);
  if (is_new_ && ciphers_.empty()) ::unlink(path_.c_str());
}

Result<void> SubjectKeys::write_head(bool is_all_sealed, bool has_shared_entries) {
  std::string head(kSlotBytes, '\0');
  std::memcpy(head.data(), kHeadMagic.data(), kHeadMagic.size());
  head[kHeadMagic.size()] = kVersion;
  head[kAllSealedAt] = is_all_sealed ? 1 : 0;
  head[kHasSharedAt] = has_shared_entries ? 1 : 0;
  std::memcpy(head.data() + kIdAt, hash_bytes(id_).data(), sizeof id_);
  // Sealed zeros: they open only under the right master key and only with the head unchanged.
  const std::string sealed = seal_bytes({KeyKind::kMaster, ring_->current().id}, *ring_->current().cipher,
                                        place_of(head), view_of(base::SecretKey{}));
  std::memcpy(head.data() + kWrappedAt, sealed.data(), sealed.size());
  note_master(ring_->current().id);
  EGPTC_TRY_VOID(write_at(0, head));
  if (::fsync(fd_) != 0) return fail(io_error("synced"));
  is_all_sealed_ = is_all_sealed;
  has_shared_entries_ = has_shared_entries;
  return {};
}

/// False: the file ends before it, or within it.
Result<bool> SubjectKeys::read_slot(uint64_t number, std::string& bytes) const {
  bytes.assign(kSlotBytes, '\0');
  const ssize_t got = ::pread(fd_, bytes.data(), kSlotBytes, static_cast<off_t>(number * kSlotBytes));
  if (got < 0) return fail(io_error("read"));
  return got == static_cast<ssize_t>(kSlotBytes);
}

Result<void> SubjectKeys::read_file() {
  std::string bytes;
  for (uint64_t number = 0;; ++number) {
    EGPTC_TRY(const bool is_whole, read_slot(number, bytes));
    slot_count_ = std::max<uint64_t>(1, number);
    if (!is_whole) {
      const bool is_cut = bytes.find_first_not_of('\0') != bytes.npos;
      damaged_ += is_cut ? 1 : 0;
      if (is_cut) base::log_error("keystore: {} ends in the middle of a key", path_);
      return {};
    }
    if (number == 0) {
      if (bytes.substr(0, kHeadMagic.size()) != kHeadMagic || bytes[kHeadMagic.size()] != kVersion)
        return fail(ErrorCode::kCorrupt, fmt::format("{} is no keystore of this version", path_));
      id_ = hash_from(std::string_view(bytes).substr(kIdAt, sizeof id_));
      is_all_sealed_ = bytes[kAllSealedAt] != 0;
      has_shared_entries_ = bytes[kHasSharedAt] != 0;
    }
    EGPTC_TRY_VOID(take_slot(number, bytes));
  }
}

Result<void> SubjectKeys::take_slot(uint64_t number, std::string_view bytes) {
  if (number > 0 && bytes.substr(0, kSlotMagic.size()) != kSlotMagic) {
    if (bytes.find_first_not_of('\0') == bytes.npos) {
      free_.push_back(number);
    } else {
      ++damaged_;
      base::log_error("keystore: slot {} is damaged; the entries of its key cannot be read", number);
    }
    return {};
  }
  const std::string_view wrapped = bytes.substr(kWrappedAt, kWrappedBytes);
  const auto head = read_head(wrapped);
  const MasterKey* master = head && head->kind == KeyKind::kMaster ? ring_->find(head->key) : nullptr;
  if (head && master == nullptr) return fail(unknown_key(path_, head->key));
  if (master != nullptr) note_master(master->id);
  base::SecretKey plain{};
  const bool is_whole = master != nullptr && open_bytes(wrapped, *master->cipher, place_of(bytes),
                                                        reinterpret_cast<char*>(plain.data()));
  if (!is_whole && number == 0)
    return fail(ErrorCode::kCorrupt, fmt::format("the head of the keystore {} is damaged", path_));
  if (!is_whole) {
    ++damaged_;
    base::log_error("keystore: slot {} is damaged; the entries of its key cannot be read", number);
  } else if (number > 0) {
    Slot slot;
    slot.number = number;
    std::memcpy(&slot.created_ms, bytes.data() + kCreatedAt, sizeof slot.created_ms);
    slot.ref = {hash_from(bytes.substr(kSubjectAt, 16)), hash_from(bytes.substr(kNamespaceAt, 16)),
                hash_from(bytes.substr(kTenantAt, 16))};
    slot.key = {hash_from(bytes.substr(kIdAt, 16)), std::make_shared<const Cipher>(plain)};
    file(std::move(slot));
  }
  OPENSSL_cleanse(plain.data(), plain.size());
  return {};
}

Result<void> SubjectKeys::write_at(uint64_t number, std::string_view bytes) {
  const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(number * kSlotBytes));
  if (written != static_cast<ssize_t>(bytes.size())) return fail(io_error("written"));
  is_unsynced_ = true;
  return {};
}

Result<void> SubjectKeys::write_slot(const Slot& slot, std::string_view plain_key) {
  std::string bytes(kSlotBytes, '\0');
  std::memcpy(bytes.data(), kSlotMagic.data(), kSlotMagic.size());
  bytes[kSlotMagic.size()] = kVersion;
  std::memcpy(bytes.data() + kCreatedAt, &slot.created_ms, sizeof slot.created_ms);
  std::memcpy(bytes.data() + kIdAt, hash_bytes(slot.key.id).data(), 16);
  std::memcpy(bytes.data() + kSubjectAt, hash_bytes(slot.ref.subject).data(), 16);
  std::memcpy(bytes.data() + kNamespaceAt, hash_bytes(slot.ref.name_space).data(), 16);
  std::memcpy(bytes.data() + kTenantAt, hash_bytes(slot.ref.tenant).data(), 16);
  const MasterKey& master = ring_->current();
  note_master(master.id);
  const std::string sealed =
      seal_bytes({KeyKind::kMaster, master.id}, *master.cipher, place_of(bytes), plain_key);
  std::memcpy(bytes.data() + kWrappedAt, sealed.data(), sealed.size());
  return write_at(slot.number, bytes);
}

/// Of two keys of one ref, which a crash leaves between retiring and destroying, the newer one seals.
void SubjectKeys::file(Slot slot) {
  std::vector<Slot>& all = slots_[slot.ref.subject];
  bool is_newest = true;
  for (const Slot& other : all)
    is_newest &= other.ref != slot.ref || other.is_retired || other.created_ms <= slot.created_ms;
  if (is_newest) current_[slot.ref] = slot.key;
  ciphers_[slot.key.id] = slot.key.cipher;
  ++tenants_[slot.ref.tenant];
  all.push_back(std::move(slot));
}

/// One tenant cannot take the room of the others.
Result<void> SubjectKeys::check_room(const SubjectRef& ref) const {
  if (free_.empty() && slot_count_ >= kSlotsMax)
    return fail(ErrorCode::kOverloaded, fmt::format("the keystore holds {} keys, no more fit", kSlotsMax));
  const auto tenant = tenants_.find(ref.tenant);
  if (ref.tenant == base::Hash128{} || tenant == tenants_.end() || tenant->second < tenant_keys_max_)
    return {};
  return fail(ErrorCode::kOverloaded,
              fmt::format("the tenant has {} keys of subjects, no more are made", tenant_keys_max_));
}

Result<DataKey> SubjectKeys::key_for(const SubjectRef& ref) {
  const std::lock_guard lock(mutex_);
  if (const auto found = current_.find(ref); found != current_.end()) return found->second;
  EGPTC_TRY_VOID(check_room(ref));
  Slot slot;
  slot.ref = ref;
  slot.created_ms = base::system_clock().wall_ms();
  slot.number = free_.empty() ? slot_count_ : free_.back();
  base::SecretKey plain = random_secret();
  slot.key = {hash_from(view_of(random_secret())), std::make_shared<const Cipher>(plain)};
  auto written = write_slot(slot, view_of(plain));
  OPENSSL_cleanse(plain.data(), plain.size());
  EGPTC_TRY_VOID(std::move(written));
  free_.empty() ? static_cast<void>(++slot_count_) : free_.pop_back();
  const DataKey key = slot.key;
  file(std::move(slot));
  return key;
}

std::shared_ptr<const Cipher> SubjectKeys::find(const KeyId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = ciphers_.find(id);
  return found == ciphers_.end() ? nullptr : found->second;
}

Result<void> SubjectKeys::sync() {
  const std::lock_guard lock(mutex_);
  if (!is_unsynced_) return {};
  if (::fdatasync(fd_) != 0) return fail(io_error("synced"));
  is_unsynced_ = false;
  return {};
}

void SubjectKeys::forget(const Slot& slot) {
  free_.push_back(slot.number);
  ciphers_.erase(slot.key.id);
  if (const auto tenant = tenants_.find(slot.ref.tenant); --tenant->second == 0) tenants_.erase(tenant);
}

size_t SubjectKeys::retire(const base::Hash128& subject, const std::optional<base::Hash128>& name_space,
                           int64_t created_until_ms) {
  const std::lock_guard lock(mutex_);
  const auto all = slots_.find(subject);
  if (all == slots_.end()) return 0;
  size_t retired = 0;
  for (Slot& slot : all->second) {
    if (slot.created_ms > created_until_ms || (name_space && slot.ref.name_space != *name_space)) continue;
    slot.is_retired = true;
    ++retired;
    const auto current = current_.find(slot.ref);
    if (current != current_.end() && current->second.id == slot.key.id) current_.erase(current);
  }
  return retired;
}

Result<size_t> SubjectKeys::destroy_retired(const base::Hash128& subject,
                                            const std::optional<base::Hash128>& name_space) {
  const std::lock_guard lock(mutex_);
  const auto all = slots_.find(subject);
  if (all == slots_.end()) return size_t{0};
  const std::string zeros(kSlotBytes, '\0');
  size_t destroyed = 0;
  Result<void> done;
  std::erase_if(all->second, [&](const Slot& slot) {
    if (!done || !slot.is_retired || (name_space && slot.ref.name_space != *name_space)) return false;
    done = write_at(slot.number, zeros);
    if (!done) return false;
    forget(slot);
    ++destroyed;
    return true;
  });
  if (all->second.empty()) slots_.erase(all);
  EGPTC_TRY_VOID(std::move(done));
  if (destroyed > 0 && ::fsync(fd_) != 0) return fail(io_error("synced"));
  return destroyed;
}

Result<size_t> SubjectKeys::destroy(const base::Hash128& subject,
                                    const std::optional<base::Hash128>& name_space,
                                    int64_t created_until_ms) {
  retire(subject, name_space, created_until_ms);
  return destroy_retired(subject, name_space);
}

/// A slot is read, opened and written again; a kill in between leaves each slot sealed by one of the two
/// keys. First all are looked at: a key that cannot be opened now could not be after the old one has gone.
Result<void> SubjectKeys::rewrap(std::shared_ptr<const KeyRing> ring) {
  const std::lock_guard lock(mutex_);
  EGPTC_TRY(const std::vector<KeyId> used, wrapping_keys());
  for (const KeyId& id : used)
    if (ring->find(id) == nullptr) return fail(unknown_key(path_, id));
  ring_ = std::move(ring);
  std::string bytes;
  const MasterKey& current = ring_->current();
  note_master(current.id);
  for (uint64_t number = 0; number < slot_count_; ++number) {
    EGPTC_TRY(const bool is_there, read_slot(number, bytes));
    const auto wrapped = std::string_view(bytes).substr(kWrappedAt, kWrappedBytes);
    const auto head = is_there ? read_head(wrapped) : std::nullopt;
    const MasterKey* master = head ? ring_->find(head->key) : nullptr;
    base::SecretKey plain{};
    if (master == nullptr || master->id == current.id ||
        !open_bytes(wrapped, *master->cipher, place_of(bytes), reinterpret_cast<char*>(plain.data())))
      continue;
    const std::string sealed =
        seal_bytes({KeyKind::kMaster, current.id}, *current.cipher, place_of(bytes), view_of(plain));
    OPENSSL_cleanse(plain.data(), plain.size());
    std::memcpy(bytes.data() + kWrappedAt, sealed.data(), sealed.size());
    EGPTC_TRY_VOID(write_at(number, bytes));
  }
  if (::fsync(fd_) != 0) return fail(io_error("synced"));
  is_unsynced_ = false;
  masters_ = {current.id};
  return {};
}

std::vector<KeyId> SubjectKeys::master_keys() const {
  const std::lock_guard lock(mutex_);
  return masters_;
}

void SubjectKeys::note_master(const KeyId& id) {
  if (std::find(masters_.begin(), masters_.end(), id) == masters_.end()) masters_.push_back(id);
}

/// From the file itself.
Result<std::vector<KeyId>> SubjectKeys::wrapping_keys() const {
  std::vector<KeyId> ids;
  std::string bytes;
  for (uint64_t number = 0; number < slot_count_; ++number) {
    EGPTC_TRY(const bool is_there, read_slot(number, bytes));
    if (!is_there || (number > 0 && bytes.substr(0, kSlotMagic.size()) != kSlotMagic)) continue;
    const auto head = read_head(std::string_view(bytes).substr(kWrappedAt, kWrappedBytes));
    if (!head || head->kind != KeyKind::kMaster) continue;
    if (std::find(ids.begin(), ids.end(), head->key) == ids.end()) ids.push_back(head->key);
  }
  return ids;
}

Result<void> SubjectKeys::set_all_sealed(bool is_all_sealed) {
  const std::lock_guard lock(mutex_);
  return is_all_sealed == is_all_sealed_ ? Result<void>() : write_head(is_all_sealed, has_shared_entries_);
}

bool SubjectKeys::all_sealed() const {
  const std::lock_guard lock(mutex_);
  return is_all_sealed_;
}

Result<void> SubjectKeys::note_shared_entry() {
  const std::lock_guard lock(mutex_);
  return has_shared_entries_ ? Result<void>() : write_head(is_all_sealed_, true);
}

bool SubjectKeys::has_shared_entries() const {
  const std::lock_guard lock(mutex_);
  return has_shared_entries_;
}

void SubjectKeys::set_tenant_keys_max(size_t keys_max) {
  const std::lock_guard lock(mutex_);
  tenant_keys_max_ = keys_max;
}

}  // namespace enhanced_gptcache::vault

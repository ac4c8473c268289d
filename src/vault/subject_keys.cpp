#include "vault/subject_keys.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

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
constexpr size_t kCreatedAt = 8;
constexpr size_t kIdAt = 16;
constexpr size_t kSubjectAt = 32;
constexpr size_t kNamespaceAt = 48;
constexpr size_t kWrappedAt = 64;
constexpr size_t kWrappedBytes = sizeof(base::SecretKey) + kSealedExtraBytes;
constexpr uint64_t kSlotsMax = uint64_t{1} << 26U;
static_assert(kWrappedAt + kWrappedBytes <= kSlotBytes);

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
  std::string head(kSlotBytes, '\0');
  std::memcpy(head.data(), kHeadMagic.data(), kHeadMagic.size());
  head[kHeadMagic.size()] = kVersion;
  std::memcpy(head.data() + kIdAt, hash_bytes(id_).data(), sizeof id_);
  // Sealed zeros: they open only under the right master key and only with the head unchanged.
  const std::string sealed = seal_bytes({KeyKind::kMaster, ring_->current().id}, *ring_->current().cipher,
                                        place_of(head), view_of(base::SecretKey{}));
  std::memcpy(head.data() + kWrappedAt, sealed.data(), sealed.size());
  EGPTC_TRY_VOID(write_at(0, head));
  if (::fsync(fd_) != 0) return fail(io_error("synced"));
  return {};
}

Result<void> SubjectKeys::read_file() {
  std::string bytes(kSlotBytes, '\0');
  for (uint64_t number = 0;; ++number) {
    const ssize_t got = ::pread(fd_, bytes.data(), kSlotBytes, static_cast<off_t>(number * kSlotBytes));
    if (got < 0) return fail(io_error("read"));
    slot_count_ = std::max<uint64_t>(1, number);
    if (static_cast<size_t>(got) < kSlotBytes) return {};
    if (number == 0) {
      if (bytes.substr(0, kHeadMagic.size()) != kHeadMagic || bytes[kHeadMagic.size()] != kVersion)
        return fail(ErrorCode::kCorrupt, fmt::format("{} is no keystore of this version", path_));
      id_ = hash_from(std::string_view(bytes).substr(kIdAt, sizeof id_));
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
    slot.ref = {hash_from(bytes.substr(kSubjectAt, 16)), hash_from(bytes.substr(kNamespaceAt, 16))};
    slot.key = {hash_from(bytes.substr(kIdAt, 16)), std::make_shared<const Cipher>(plain)};
    ciphers_[slot.key.id] = slot.key.cipher;
    refs_[slot.ref.subject].push_back(slot.ref);
    slots_[slot.ref] = std::move(slot);
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
  const MasterKey& master = ring_->current();
  const std::string sealed =
      seal_bytes({KeyKind::kMaster, master.id}, *master.cipher, place_of(bytes), plain_key);
  std::memcpy(bytes.data() + kWrappedAt, sealed.data(), sealed.size());
  return write_at(slot.number, bytes);
}

Result<DataKey> SubjectKeys::key_for(const SubjectRef& ref) {
  const std::lock_guard lock(mutex_);
  if (const auto found = slots_.find(ref); found != slots_.end()) return found->second.key;
  Slot slot;
  slot.ref = ref;
  slot.created_ms = base::system_clock().wall_ms();
  slot.number = free_.empty() ? slot_count_ : free_.back();
  if (slot.number >= kSlotsMax)
    return fail(ErrorCode::kOverloaded, fmt::format("the keystore holds {} keys, no more fit", kSlotsMax));
  base::SecretKey plain = random_secret();
  slot.key = {hash_from(view_of(random_secret())), std::make_shared<const Cipher>(plain)};
  auto written = write_slot(slot, view_of(plain));
  OPENSSL_cleanse(plain.data(), plain.size());
  EGPTC_TRY_VOID(std::move(written));
  if (free_.empty())
    ++slot_count_;
  else
    free_.pop_back();
  const DataKey key = slot.key;
  ciphers_[key.id] = key.cipher;
  refs_[ref.subject].push_back(ref);
  slots_[ref] = std::move(slot);
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
}

Result<size_t> SubjectKeys::destroy(const base::Hash128& subject,
                                    const std::optional<base::Hash128>& name_space) {
  const std::lock_guard lock(mutex_);
  const auto refs = refs_.find(subject);
  if (refs == refs_.end()) return size_t{0};
  const std::string zeros(kSlotBytes, '\0');
  std::vector<SubjectRef> kept;
  size_t destroyed = 0;
  Result<void> done;
  for (const SubjectRef& ref : refs->second) {
    const auto slot = slots_.find(ref);
    const bool is_wanted = !name_space || ref.name_space == *name_space;
    if (done && is_wanted) done = write_at(slot->second.number, zeros);
    if (!done || !is_wanted) {
      kept.push_back(ref);
      continue;
    }
    forget(slot->second);
    slots_.erase(slot);
    ++destroyed;
  }
  refs->second = std::move(kept);
  if (refs->second.empty()) refs_.erase(refs);
  EGPTC_TRY_VOID(std::move(done));
  if (destroyed > 0 && ::fsync(fd_) != 0) return fail(io_error("synced"));
  return destroyed;
}

/// A slot is read, opened and written again; a kill in between leaves each slot sealed by one of the two
/// keys.
Result<void> SubjectKeys::rewrap(std::shared_ptr<const KeyRing> ring) {
  const std::lock_guard lock(mutex_);
  ring_ = std::move(ring);
  std::string bytes(kSlotBytes, '\0');
  const MasterKey& current = ring_->current();
  for (uint64_t number = 0; number < slot_count_; ++number) {
    if (::pread(fd_, bytes.data(), kSlotBytes, static_cast<off_t>(number * kSlotBytes)) !=
        static_cast<ssize_t>(kSlotBytes))
      return fail(io_error("read"));
    const auto wrapped = std::string_view(bytes).substr(kWrappedAt, kWrappedBytes);
    const auto head = read_head(wrapped);
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
  return {};
}

size_t SubjectKeys::count() const {
  const std::lock_guard lock(mutex_);
  return slots_.size();
}

}  // namespace enhanced_gptcache::vault

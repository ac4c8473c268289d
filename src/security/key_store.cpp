#include "security/key_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <unordered_map>

#include "base/canonical_json.h"
#include "base/epoch.h"
#include "base/log.h"
#include "base/small_file.h"
#include "security/api_key.h"
#include "security/key_file.h"
#include "security/provider_use.h"

namespace enhanced_gptcache::security {
namespace {

constexpr size_t kKeysMax = 10'000;
constexpr size_t kNameBytesMax = 128;
constexpr size_t kListMax = 256;
constexpr int64_t kGraceMsMax = int64_t{30} * 24 * 3600 * 1000;

/// The prefix as a number; 48 bits fit. The caller has checked that they are hexadecimal digits.
uint64_t number_of(std::string_view prefix) {
  uint64_t number = 0;
  std::from_chars(prefix.data(), prefix.data() + prefix.size(), number, 16);
  return number;
}

Result<IdentityPtr> identity_of(const KeyRecord& record) {
  auto identity = std::make_shared<Identity>();
  identity->id = "key:" + record.prefix;
  identity->tenant = tenant_of_name(record.wish.tenant);
  identity->role = record.wish.role;
  EGPTC_TRY(identity->scopes, parse_scopes(record.wish.scopes));
  EGPTC_TRY(identity->controls, parse_controls(record.wish.controls));
  identity->namespaces = record.wish.namespaces;
  identity->trusted = record.wish.trusted;
  return IdentityPtr(std::move(identity));
}

Result<void> check_wish(const KeyWish& wish, int64_t now_ms) {
  if (wish.name.size() > kNameBytesMax || !base::is_valid_utf8(wish.name))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("name: must be at most {} bytes of UTF-8", kNameBytesMax));
  if (!wish.tenant.empty()) EGPTC_TRY_VOID(check_tenant_name(wish.tenant));
  if (wish.namespaces.size() > kListMax)
    return fail(ErrorCode::kInvalidArgument, fmt::format("namespaces: at most {} are allowed", kListMax));
  for (const std::string& name : wish.namespaces) EGPTC_TRY_VOID(check_namespace_name(name));
  EGPTC_TRY_VOID(parse_scopes(wish.scopes));
  EGPTC_TRY_VOID(parse_controls(wish.controls));
  if (wish.expires_ms != 0 && wish.expires_ms <= now_ms)
    return fail(ErrorCode::kInvalidArgument, "expires: must be in the future");
  return {};
}

}  // namespace

/// What authenticate() reads: immutable once published.
struct KeyStore::Table {
  struct Row {
    base::Sha256 hash{}, old_hash{};
    bool has_old = false;
    int64_t expires_ms = 0, old_until_ms = 0;
    IdentityPtr identity;
  };
  std::vector<KeyRecord> records;
  std::unordered_map<uint64_t, Row> active;
  std::set<std::string, std::less<>> tenants;  ///< of all records that use a provider, revoked ones too
};

KeyStore::KeyStore(std::string path, const base::SecretKey& instance_key, const base::Clock& clock)
    : path_(std::move(path)),
      hmac_(std::string_view(reinterpret_cast<const char*>(instance_key.data()), instance_key.size())),
      clock_(clock),
      table_(new std::shared_ptr<const Table>(std::make_shared<const Table>())) {}

KeyStore::~KeyStore() { delete table_.load(std::memory_order_acquire); }

std::shared_ptr<const KeyStore::Table> KeyStore::table() const {
  const base::EpochGuard pin;
  return *table_.load(std::memory_order_acquire);
}

void KeyStore::publish(std::shared_ptr<const Table> fresh) {
  auto* holder = new std::shared_ptr<const Table>(std::move(fresh));
  base::epoch_retire(table_.exchange(holder, std::memory_order_acq_rel));
}

std::string KeyStore::hash_of(std::string_view key) const {
  return base::to_hex(hmac_.compute("egptc api key v1:", key));
}

Result<std::unique_ptr<KeyStore>> KeyStore::open(const std::string& folder,
                                                 const base::SecretKey& instance_key,
                                                 const base::Clock& clock) {
  std::unique_ptr<KeyStore> store(new KeyStore(folder + "/api_keys.json", instance_key, clock));
  EGPTC_TRY(std::vector<KeyRecord> records, read_key_file(store->path_));
  EGPTC_TRY_VOID(store->commit(std::move(records)));
  return store;
}

Result<void> KeyStore::commit(std::vector<KeyRecord> records, bool in_any_case) {
  auto fresh = std::make_shared<Table>();
  for (const KeyRecord& record : records) {
    if (uses_provider(record.wish.role)) fresh->tenants.insert(tenant_of_name(record.wish.tenant));
    if (record.revoked_ms != 0) continue;
    Table::Row row;
    if (!parse_sha256(record.hash, row.hash))
      return fail(ErrorCode::kCorrupt, fmt::format("{}: key {} has no valid hash", path_, record.prefix));
    row.has_old = parse_sha256(record.old_hash, row.old_hash);
    row.expires_ms = record.wish.expires_ms;
    row.old_until_ms = record.old_until_ms;
    EGPTC_TRY(row.identity, identity_of(record));
    fresh->active.emplace(number_of(record.prefix), std::move(row));
  }
  // Only a change is written: a folder that is opened to be read stays as it was.
  const std::string text = key_file_text(records);
  const auto present = base::read_private_file(path_, kKeyFileBytesMax);
  const bool absent = !present && present.error().code == ErrorCode::kNotFound;
  Result<void> written;
  if (absent ? !records.empty() : !present || *present != text) written = base::replace_file(path_, text);
  if (!written && !in_any_case) return written;
  fresh->records = std::move(records);
  publish(std::move(fresh));
  return written;
}

IdentityPtr KeyStore::authenticate(std::string_view key) const {
  const auto parts = parse_api_key(key);
  if (!parts) return nullptr;
  const base::Sha256 hash = hmac_.compute("egptc api key v1:", key);
  const base::EpochGuard pin;
  const Table& table = **table_.load(std::memory_order_acquire);
  const auto found = table.active.find(number_of(parts->prefix));
  if (found == table.active.end()) return nullptr;
  const Table::Row& row = found->second;
  const int64_t now_ms = clock_.wall_ms();
  if (row.expires_ms != 0 && now_ms >= row.expires_ms) return nullptr;
  if (base::equal_in_constant_time(base::bytes_of(hash), base::bytes_of(row.hash))) return row.identity;
  const bool old_goes = row.has_old && now_ms < row.old_until_ms;
  if (old_goes && base::equal_in_constant_time(base::bytes_of(hash), base::bytes_of(row.old_hash)))
    return row.identity;
  return nullptr;
}

Result<NewKey> KeyStore::create(const KeyWish& wish) {
  const std::lock_guard lock(mutex_);
  const int64_t now_ms = clock_.wall_ms();
  EGPTC_TRY_VOID(check_wish(wish, now_ms));
  std::vector<KeyRecord> records = table()->records;
  if (records.size() >= kKeysMax) {
    // Those that can never be used again make room, oldest first.
    const auto dead = std::find_if(records.begin(), records.end(),
                                   [](const KeyRecord& record) { return record.revoked_ms != 0; });
    if (dead == records.end())
      return fail(ErrorCode::kOverloaded, fmt::format("there are {} keys, the most that are kept", kKeysMax));
    records.erase(dead);
  }
  NewKey made;
  made.key = make_api_key();
  made.record.prefix = parse_api_key(made.key)->prefix;
  made.record.wish = wish;
  if (wish.tenant.empty()) made.record.wish.tenant = "key-" + made.record.prefix;
  made.record.created_ms = now_ms;
  made.record.source = "created";
  made.record.hash = hash_of(made.key);
  const auto same = [&made](const KeyRecord& record) { return record.prefix == made.record.prefix; };
  if (std::any_of(records.begin(), records.end(), same))
    return fail(ErrorCode::kInternal, "the random prefix is taken already; try again");
  records.push_back(made.record);
  EGPTC_TRY_VOID(commit(std::move(records)));
  return made;
}

namespace {

bool holds_active_admin(const std::vector<KeyRecord>& records, int64_t now_ms) {
  return std::any_of(records.begin(), records.end(), [now_ms](const KeyRecord& record) {
    const bool expired = record.wish.expires_ms != 0 && record.wish.expires_ms <= now_ms;
    return record.wish.role == Role::kAdmin && record.revoked_ms == 0 && !expired;
  });
}

Result<KeyRecord*> find_active(std::vector<KeyRecord>& records, std::string_view prefix) {
  for (KeyRecord& record : records)
    if (record.prefix == prefix && record.revoked_ms == 0) return &record;
  return fail(ErrorCode::kNotFound,
              fmt::format("there is no active key {}", base::repair_utf8(prefix.substr(0, 32))));
}

}  // namespace

Result<NewKey> KeyStore::rotate(std::string_view prefix, int64_t grace_ms) {
  const std::lock_guard lock(mutex_);
  if (grace_ms < 0 || grace_ms > kGraceMsMax)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("grace_seconds: is {}, allowed is 0 to {}", grace_ms / 1000, kGraceMsMax / 1000));
  std::vector<KeyRecord> records = table()->records;
  EGPTC_TRY(KeyRecord* const record, find_active(records, prefix));
  NewKey made;
  made.key = make_api_key(prefix);
  record->rotated_ms = clock_.wall_ms();
  record->old_hash = grace_ms > 0 ? record->hash : std::string();
  record->old_until_ms = grace_ms > 0 ? record->rotated_ms + grace_ms : 0;
  record->hash = hash_of(made.key);
  made.record = *record;
  EGPTC_TRY_VOID(commit(std::move(records)));
  return made;
}

Result<void> KeyStore::revoke(std::string_view prefix, bool keeps_an_admin) {
  const std::lock_guard lock(mutex_);
  std::vector<KeyRecord> records = table()->records;
  EGPTC_TRY(KeyRecord* const record, find_active(records, prefix));
  record->revoked_ms = clock_.wall_ms();
  if (keeps_an_admin && !holds_active_admin(records, record->revoked_ms))
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} is the last active admin key and the caller's own: make another one first "
                            "(keys create --role admin), then revoke this one with it",
                            prefix));
  record->old_hash.clear();
  return commit(std::move(records), true);
}

Result<void> KeyStore::adopt_admin(std::string_view key) {
  EGPTC_TRY_VOID(check_admin_key_form(key));
  const auto parts = parse_api_key(key);
  const std::lock_guard lock(mutex_);
  const std::string hash = hash_of(key);
  std::vector<KeyRecord> records = table()->records;
  std::erase_if(records, [](const KeyRecord& record) { return record.source == "file"; });
  if (std::any_of(records.begin(), records.end(),
                  [&parts](const KeyRecord& record) { return record.prefix == parts->prefix; }))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the admin key's name {} is that of another key", parts->prefix));
  KeyRecord record;
  record.prefix = parts->prefix;
  record.wish.name = "admin key file";
  record.wish.role = Role::kAdmin;
  record.wish.tenant = "key-" + record.prefix;
  record.created_ms = clock_.wall_ms();
  record.source = "file";
  record.hash = hash;
  // The same key as last time leaves the file alone.
  for (const KeyRecord& before : table()->records)
    if (before.source == "file" && before.hash == hash && before.revoked_ms == 0)
      record.created_ms = before.created_ms;
  records.push_back(std::move(record));
  return commit(std::move(records));
}

Result<void> KeyStore::drop_adopted() {
  const std::lock_guard lock(mutex_);
  std::vector<KeyRecord> records = table()->records;
  const size_t gone = std::erase_if(records, [](const KeyRecord& record) { return record.source == "file"; });
  return gone == 0 ? Result<void>() : commit(std::move(records));
}

std::vector<KeyRecord> KeyStore::list() const { return table()->records; }

bool KeyStore::has_other_tenant(std::string_view tenant) const {
  const base::EpochGuard pin;
  const auto& tenants = (*table_.load(std::memory_order_acquire))->tenants;
  return tenants.size() > (tenants.contains(tenant) ? 1U : 0U);
}

bool KeyStore::has_active_admin() const { return holds_active_admin(table()->records, clock_.wall_ms()); }

}  // namespace enhanced_gptcache::security

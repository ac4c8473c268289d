#include "store/rocks_migrate.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/log.h"
#include "store/entry_seal.h"

namespace enhanced_gptcache::store {
namespace {

constexpr size_t kMigrationBatchBytes = size_t{4} << 20U;

/// Sealed bytes are opened, converted and sealed again; those that do not open are left to load().
Result<std::string> converted_entry(const RocksDb& db, const RocksTableOptions& options,
                                    const Migration& convert, std::string_view key, std::string_view bytes) {
  if (options.sealer == nullptr || !vault::looks_sealed(bytes)) return convert(bytes);
  std::string id;
  EGPTC_TRY_VOID(result_of(db.db->Get({}, db.directory, rocksdb::Slice(key.data(), key.size()), &id)));
  EntryBytes plain;
  if (key.size() != sizeof(base::Hash128) || id.size() != sizeof(base::Hash128) ||
      options.sealer->open(key_of(key), key_of(id), bytes, plain) != vault::Opened::kYes)
    return std::string(bytes);
  EGPTC_TRY(const std::string converted, convert(plain.view()));
  return options.sealer->seal(key_of(key), key_of(id), converted);
}

}  // namespace

Result<void> migrate_table(const RocksDb& db, const RocksTableOptions& options, uint32_t from,
                           uint32_t sealed_bit) {
  rocksdb::WriteOptions synced;
  synced.sync = true;
  for (uint32_t version = from; version < options.schema_version; ++version) {
    if (version > options.migrations.size())
      return fail(ErrorCode::kUnsupported, fmt::format("no migration from schema version {}", version));
    const Migration& convert = options.migrations[version - 1];
    rocksdb::WriteBatch batch;
    uint64_t dropped = 0;
    const std::unique_ptr<rocksdb::Iterator> each(db.db->NewIterator({}, db.entries));
    for (each->SeekToFirst(); each->Valid(); each->Next()) {
      auto converted =
          converted_entry(db, options, convert, each->key().ToStringView(), each->value().ToStringView());
      if (converted) {
        batch.Put(db.entries, each->key(), *converted);
      } else {
        ++dropped;
        batch.Delete(db.entries, each->key());
        batch.Delete(db.directory, each->key());
      }
      if (batch.GetDataSize() < kMigrationBatchBytes) continue;
      EGPTC_TRY_VOID(result_of(db.db->Write({}, &batch)));
      batch.Clear();
    }
    EGPTC_TRY_VOID(result_of(each->status()));
    batch.Put(db.meta, kSchemaKey, std::to_string((version + 1) | sealed_bit));
    EGPTC_TRY_VOID(result_of(db.db->Write(synced, &batch)));
    base::log_info("storage: schema version {} is now {}, {} entries could not be converted", version,
                   version + 1, dropped);
  }
  return {};
}

}  // namespace enhanced_gptcache::store

#pragma once
// Copies of the few bytes on which much hangs, in a folder beside the table: the manifest as of the last
// sync, what follows the data blocks of each table file (index, properties, footer), and the small families
// `default` and `directory` as they are. A damaged bit there would cost whole files; with the copy it costs
// nothing. Table files never change once they are written, and their numbers are not used again, so a copy is
// right or it is of another table: then it differs in too much, and nothing is touched.

#include <rocksdb/listener.h>

#include <memory>
#include <string>

#include "store/rocks_db.h"
#include "store/rocks_mark.h"

namespace enhanced_gptcache::store {

/// Where the copies for the table in `folder` are.
std::string spare_folder(const std::string& folder);
/// Copies each table file when it is made and forgets it when it is removed. Thread rule: any. What cannot be
/// written is not copied: a weaker promise and no wrong one.
std::shared_ptr<rocksdb::EventListener> make_spare_keeper(const std::string& folder);
/// Copies what has no copy yet: files of a version that made none. Drops dead ones.
void keep_missing_spares(RocksDb& db, const std::string& folder);
/// Copies of files that are gone hold keys and ids of entries that may be gone, too.
void drop_dead_spares(const std::string& folder);
/// Replaces the copy of a manifest; there is one at most.
void keep_manifest_spare(const std::string& folder, const std::string& name, const std::string& content);
/// Before the table is opened, by whoever holds its lock: puts damaged bytes right, and CURRENT when it names
/// no manifest. Each file that was mended is named in the log.
void mend_from_spares(const std::string& folder, const Mark& mark);
void remove_spares(const std::string& folder);

}  // namespace enhanced_gptcache::store

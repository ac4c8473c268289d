#pragma once
// A backup is one tar.gz, encrypted as a whole if asked for: configuration, models, cache data and recent
// logs below backup_<timestamp>/, and the checksums of all of it. It is read back before it counts, and
// nothing is replaced by a restore until every file of it has been verified and the old state is kept.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backup/metadata.h"
#include "vault/key_ring.h"

namespace enhanced_gptcache::backup {

/// One file or folder, and where it goes in the backup.
struct Source {
  std::string from;
  std::string as;
};

using BackupKeys = std::shared_ptr<const vault::KeyRing>;

struct BackupPlan {
  std::string
      folder;       ///< made when missing; the backup is <folder>/backup_<timestamp>.tar.gz, or .tar.gz.enc
  BackupKeys keys;  ///< the first one encrypts it; null: it is not encrypted
  std::string type = "production";
  std::string config_name;  ///< name in the backup of the settings file; empty: there is none
  std::vector<Source> sources;
};

struct Made {
  std::string path;
  Metadata metadata;
};

/// kIo: a source cannot be read or the backup not written; what was begun is removed.
Result<Made> make_backup(const BackupPlan& plan);

/// Reads every byte. kCorrupt: a file is missing, changed, or not listed, or the encrypted whole is cut,
/// changed or in another order; kInvalidArgument: it is encrypted and its key is not among `keys`.
Result<Metadata> verify_backup(const std::string& path, const BackupKeys& keys);

/// Removes backups of our naming that are older than `days`; how many.
size_t remove_old_backups(const std::string& folder, int days);

/// Verifies and unpacks below `folder`, which must not exist.
Result<Metadata> unpack_backup(const std::string& path, const BackupKeys& keys, const std::string& folder);

/// One thing a restore puts into place.
struct Replacement {
  std::string from;  ///< unpacked
  std::string to;    ///< its place; what is there now goes to `kept`
  std::string kept;
};
/// All of them or none: when one cannot be put into place, those before it are taken back.
Result<void> replace_all(const std::vector<Replacement>& replacements);

/// 20260131_235959 of now, UTC.
std::string timestamp_now();

}  // namespace enhanced_gptcache::backup

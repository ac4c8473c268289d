#pragma once
// backup_metadata.yaml: what a backup is, and what each of its files must be. The last file of the archive.

#include <string>
#include <string_view>
#include <vector>

#include "backup/archive.h"

namespace enhanced_gptcache::backup {

inline constexpr const char* kMetadataName = "backup_metadata.yaml";

struct Metadata {
  std::string timestamp;  ///< 20260131_235959, UTC
  std::string type;       ///< production, staging or development
  std::string version;    ///< of the program that wrote it
  std::string hostname;
  std::string os;
  std::string config_name;  ///< of the settings file in the backup; empty: none
  uint64_t bytes = 0;       ///< of all files before compression
  std::vector<ArchivedFile> files;
};

std::string metadata_yaml(const Metadata& metadata);
/// kCorrupt: not such a file, or a field is missing.
Result<Metadata> read_metadata(std::string_view yaml);

}  // namespace enhanced_gptcache::backup

#include "backup/metadata.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/canonical_json.h"
#include "base/sha256.h"

namespace enhanced_gptcache::backup {
namespace {

/// The last line: the checksum of all text before it.
constexpr std::string_view kOwnSum = "metadata_sha256: ";
std::string own_sum_line(std::string_view before) {
  return fmt::format("{}{}\n", kOwnSum, base::to_hex(base::sha256(before)));
}

/// A JSON string is a YAML string, whatever is in it.
std::string quoted(const std::string& text) { return base::json_string(base::repair_utf8(text)); }

std::string human(uint64_t bytes) {
  static constexpr char kUnits[] = {'B', 'K', 'M', 'G', 'T'};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < sizeof kUnits; ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{}", bytes) : fmt::format("{:.1f}{}", value, kUnits[unit]);
}

}  // namespace

std::string metadata_yaml(const Metadata& metadata) {
  std::string out = fmt::format(
      "backup_timestamp: {}\nbackup_type: {}\nenhanced_gptcache_version: {}\nsystem_info:\n  hostname: {}\n"
      "  os: {}\nbackup_size: {}\nbackup_bytes: {}\nconfig: {}\nfiles:\n",
      quoted(metadata.timestamp), quoted(metadata.type), quoted(metadata.version), quoted(metadata.hostname),
      quoted(metadata.os), quoted(human(metadata.bytes)), metadata.bytes, quoted(metadata.config_name));
  for (const ArchivedFile& file : metadata.files)
    out +=
        fmt::format("  - {{path: {}, bytes: {}, sha256: {}}}\n", quoted(file.name), file.bytes, file.sha256);
  return out + own_sum_line(out);
}

Result<Metadata> read_metadata(std::string_view yaml) {
  const size_t own_sum = yaml.rfind(kOwnSum);
  if (own_sum == yaml.npos || yaml.substr(own_sum) != own_sum_line(yaml.substr(0, own_sum)))
    return fail(ErrorCode::kCorrupt, fmt::format("{} has changed", kMetadataName));
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    Metadata metadata;
    metadata.timestamp = root["backup_timestamp"].as<std::string>();
    metadata.type = root["backup_type"].as<std::string>();
    metadata.version = root["enhanced_gptcache_version"].as<std::string>();
    metadata.hostname = root["system_info"]["hostname"].as<std::string>();
    metadata.os = root["system_info"]["os"].as<std::string>();
    metadata.config_name = root["config"].as<std::string>();
    metadata.bytes = root["backup_bytes"].as<uint64_t>();
    for (const YAML::Node& file : root["files"]) {
      metadata.files.push_back(
          {file["path"].as<std::string>(), file["bytes"].as<uint64_t>(), file["sha256"].as<std::string>()});
    }
    return metadata;
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kCorrupt, fmt::format("{}: {}", kMetadataName, error.what()));
  }
}

}  // namespace enhanced_gptcache::backup

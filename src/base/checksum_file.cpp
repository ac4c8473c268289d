#include "base/checksum_file.h"

#include <fmt/format.h>

#include <optional>

#include "base/sha256.h"
#include "base/small_file.h"

namespace enhanced_gptcache::base {
namespace {

constexpr size_t kListBytesMax = size_t{64} << 10U;
constexpr size_t kDigits = 64;

/// A line is the digits, a space, a space or (read as binary) a star, and the name.
std::optional<std::string_view> sum_of(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const size_t end = std::min(list.find('\n'), list.size());
    const std::string_view line = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const bool is_formed = line.size() > kDigits + 2 && line[kDigits] == ' ';
    if (is_formed && line.substr(kDigits + 2) == name) return line.substr(0, kDigits);
  }
  return std::nullopt;
}

}  // namespace

Result<void> check_listed_sha256(const std::string& path, std::string_view bytes) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string list_path = folder + std::string(kChecksumFile);
  EGPTC_TRY(const std::string list, read_small_file(list_path, kListBytesMax));
  const auto expected = sum_of(list, name);
  if (!expected) return fail(ErrorCode::kCorrupt, fmt::format("{} does not list {}", list_path, name));
  if (*expected == to_hex(sha256(bytes))) return {};
  return fail(
      ErrorCode::kCorrupt,
      fmt::format("{} has another SHA-256 than {} lists: it is damaged, or not the one that belongs there",
                  path, list_path));
}

}  // namespace enhanced_gptcache::base

#include "embed/weights_hash.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string_view>

#include "embed/model_files.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr size_t kMemoBytesMax = 512;
constexpr int64_t kSettledSeconds = 2;

struct Identity {
  std::string text;
  int64_t changed_seconds = 0;
};

std::optional<Identity> identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  const auto nanoseconds = [](const timespec& time) {
    return fmt::format("{}.{:09}", static_cast<int64_t>(time.tv_sec), static_cast<int64_t>(time.tv_nsec));
  };
  return Identity{fmt::format("egptc-weights-hash 1 {} {} {} {} {} ", status.st_dev, status.st_ino,
                              status.st_size, nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)),
                  static_cast<int64_t>(status.st_ctim.tv_sec)};
}

std::optional<base::Hash128> parse_hash(std::string_view text) {
  constexpr size_t kHalf = 16;
  if (text.size() != 2 * kHalf) return std::nullopt;
  base::Hash128 hash;
  const auto half = [](std::string_view digits, uint64_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (!half(text.substr(0, kHalf), hash.high) || !half(text.substr(kHalf), hash.low)) return std::nullopt;
  return hash;
}

std::optional<base::Hash128> recall(const std::string& memo, const std::string& identity) {
  const auto text = read_small_file(memo, kMemoBytesMax);
  if (!text || !text->starts_with(identity) || !text->ends_with('\n')) return std::nullopt;
  const std::string_view rest = std::string_view(*text).substr(identity.size());
  return parse_hash(rest.substr(0, rest.size() - 1));
}

void remember(const std::string& memo, const std::string& identity, const base::Hash128& hash) {
  const std::string temporary = fmt::format("{}.{}.tmp", memo, base::random_hex(8));
  bool is_written = false;
  {
    std::ofstream file(temporary, std::ios::binary);
    file << identity << fmt::format("{:016x}{:016x}\n", hash.high, hash.low);
    file.close();
    is_written = file.good();
  }
  // Not synced: a memo that a crash leaves empty or half is not used.
  if (!is_written || std::rename(temporary.c_str(), memo.c_str()) != 0) std::remove(temporary.c_str());
}

}  // namespace

base::Hash128 remembered_hash(const std::string& weights, const std::string& memo, int64_t now_seconds,
                              const std::function<base::Hash128()>& compute) {
  const auto before = identity_of(weights);
  if (before) {
    if (const auto known = recall(memo, before->text)) return *known;
  }
  const base::Hash128 hash = compute();
  const auto after = identity_of(weights);
  const bool is_settled = before && after && before->text == after->text &&
                          after->changed_seconds + kSettledSeconds < now_seconds;
  if (is_settled) remember(memo, after->text, hash);
  return hash;
}

}  // namespace enhanced_gptcache::embed

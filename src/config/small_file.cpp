#include "config/small_file.h"

#include <fmt/format.h>

#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

constexpr size_t kSecretBytesMax = size_t{64} << 10U;

}  // namespace

Result<std::string> read_secret_file(const std::string& path) {
  EGPTC_TRY(const std::string text, read_small_file(path, kSecretBytesMax));
  std::string secret = trim(text);
  if (secret.empty()) return fail(ErrorCode::kInvalidArgument, fmt::format("{} is empty", path));
  const std::string wrong = check_secret(secret);
  if (!wrong.empty()) return fail(ErrorCode::kInvalidArgument, fmt::format("the key in {} {}", path, wrong));
  return secret;
}

}  // namespace enhanced_gptcache::config

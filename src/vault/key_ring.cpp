#include "vault/key_ring.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <charconv>
#include <cstring>

#include "base/hmac.h"
#include "base/small_file.h"
#include "vault/key_source.h"

namespace enhanced_gptcache::vault {
namespace {

constexpr size_t kFileBytesMax = size_t{64} << 10U;

constexpr size_t kHexDigits = 64;
constexpr size_t kKeysMax = 64;

bool parse_hex(std::string_view digits, base::SecretKey& key) {
  if (digits.size() != kHexDigits || digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos)
    return false;
  for (size_t i = 0; i < key.size(); ++i)
    std::from_chars(digits.data() + 2 * i, digits.data() + 2 * i + 2, key[i], 16);
  return true;
}

/// The next word of `rest`, comments left out; empty at the end.
std::string_view next_word(std::string_view& rest) {
  constexpr std::string_view kBetween = " \t\r\n,";
  while (true) {
    rest.remove_prefix(std::min(rest.find_first_not_of(kBetween), rest.size()));
    if (rest.empty() || rest.front() != '#') break;
    rest.remove_prefix(std::min(rest.find('\n'), rest.size()));
  }
  const std::string_view word = rest.substr(0, rest.find_first_of(kBetween));
  rest.remove_prefix(word.size());
  return word;
}

}  // namespace

KeyId key_id_of(const base::SecretKey& key) {
  const base::HmacSha256 hmac({reinterpret_cast<const char*>(key.data()), key.size()});
  const base::Sha256 hash = hmac.compute("egptc master key id v1");
  KeyId id;
  std::memcpy(&id.high, hash.data(), sizeof id.high);
  std::memcpy(&id.low, hash.data() + sizeof id.high, sizeof id.low);
  id.high = __builtin_bswap64(id.high);
  id.low = __builtin_bswap64(id.low);
  return id;
}

const MasterKey* KeyRing::find(const KeyId& id) const {
  for (const MasterKey& key : keys_)
    if (key.id == id) return &key;
  return nullptr;
}

Result<std::shared_ptr<const KeyRing>> parse_keys(std::string_view text, const std::string& where) {
  std::vector<MasterKey> keys;
  while (true) {
    const std::string_view word = next_word(text);
    if (word.empty()) break;
    if (keys.size() == kKeysMax)
      return fail(ErrorCode::kInvalidArgument, fmt::format("{}: more than {} keys", where, kKeysMax));
    base::SecretKey key{};
    if (!parse_hex(word, key))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{}: key number {} must be {} hexadecimal digits (make one with: openssl rand "
                              "-hex 32), it has {} characters",
                              where, keys.size() + 1, kHexDigits, word.size()));
    const KeyId id = key_id_of(key);
    const bool is_new = KeyRing(keys).find(id) == nullptr;
    if (is_new) keys.push_back({id, std::make_shared<const Cipher>(key)});
    OPENSSL_cleanse(key.data(), key.size());
    if (!is_new) return fail(ErrorCode::kInvalidArgument, fmt::format("{}: a key is there twice", where));
  }
  if (keys.empty()) return fail(ErrorCode::kInvalidArgument, fmt::format("{}: holds no key", where));
  return std::make_shared<const KeyRing>(std::move(keys));
}

Result<std::shared_ptr<const KeyRing>> load_keys(const KeySource& source) {
  if (!source.text.empty()) return parse_keys(source.text, source.setting + "s");
  const bool is_file = !source.file.empty();
  auto text = is_file ? base::read_private_file(source.file, kFileBytesMax, base::PrivateOwner::kOursOrRoot)
                      : run_key_command(source.command);
  const std::string where = is_file ? fmt::format("{}_file {}", source.setting, source.file)
                                    : fmt::format("the output of {}_command", source.setting);
  if (!text && is_file)
    return fail(text.error().code, fmt::format("{}_file: {}", source.setting, text.error().message));
  if (!text) return fail(text.error().code, fmt::format("{}: {}", where, text.error().message));
  auto ring = parse_keys(*text, where);
  OPENSSL_cleanse(text->data(), text->size());
  return ring;
}

}  // namespace enhanced_gptcache::vault

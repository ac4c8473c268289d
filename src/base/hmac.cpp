#include "base/hmac.h"

#include <sodium.h>

namespace enhanced_gptcache::base {
namespace {

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

struct HmacSha256::State {
  crypto_auth_hmacsha256_state value;
  ~State() { sodium_memzero(&value, sizeof value); }
};

HmacSha256::HmacSha256(std::string_view key) : keyed_(std::make_unique<State>()) {
  crypto_auth_hmacsha256_init(&keyed_->value, raw(key), key.size());
}

HmacSha256::~HmacSha256() = default;

Sha256 HmacSha256::compute(std::string_view message, std::string_view more) const {
  crypto_auth_hmacsha256_state state = keyed_->value;
  crypto_auth_hmacsha256_update(&state, raw(message), message.size());
  if (!more.empty()) crypto_auth_hmacsha256_update(&state, raw(more), more.size());
  Sha256 out{};
  static_assert(sizeof(Sha256) == crypto_auth_hmacsha256_BYTES);
  crypto_auth_hmacsha256_final(&state, out.data());
  return out;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace enhanced_gptcache::base

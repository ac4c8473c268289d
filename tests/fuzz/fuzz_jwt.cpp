// Tokens and key sets. Nothing that we did not sign is ever accepted; what we did sign is read without harm.

#include <nlohmann/json.hpp>

#include "base/hmac.h"
#include "input.h"
#include "security/jwt.h"

using namespace enhanced_gptcache;

namespace {

constexpr std::string_view kSecret = "a secret that the fuzzer does not know, of enough bytes";

security::JwtRules rules() {
  security::JwtRules rules;
  rules.issuer = "issuer";
  rules.audience = "audience";
  rules.secret = kSecret;
  rules.default_role = "client";
  return rules;
}

std::string base64url(std::string_view bytes) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view three = bytes.substr(i, 3);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8U | (k < three.size() ? static_cast<unsigned char>(three[k]) : 0U);
    for (size_t k = 0; k <= three.size(); ++k) out.push_back(kAlphabet[bits >> (18 - 6 * k) & 63U]);
  }
  return out;
}

/// The input as the claims of a token that is signed as it should be.
std::string signed_token(std::string_view claims) {
  const std::string message = base64url(R"({"alg":"HS256","typ":"JWT"})") + "." + base64url(claims);
  const base::Sha256 signature = base::HmacSha256(kSecret).compute(message);
  return message + "." + base64url({reinterpret_cast<const char*>(signature.data()), signature.size()});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static security::JwtVerifier verifier(rules());
  fuzz::Input input(data, size);
  switch (input.choice(3)) {
    case 0:
      fuzz::must(!verifier.authenticate(input.rest()), "nothing unsigned is accepted");
      break;
    case 1:
      if (const auto caller = verifier.authenticate(signed_token(input.rest()))) {
        const auto claims = nlohmann::json::parse(input.rest(), nullptr, false);
        fuzz::must(claims.is_object() && claims.value("iss", "") == "issuer", "the issuer is ours");
        fuzz::must(!(*caller)->tenant.empty(), "a caller has a tenant");
      }
      break;
    default: {
      auto keys = security::JwkSet::parse(input.rest());
      if (!keys) fuzz::must(!keys.error().message.empty(), "a refusal says why");
    }
  }
  return 0;
}

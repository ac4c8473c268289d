#include "security/jwks.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <nlohmann/json.hpp>

#include "base/canonical_json.h"
#include "security/base64url.h"

namespace enhanced_gptcache::security {
namespace {

using nlohmann::json;

constexpr size_t kKeysMax = 64;
constexpr size_t kKeyIdBytesMax = 256;
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;
constexpr size_t kP256Bytes = 32;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using PkeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using Bignum = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Bignum number_of(std::string_view bytes) {
  return Bignum(BN_bin2bn(raw(bytes), static_cast<int>(bytes.size()), nullptr));
}

/// A member that is base64url text; empty: missing or malformed.
std::string bytes_of(const json& key, const char* member) {
  const auto found = key.find(member);
  if (found == key.end() || !found->is_string()) return {};
  return base64url_decode(found->get_ref<const std::string&>()).value_or("");
}

PkeyPtr build(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return PkeyPtr(made);
}

PkeyPtr rsa_key(const json& key) {
  const std::string modulus = bytes_of(key, "n");
  const std::string exponent = bytes_of(key, "e");
  if (modulus.empty() || exponent.empty() || exponent.size() > 4 || (exponent.back() & 1) == 0)
    return nullptr;
  if (exponent == "\x01") return nullptr;
  const Bignum n = number_of(modulus);
  const Bignum e = number_of(exponent);
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || BN_num_bits(n.get()) < kRsaBitsMin || BN_num_bits(n.get()) > kRsaBitsMax)
    return nullptr;
  if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  return build("RSA", builder.get());
}

PkeyPtr ec_key(const json& key) {
  const std::string x = bytes_of(key, "x");
  const std::string y = bytes_of(key, "y");
  if (key.value("crv", json()) != "P-256" || x.size() != kP256Bytes || y.size() != kP256Bytes) return nullptr;
  const std::string point = "\x04" + x + y;
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) !=
          1)
    return nullptr;
  PkeyPtr made = build("EC", builder.get());
  if (!made) return nullptr;
  // A point that is not on the curve has no business here.
  const PkeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, made.get(), nullptr));
  return check && EVP_PKEY_public_check(check.get()) == 1 ? std::move(made) : nullptr;
}

/// RFC 7518, section 3.4: r and s side by side, 32 bytes each; OpenSSL wants them in DER.
std::string der_of(std::string_view signature) {
  if (signature.size() != 2 * kP256Bytes) return {};
  Bignum r = number_of(signature.substr(0, kP256Bytes));
  Bignum s = number_of(signature.substr(kP256Bytes));
  const std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>> pair(ECDSA_SIG_new());
  if (!r || !s || !pair || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return {};
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  unsigned char* bytes = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &bytes);
  if (size <= 0) return {};
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::kInvalidArgument, "the key set " + message);
}

}  // namespace

struct JwkSet::Key {
  std::string id;
  JwtAlgorithm algorithm = JwtAlgorithm::kRs256;
  PkeyPtr pkey;
};

namespace {

bool is_for_signatures(const json& key) {
  const auto use = key.find("use");
  if (use != key.end() && *use != "sig") return false;
  const auto operations = key.find("key_ops");
  if (operations == key.end()) return true;
  return operations->is_array() &&
         std::find(operations->begin(), operations->end(), "verify") != operations->end();
}

}  // namespace

std::string_view to_string(JwtAlgorithm algorithm) {
  return algorithm == JwtAlgorithm::kRs256 ? "RS256" : "ES256";
}

Result<JwkSet> JwkSet::parse(std::string_view text) {
  if (text.size() > kJwksBytesMax) return wrong(fmt::format("is larger than {} bytes", kJwksBytesMax));
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object() || !root.contains("keys") || !root["keys"].is_array())
    return wrong("is no JSON object with a list named keys");
  if (root["keys"].size() > kKeysMax) return wrong(fmt::format("has more than {} keys", kKeysMax));
  JwkSet set;
  for (const json& one : root["keys"]) {
    if (!one.is_object()) return wrong("holds something that is no key");
    for (const char* secret : {"d", "k", "p", "q"})
      if (one.contains(secret))
        return wrong("holds a private or symmetric key; only public keys belong there");
    const std::string kind = one.value("kty", json()).is_string() ? one["kty"].get<std::string>() : "";
    auto key = std::make_shared<Key>();
    key->algorithm = kind == "RSA" ? JwtAlgorithm::kRs256 : JwtAlgorithm::kEs256;
    if ((kind != "RSA" && kind != "EC") || !is_for_signatures(one)) continue;
    const auto stated = one.find("alg");
    if (stated != one.end() && *stated != to_string(key->algorithm)) continue;
    key->pkey = kind == "RSA" ? rsa_key(one) : ec_key(one);
    if (!key->pkey) continue;
    const auto id = one.find("kid");
    if (id != one.end() && id->is_string()) key->id = id->get<std::string>();
    if (key->id.size() > kKeyIdBytesMax) return wrong("has a kid that is too long");
    if (set.has(key->id)) return wrong("has two keys of one kid");
    set.keys_.push_back(std::move(key));
  }
  if (set.keys_.empty()) return wrong("has no RSA key of 2048 bits or more and no P-256 key for signatures");
  return set;
}

const JwkSet::Key* JwkSet::find(std::string_view key_id) const {
  if (key_id.empty()) return keys_.size() == 1 ? keys_.front().get() : nullptr;
  for (const auto& key : keys_)
    if (key->id == key_id) return key.get();
  return nullptr;
}

bool JwkSet::has(std::string_view key_id) const {
  return std::any_of(keys_.begin(), keys_.end(), [key_id](const auto& key) { return key->id == key_id; });
}

bool JwkSet::verify(JwtAlgorithm algorithm, std::string_view key_id, std::string_view message,
                    std::string_view signature) const {
  const Key* key = find(key_id);
  if (key == nullptr || key->algorithm != algorithm) return false;
  std::string der;
  if (algorithm == JwtAlgorithm::kEs256) {
    der = der_of(signature);
    if (der.empty()) return false;
    signature = der;
  }
  const std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  // RSA defaults to PKCS #1 v1.5, which is what RS256 is.
  return context &&
         EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key->pkey.get()) == 1 &&
         EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message), message.size()) == 1;
}

}  // namespace enhanced_gptcache::security

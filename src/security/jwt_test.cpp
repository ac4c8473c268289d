#include "security/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <nlohmann/json.hpp>

#include "security/base64url.h"

namespace enhanced_gptcache::security {
namespace {

using nlohmann::json;

class FakeClock final : public base::Clock {
 public:
  int64_t wall_ms() const override { return now_s * 1000; }
  int64_t mono_us() const override { return now_s * 1'000'000; }
  int64_t now_s = 1'700'000'000;
};

std::string encode(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = bits << 8U | static_cast<unsigned char>(c);
    for (count += 8; count >= 6;) out += kAlphabet[bits >> (count -= 6) & 63U];
  }
  if (count > 0) out += kAlphabet[bits << (6 - count) & 63U];
  return out;
}

/// A key pair of the test's own and its public half as a JWK.
struct Signer {
  EVP_PKEY* pkey = nullptr;
  std::string algorithm;
  json jwk;

  ~Signer() { EVP_PKEY_free(pkey); }
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;
  explicit Signer(const std::string& wanted, const std::string& kid, unsigned bits = 2048)
      : algorithm(wanted) {
    pkey = wanted == "RS256" ? EVP_RSA_gen(bits) : EVP_EC_gen("P-256");
    jwk = {{"kid", kid}, {"use", "sig"}, {"alg", wanted}};
    if (wanted == "RS256") {
      jwk["kty"] = "RSA";
      jwk["n"] = number(OSSL_PKEY_PARAM_RSA_N, 0);
      jwk["e"] = number(OSSL_PKEY_PARAM_RSA_E, 0);
    } else {
      jwk["kty"] = "EC";
      jwk["crv"] = "P-256";
      jwk["x"] = number(OSSL_PKEY_PARAM_EC_PUB_X, 32);
      jwk["y"] = number(OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    }
  }

  std::string number(const char* name, size_t size) const {
    BIGNUM* value = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(pkey, name, &value), 1);
    std::string bytes(size != 0 ? size : static_cast<size_t>(BN_num_bytes(value)), '\0');
    BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    BN_free(value);
    return encode(bytes);
  }

  std::string sign(const std::string& message) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, pkey);
    const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
    size_t size = 0;
    EVP_DigestSign(context, nullptr, &size, bytes, message.size());
    std::string signature(size, '\0');
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, message.size());
    signature.resize(size);
    EVP_MD_CTX_free(context);
    return algorithm == "RS256" ? signature : raw_of(signature);
  }

  static std::string raw_of(const std::string& der) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size()));
    std::string raw(64, '\0');
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), reinterpret_cast<unsigned char*>(raw.data()), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
    ECDSA_SIG_free(pair);
    return raw;
  }
};

const Signer& rsa() {
  static const Signer signer("RS256", "rsa-1");
  return signer;
}
const Signer& ec() {
  static const Signer signer("ES256", "ec-1");
  return signer;
}
std::string set_of(const std::vector<json>& keys) { return json{{"keys", keys}}.dump(); }

constexpr char kSecret[] = "a secret of thirty-two bytes, or more";

class JwtTest : public testing::Test {
 protected:
  JwtTest() : verifier_(rules(), clock_) {
    verifier_.set_keys(*JwkSet::parse(set_of({rsa().jwk, ec().jwk})));
  }
  static JwtRules rules() {
    JwtRules rules;
    rules.issuer = "https://id.example";
    rules.audience = "gptcache";
    rules.secret = kSecret;
    return rules;
  }
  json claims() const {
    return {
        {"iss", "https://id.example"}, {"aud", "gptcache"}, {"sub", "alice"},  {"exp", clock_.now_s + 600},
        {"iat", clock_.now_s - 10},    {"tenant", "acme"},  {"role", "client"}};
  }
  static std::string unsigned_part(const json& header, const json& body) {
    return encode(header.dump()) + "." + encode(body.dump());
  }
  static std::string hs256(const json& body, const std::string& secret = kSecret,
                           const json& header = {{"alg", "HS256"}, {"typ", "JWT"}}) {
    const std::string message = unsigned_part(header, body);
    return message + "." + encode(base::bytes_of(base::HmacSha256(secret).compute(message)));
  }
  static std::string by(const Signer& signer, const json& body, json header = json::object()) {
    if (!header.contains("alg")) header["alg"] = signer.algorithm;
    if (!header.contains("kid")) header["kid"] = signer.jwk["kid"];
    const std::string message = unsigned_part(header, body);
    return message + "." + encode(signer.sign(message));
  }
  /// Empty: admitted.
  std::string why(const std::string& token) {
    const auto who = verifier_.authenticate(token);
    return who ? "" : who.error().message;
  }
  json with(const char* name, const json& value) const {
    json body = claims();
    body[name] = value;
    return body;
  }
  json without(const char* name) const {
    json body = claims();
    body.erase(name);
    return body;
  }

  FakeClock clock_;
  JwtVerifier verifier_;
};

TEST_F(JwtTest, AllThreeAlgorithmsAreTaken) {
  for (const std::string& token : {hs256(claims()), by(rsa(), claims()), by(ec(), claims())}) {
    for (int again = 0; again < 2; ++again) {
      const auto who = verifier_.authenticate(token);
      ASSERT_TRUE(who) << who.error().message;
      EXPECT_EQ((*who)->tenant, "tenant:acme");
      EXPECT_EQ((*who)->user, "alice");
      EXPECT_EQ((*who)->id, "jwt:alice");
      EXPECT_EQ((*who)->role, Role::kClient);
    }
  }
}

TEST_F(JwtTest, UnsignedTokensAreRefused) {
  for (const char* none : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string part = unsigned_part({{"alg", none}}, claims());
    for (const std::string& token : {part + ".", part, part + ".AA", part + "." + encode("x")})
      EXPECT_NE(why(token), "") << none;
  }
  EXPECT_NE(why(unsigned_part({{"typ", "JWT"}}, claims()) + ".AA"), "");
  const std::string good = by(rsa(), claims());
  EXPECT_NE(why(good.substr(0, good.rfind('.') + 1)), "") << "stripped signature";
  EXPECT_NE(why(good.substr(0, good.rfind('.'))), "");
}

TEST_F(JwtTest, KeysAreNotConfused) {
  // The classic: a public key as the secret of HS256, in every form an attacker could think of.
  const std::string modulus = *base64url_decode(rsa().jwk["n"].get<std::string>());
  for (const std::string& secret :
       {rsa().jwk.dump(), modulus, rsa().jwk["n"].get<std::string>(), std::string()}) {
    for (const char* kid : {"rsa-1", "ec-1", ""})
      EXPECT_NE(why(hs256(claims(), secret, {{"alg", "HS256"}, {"kid", kid}})), "");
  }
  // A valid signature of one kind under the name of another.
  EXPECT_NE(why(by(rsa(), claims(), {{"alg", "ES256"}})), "");
  EXPECT_NE(why(by(ec(), claims(), {{"alg", "RS256"}})), "");
  EXPECT_NE(why(by(rsa(), claims(), {{"kid", "ec-1"}})), "");
  EXPECT_NE(why(by(ec(), claims(), {{"alg", "ES256"}, {"kid", "rsa-1"}})), "");
  for (const char* other : {"RS384", "RS512", "PS256", "ES384", "ES256K", "EdDSA", "HS384", "HS512", "rs256"})
    EXPECT_NE(why(by(rsa(), claims(), {{"alg", other}})), "") << other;
  // A key that the token brings along.
  EXPECT_NE(why(by(Signer("RS256", "mine"), claims(), {{"jwk", rsa().jwk}})), "");
  EXPECT_NE(why(by(Signer("RS256", "rsa-1"), claims())), "");
  EXPECT_NE(why(by(Signer("ES256", "ec-1"), claims())), "");
}

TEST_F(JwtTest, WithoutAConfiguredSecretThereIsNoHs256) {
  JwtRules now = rules();
  now.secret.clear();
  verifier_.set_rules(now);
  EXPECT_NE(why(hs256(claims())), "");
  EXPECT_NE(why(hs256(claims(), "")), "");
  EXPECT_EQ(why(by(rsa(), claims())), "");
}

TEST_F(JwtTest, TamperingIsFound) {
  for (const std::string& token : {hs256(claims()), by(rsa(), claims()), by(ec(), claims())}) {
    size_t admitted = 0;
    for (size_t i = 0; i < token.size(); ++i) {
      std::string other = token;
      other[i] = other[i] == 'A' ? 'B' : 'A';
      admitted += why(other).empty();
    }
    EXPECT_EQ(admitted, 0U);
    for (const std::string& other :
         {token + "A", token + "=", token + ".", "." + token, " " + token, token + "\n"})
      EXPECT_NE(why(other), "");
  }
  const std::string mine = by(rsa(), claims());
  const std::string admin = encode(with("role", "admin").dump());
  const size_t first = mine.find('.');
  EXPECT_NE(why(mine.substr(0, first + 1) + admin + mine.substr(mine.rfind('.'))), "");
}

TEST_F(JwtTest, TimesHoldWithTheirSkew) {
  const int64_t now_s = clock_.now_s;
  EXPECT_EQ(why(hs256(with("exp", now_s - 59))), "");
  EXPECT_NE(why(hs256(with("exp", now_s - 60))), "");
  EXPECT_EQ(why(hs256(with("nbf", now_s + 60))), "");
  EXPECT_NE(why(hs256(with("nbf", now_s + 61))), "");
  EXPECT_NE(why(hs256(with("iat", now_s + 61))), "");
  EXPECT_NE(why(hs256(without("exp"))), "");
  for (const json& odd :
       {json("1700000600"), json(true), json(nullptr), json::array(), json(1e300), json(-1e300)}) {
    EXPECT_NE(why(hs256(with("exp", odd))), "") << odd;
    EXPECT_NE(why(hs256(with("nbf", odd))), "") << odd;
  }
  const std::string token = hs256(claims());
  EXPECT_EQ(why(token), "");
  clock_.now_s += 600 + 60;
  EXPECT_NE(why(token), "") << "also when it was checked before";
}

TEST_F(JwtTest, IssuerAndAudienceMustBeOurs) {
  EXPECT_NE(why(hs256(with("iss", "https://id.example.attacker"))), "");
  EXPECT_NE(why(hs256(without("iss"))), "");
  EXPECT_NE(why(hs256(with("aud", "other"))), "");
  EXPECT_NE(why(hs256(without("aud"))), "");
  EXPECT_NE(why(hs256(with("aud", json{{"gptcache", true}}))), "");
  EXPECT_EQ(why(hs256(with("aud", json::array({"other", "gptcache"})))), "");
}

TEST_F(JwtTest, ClaimsBecomeRoleAndTenant) {
  EXPECT_NE(why(hs256(without("tenant"))), "");
  EXPECT_NE(why(hs256(with("tenant", ""))), "");
  EXPECT_NE(why(hs256(with("tenant", 5))), "");
  EXPECT_NE(why(hs256(without("sub"))), "");
  EXPECT_NE(why(hs256(with("sub", "a b"))), "");
  EXPECT_NE(why(hs256(with("sub", std::string(129, 'a')))), "");
  EXPECT_NE(why(hs256(without("role"))), "");
  EXPECT_NE(why(hs256(with("role", "king"))), "");
  EXPECT_EQ((*verifier_.authenticate(hs256(with("role", json::array({"viewer", "operator"})))))->role,
            Role::kOperator);
  JwtRules now = rules();
  now.role_claim = "realm_access.roles";
  now.tenant_claim = "https://claims.example/tenant";
  now.role_map = {"cache-admins=admin", "a=b=client"};
  now.default_role = "viewer";
  verifier_.set_rules(now);
  json body = with("https://claims.example/tenant", "umbrella");
  EXPECT_EQ((*verifier_.authenticate(hs256(body)))->role, Role::kViewer);
  body["realm_access"] = {{"roles", {"x", "a=b"}}};
  EXPECT_EQ((*verifier_.authenticate(hs256(body)))->role, Role::kClient);
  body["realm_access"] = {{"roles", {"cache-admins", "a=b"}}};
  EXPECT_EQ((*verifier_.authenticate(hs256(body)))->role, Role::kAdmin);
  EXPECT_EQ((*verifier_.authenticate(hs256(body)))->tenant, "tenant:umbrella");
  body["realm_access"] = {{"roles", {"admin"}}};
  EXPECT_EQ((*verifier_.authenticate(hs256(body)))->role, Role::kViewer)
      << "with a map only its values count";
}

TEST_F(JwtTest, MalformedTokensAreRefused) {
  const std::string message = unsigned_part({{"alg", "HS256"}}, claims());
  const auto signed_text = [](const std::string& header, const std::string& body) {
    const std::string text = encode(header) + "." + encode(body);
    return text + "." + encode(base::bytes_of(base::HmacSha256(kSecret).compute(text)));
  };
  const std::string body = claims().dump();
  const std::string header = R"({"alg":"HS256"})";
  EXPECT_EQ(why(signed_text(header, body)), "");
  EXPECT_NE(why(signed_text(header, "[]")), "");
  EXPECT_NE(why(signed_text(header, body + "x")), "");
  EXPECT_NE(why(signed_text(R"({"alg":"HS256","alg":"HS256"})", body)), "") << "a name that comes twice";
  EXPECT_NE(why(signed_text(header, R"({"sub":"a",)" + body.substr(1))), "");
  EXPECT_NE(why(signed_text(R"({"alg":"HS256","crit":["exp"],"exp":1})", body)), "");
  EXPECT_NE(why(signed_text(R"({"alg":"HS256","typ":"JWE"})", body)), "");
  EXPECT_NE(why(signed_text(R"({"alg":"HS256","kid":5})", body)), "");
  EXPECT_NE(why(hs256(with("more", std::string(9000, 'a')))), "") << "huge";
  for (const char* text : {"", ".", "..", "...", "a.b.c", "eyJ.eyJ.x", "e30.e30.AA"})
    EXPECT_NE(why(text), "");
}

TEST_F(JwtTest, NewRulesForgetWhatWasChecked) {
  const std::string token = by(rsa(), claims());
  EXPECT_EQ(why(token), "");
  int asked = 0;
  verifier_.on_unknown_key([&asked] { ++asked; });
  verifier_.set_keys(*JwkSet::parse(set_of({ec().jwk})));
  EXPECT_NE(why(token), "");
  EXPECT_EQ(asked, 1);
  verifier_.set_keys(*JwkSet::parse(set_of({rsa().jwk})));
  EXPECT_EQ(why(token), "");
  JwtRules now = rules();
  now.audience = "other";
  verifier_.set_rules(now);
  EXPECT_NE(why(token), "");
}

TEST(JwkSet, TakesOnlyWhatIsSafe) {
  const auto refused = [](const std::vector<json>& keys) {
    const auto set = JwkSet::parse(set_of(keys));
    return set ? std::string() : set.error().message;
  };
  EXPECT_EQ(refused({rsa().jwk, ec().jwk}), "");
  EXPECT_THAT(refused({rsa().jwk, rsa().jwk}), testing::HasSubstr("two keys"));
  json key = rsa().jwk;
  key["d"] = "AA";
  EXPECT_THAT(refused({key}), testing::HasSubstr("private"));
  EXPECT_THAT(refused({{{"kty", "oct"}, {"k", "AAAA"}}}), testing::HasSubstr("symmetric"));
  EXPECT_THAT(refused({Signer("RS256", "small", 1024).jwk}), testing::HasSubstr("2048"));
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, json>>{{"use", "enc"},
                                                 {"alg", "RS512"},
                                                 {"e", "AQ"},
                                                 {"e", "Ag"},
                                                 {"n", "not base64!"},
                                                 {"kty", "OKP"},
                                                 {"key_ops", json::array({"sign"})}}) {
    key = rsa().jwk;
    key[name] = value;
    EXPECT_NE(refused({key}), "") << name << value;
  }
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, json>>{{"crv", "P-384"}, {"x", "AAAA"}, {"y", ec().jwk["x"]}}) {
    key = ec().jwk;
    key[name] = value;
    EXPECT_NE(refused({key}), "") << name;
  }
  for (const char* text : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[1]})", R"({"keys":[]})"})
    EXPECT_FALSE(JwkSet::parse(text)) << text;
  EXPECT_FALSE(JwkSet::parse(std::string(kJwksBytesMax + 1, ' ')));
  EXPECT_FALSE(JwkSet::parse(set_of(std::vector<json>(65, json::object()))));
}

TEST(Base64Url, OneSpellingPerByteString) {
  EXPECT_EQ(base64url_decode(""), "");
  EXPECT_EQ(base64url_decode("Zg"), "f");
  EXPECT_EQ(base64url_decode("Zm8"), "fo");
  EXPECT_EQ(base64url_decode("Zm9v"), "foo");
  EXPECT_EQ(base64url_decode("-_8"), "\xfb\xff");
  for (const char* wrong : {"Z", "Zh", "Zm9", "Zg==", "Zm 8", "+/8", "Zm9v\n", "Zm9vZ"})
    EXPECT_FALSE(base64url_decode(wrong)) << wrong;
}

TEST(RoleMapping, IsChecked) {
  EXPECT_EQ(check_role_mapping("cache-admins=admin"), "");
  for (const char* wrong : {"", "admin", "=admin", "x=king", "x="})
    EXPECT_NE(check_role_mapping(wrong), "") << wrong;
}

}  // namespace
}  // namespace enhanced_gptcache::security

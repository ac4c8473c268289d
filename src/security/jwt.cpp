#include "security/jwt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/canonical_json.h"
#include "security/base64url.h"

namespace enhanced_gptcache::security {
namespace {

using nlohmann::json;

constexpr size_t kTokenBytesMax = 8192;
constexpr size_t kCheckedMax = 4096;
constexpr size_t kSubjectBytesMax = 128;
constexpr double kSecondsMax = 253'402'300'799.0;  // the year 9999

tl::unexpected<Error> refused(std::string why) {
  return fail(ErrorCode::kInvalidArgument, "the token is refused: " + std::move(why));
}

/// An object without anything two readers could see differently (a name that comes twice, bad UTF-8).
std::optional<json> read_part(std::string_view part) {
  const auto text = base64url_decode(part);
  if (!text || !base::canonical_json(*text)) return std::nullopt;
  json parsed = json::parse(*text, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  return parsed;
}

/// A claim by its name, else by its path.
const json* find_claim(const json& claims, std::string_view path) {
  const auto whole = claims.find(std::string(path));
  if (whole != claims.end()) return &*whole;
  const json* here = &claims;
  while (!path.empty()) {
    const size_t point = path.find('.');
    const auto next = here->is_object() ? here->find(std::string(path.substr(0, point))) : here->end();
    if (!here->is_object() || next == here->end()) return nullptr;
    here = &*next;
    path = point == path.npos ? std::string_view() : path.substr(point + 1);
  }
  return here;
}

std::string text_claim(const json& claims, std::string_view name) {
  const json* claim = find_claim(claims, name);
  return claim != nullptr && claim->is_string() ? claim->get<std::string>() : std::string();
}

std::vector<std::string> texts_claim(const json& claims, std::string_view name) {
  const json* claim = find_claim(claims, name);
  std::vector<std::string> texts;
  if (claim == nullptr) return texts;
  if (claim->is_string()) return {claim->get<std::string>()};
  if (!claim->is_array()) return texts;
  for (const json& one : *claim)
    if (one.is_string()) texts.push_back(one.get<std::string>());
  return texts;
}

/// Seconds since 1970; none: missing (`wrong` stays false) or no such number.
std::optional<double> time_claim(const json& claims, const char* name, bool& wrong) {
  const auto found = claims.find(name);
  if (found == claims.end()) return std::nullopt;
  const bool valid = found->is_number() && std::isfinite(found->get<double>()) &&
                     std::abs(found->get<double>()) <= kSecondsMax;
  wrong = wrong || !valid;
  return valid ? std::optional(found->get<double>()) : std::nullopt;
}

/// The strongest of the roles the claim stands for.
std::optional<Role> role_of(const JwtRules& rules, const json& claims) {
  std::optional<Role> best;
  const auto take = [&best](std::optional<Role> role) {
    if (role && (!best || *role > *best)) best = role;
  };
  for (const std::string& value : texts_claim(claims, rules.role_claim)) {
    if (rules.role_map.empty()) take(parse_role(value));
    for (const std::string& row : rules.role_map) {
      const size_t equals = row.rfind('=');
      if (equals != row.npos && row.compare(0, equals, value) == 0 && equals == value.size())
        take(parse_role(std::string_view(row).substr(equals + 1)));
    }
  }
  if (!best) best = parse_role(rules.default_role);
  return best;
}

bool is_for(const json& claims, const std::string& audience) {
  const std::vector<std::string> all = texts_claim(claims, "aud");
  return std::find(all.begin(), all.end(), audience) != all.end();
}

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

/// Issuer, audience and times; `expires_s` is set.
Result<void> check_claims(const JwtRules& rules, const json& claims, double now_s, double& expires_s) {
  if (rules.issuer.empty() || claims.value("iss", json()) != rules.issuer) return refused("wrong issuer");
  if (rules.audience.empty() || !is_for(claims, rules.audience)) return refused("wrong audience");
  bool wrong = false;
  const auto expires = time_claim(claims, "exp", wrong);
  const auto not_before = time_claim(claims, "nbf", wrong);
  const auto issued = time_claim(claims, "iat", wrong);
  if (wrong || !expires) return refused("exp is missing, or a time is none");
  const auto skew_s = static_cast<double>(rules.clock_skew_s);
  if (now_s >= *expires + skew_s) return refused("expired");
  if ((not_before && now_s + skew_s < *not_before) || (issued && now_s + skew_s < *issued))
    return refused("not valid yet");
  expires_s = *expires + skew_s;
  return {};
}

Result<IdentityPtr> identity_of(const JwtRules& rules, const json& claims) {
  const std::string subject = claims.value("sub", json()).is_string() ? claims["sub"].get<std::string>() : "";
  if (subject.empty() || subject.size() > kSubjectBytesMax || !is_visible(subject))
    return refused(fmt::format("sub must be 1 to {} visible ASCII characters", kSubjectBytesMax));
  const std::string tenant = text_claim(claims, rules.tenant_claim);
  if (!check_tenant_name(tenant)) return refused("it names no tenant");
  const auto role = role_of(rules, claims);
  if (!role) return refused("it gives no role");
  auto identity = std::make_shared<Identity>();
  identity->id = "jwt:" + subject;
  identity->tenant = tenant_of_name(tenant);
  identity->user = subject;
  identity->role = *role;
  return IdentityPtr(std::move(identity));
}

std::shared_ptr<const base::HmacSha256> hmac_of(const std::string& secret) {
  return secret.empty() ? nullptr : std::make_shared<const base::HmacSha256>(secret);
}

}  // namespace

std::string check_role_mapping(std::string_view text) {
  const size_t equals = text.rfind('=');
  if (equals != text.npos && equals > 0 && parse_role(text.substr(equals + 1))) return {};
  return "must be value=role, the role one of viewer, client, operator, admin";
}

JwtVerifier::JwtVerifier(JwtRules rules, const base::Clock& clock)
    : clock_(clock), state_(State{rules, {}, hmac_of(rules.secret)}) {}

void JwtVerifier::replace(std::function<void(State&)> change) {
  const std::lock_guard one_at_a_time(change_mutex_);
  State next = *state_.get();
  change(next);
  state_.set(std::move(next));
  const std::lock_guard lock(mutex_);
  checked_.clear();
  ++generation_;
}

void JwtVerifier::set_rules(JwtRules rules) {
  replace([&rules](State& state) {
    state.hmac = hmac_of(rules.secret);
    state.rules = std::move(rules);
  });
}

void JwtVerifier::set_keys(JwkSet keys) {
  replace([&keys](State& state) { state.keys = std::move(keys); });
}

bool JwtVerifier::is_signed(const State& state, std::string_view algorithm, std::string_view key_id,
                            std::string_view message, std::string_view signature) const {
  // The algorithm chooses between kinds of keys; it never makes a key of one kind serve as another.
  if (algorithm == "HS256") {
    return state.hmac != nullptr &&
           base::equal_in_constant_time(base::bytes_of(state.hmac->compute(message)), signature);
  }
  if (algorithm != "RS256" && algorithm != "ES256") return false;
  if (!key_id.empty() && !state.keys.has(key_id) && on_unknown_key_) on_unknown_key_();
  return state.keys.verify(algorithm == "RS256" ? JwtAlgorithm::kRs256 : JwtAlgorithm::kEs256, key_id,
                           message, signature);
}

Result<JwtVerifier::Checked> JwtVerifier::check(const State& state, std::string_view token) const {
  const size_t first = token.find('.');
  const size_t second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos)
    return refused("it has not three parts");
  const auto header = read_part(token.substr(0, first));
  const auto signature = base64url_decode(token.substr(second + 1));
  if (!header || !signature || signature->empty()) return refused("malformed");
  const std::string algorithm = text_claim(*header, "alg");
  const json type = header->value("typ", json("JWT"));
  if (header->contains("crit") || header->contains("b64") ||
      (type != "JWT" && type != "at+jwt" && type != "jwt"))
    return refused("its header asks for what is not supported");
  if (header->contains("kid") && !(*header)["kid"].is_string()) return refused("malformed");
  if (!is_signed(state, algorithm, header->value("kid", ""), token.substr(0, second), *signature))
    return refused("its signature does not hold");
  const auto claims = read_part(token.substr(first + 1, second - first - 1));
  if (!claims) return refused("malformed");
  Checked checked;
  double expires_s = 0;
  const double now_s = static_cast<double>(clock_.wall_ms()) / 1000;
  EGPTC_TRY_VOID(check_claims(state.rules, *claims, now_s, expires_s));
  checked.expires_ms = static_cast<int64_t>(expires_s * 1000);
  EGPTC_TRY(checked.identity, identity_of(state.rules, *claims));
  return checked;
}

Result<IdentityPtr> JwtVerifier::authenticate_under(JwtRules rules, std::string_view token) const {
  if (token.size() > kTokenBytesMax)
    return refused(fmt::format("it is longer than {} bytes", kTokenBytesMax));
  State state = *state_.get();
  state.hmac = hmac_of(rules.secret);
  state.rules = std::move(rules);
  EGPTC_TRY(Checked checked, check(state, token));
  return std::move(checked.identity);
}

Result<IdentityPtr> JwtVerifier::authenticate(std::string_view token) const {
  if (token.size() > kTokenBytesMax)
    return refused(fmt::format("it is longer than {} bytes", kTokenBytesMax));
  const base::Hash128 name = base::keyed_hash(cache_key_, "jwt", {token});
  uint64_t generation = 0;
  {
    const std::lock_guard lock(mutex_);
    generation = generation_;
    const auto found = checked_.find(name);
    if (found != checked_.end() && clock_.wall_ms() < found->second.expires_ms) return found->second.identity;
  }
  EGPTC_TRY(Checked checked, check(*state_.get(), token));
  IdentityPtr identity = checked.identity;
  std::unique_lock lock(mutex_);
  if (generation != generation_) {
    // What the old rules allowed says nothing about the new ones.
    lock.unlock();
    EGPTC_TRY(checked, check(*state_.get(), token));
    return checked.identity;
  }
  if (checked_.size() >= kCheckedMax) checked_.clear();
  checked_[name] = std::move(checked);
  return identity;
}

}  // namespace enhanced_gptcache::security

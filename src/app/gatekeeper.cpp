#include "app/gatekeeper.h"

#include <fmt/format.h>

#include "app/access_guard.h"
#include "app/credential.h"
#include "app/security_options.h"
#include "proxy/completion.h"
#include "proxy/errors.h"
#include "proxy/forward.h"

namespace enhanced_gptcache::app {
namespace {

constexpr std::string_view kHowTo =
    "send 'Authorization: Bearer egptc_...' or 'X-EGPTC-Key: egptc_...' (the latter leaves Authorization to "
    "the "
    "provider's own key)";

bool refuse(const http::ExchangePtr& exchange, int status, std::string code, std::string message,
            http::Headers headers = {}) {
  proxy::ApiError error;
  error.status = status;
  error.code = std::move(code);
  error.message = std::move(message);
  exchange->notes.refused = true;
  exchange->notes.audit = error.message;
  http::Response response = proxy::to_response(error, exchange->request().path);
  for (http::Header& header : headers) response.headers.push_back(std::move(header));
  if (status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer realm=\"enhanced-gptcache\""});
  if (exchange->notes.route.empty()) exchange->notes.route = "refused";
  exchange->send(std::move(response));
  return true;
}

bool refuse_over_limit(const http::ExchangePtr& exchange, const security::LimitRefusal& refusal) {
  const security::LimitVerdict& verdict = refusal.verdict;
  const std::string wait = std::to_string(verdict.retry_after_s);
  std::string why =
      fmt::format("this {} sends more requests than it may; try again in {} s", refusal.what, wait);
  if (verdict.by_concurrency)
    why = fmt::format("this {} has as many requests running as it may ({:g})", refusal.what, verdict.limit);
  return refuse(exchange, 429, "rate_limit_exceeded", std::move(why),
                {{"Retry-After", wait},
                 {"RateLimit-Limit", fmt::format("{:.0f}", verdict.limit)},
                 {"RateLimit-Remaining", "0"},
                 {"RateLimit-Reset", wait}});
}

/// A limit that whoever set it could not take back before long.
std::string too_slow_to_undo(const config::Settings& settings) {
  constexpr double kSlowest = 1.0 / 60;
  const auto& limits = settings.limits;
  const std::pair<const char*, double> rates[] = {
      {"limits.requests_per_second_key", limits.requests_per_second_key},
      {"limits.requests_per_second_user", limits.requests_per_second_user},
      {"limits.requests_per_second_ip", limits.requests_per_second_ip}};
  for (const auto& [name, rate] : rates)
    if (rate > 0 && rate < kSlowest)
      return fmt::format(
          "{}: with {:g}, less than one call in a minute, this very caller could not take it back", name,
          rate);
  return {};
}

}  // namespace

std::optional<base::IpAddress> client_address(const http::Request& request,
                                              const std::vector<base::IpNetwork>& trusted_proxies) {
  auto address = base::parse_ip(request.peer);
  if (!address || !base::contains(trusted_proxies, *address)) return address;
  // Several header lines are one list; the proxy nearest to us wrote the end of the last one.
  for (auto header = request.headers.rbegin(); header != request.headers.rend(); ++header) {
    if (!proxy::equals_ignoring_case(header->name, "x-forwarded-for")) continue;
    std::string_view rest = header->value;
    while (true) {
      const size_t comma = rest.rfind(',');
      std::string_view hop = comma == rest.npos ? rest : rest.substr(comma + 1);
      while (hop.starts_with(' ')) hop.remove_prefix(1);
      while (hop.ends_with(' ')) hop.remove_suffix(1);
      address = base::parse_ip(hop);
      if (!address || !base::contains(trusted_proxies, *address)) return address;
      if (comma == rest.npos) break;
      rest = rest.substr(0, comma);
    }
  }
  return address;
}

Gatekeeper::Gatekeeper(GateParts parts, const config::Settings& settings)
    : parts_(parts), enabled_(settings.security.enabled), rules_(rules_of(settings)) {}

Gatekeeper::Rules Gatekeeper::rules_of(const config::Settings& settings) {
  // config/cross_checks.cpp has refused what is no row.
  auto certificates = security::CertificateMap::parse(settings.security.client_certificates);
  return {settings, base::parse_networks(settings.security.admin_networks),
          base::parse_networks(settings.security.trusted_proxies),
          settings.limits.requests_per_second_ip > 0 || settings.limits.concurrent_ip > 0,
          certificates ? *std::move(certificates) : security::CertificateMap()};
}

void Gatekeeper::configure(const config::Settings& settings) { rules_.set(rules_of(settings)); }

bool Gatekeeper::admit(const http::ExchangePtr& exchange) const {
  // Proxied calls get theirs where they are answered.
  const std::string_view path = exchange->request().path;
  if (path.starts_with("/cache/") || path.starts_with("/admin"))
    exchange->notes.request_id = proxy::fresh_request_id();
  // Held by a reference, not pinned: a refusal is sent from here, and that may take up the next request.
  const std::shared_ptr<const Rules> held = rules_.get();
  const Rules& rules = *held;
  if (enabled_) return admit_by_key(exchange, rules);
  const http::Request& request = exchange->request();
  if (needs_access_check(request)) {
    const auto refused = check_access(rules.settings, request);
    if (refused) return refuse(exchange, refused->status, "", refused->message);
  }
  if (!rules.needs_address) return false;
  const security::Permission* row = security::find_permission(request.method, request.path);
  if (row == nullptr || row->open) return false;
  auto pass = std::make_shared<security::Pass>();
  if (is_address_over_limit(exchange, rules, *pass)) return true;
  exchange->pass = std::move(pass);
  return false;
}

bool Gatekeeper::is_address_over_limit(const http::ExchangePtr& exchange, const Rules& rules,
                                       security::Pass& pass) const {
  if (!rules.needs_address) return false;
  const auto from = client_address(exchange->request(), rules.trusted_proxies);
  // Whoever cannot be told apart shares one bucket.
  const std::string address = from ? from->limit_key() : "unknown";
  const auto refusal = parts_.limiter.admit({}, {}, address, pass.address_lease);
  return refusal && refuse_over_limit(exchange, *refusal);
}

bool Gatekeeper::is_key_over_limit(const http::ExchangePtr& exchange, security::Pass& pass) const {
  const auto refusal = parts_.limiter.admit(pass.identity->id, pass.identity->user, {}, pass.lease);
  return refusal && refuse_over_limit(exchange, *refusal);
}

bool Gatekeeper::identify_by_certificate(const http::ExchangePtr& exchange, const Rules& rules,
                                         security::Pass& pass) const {
  const auto& names = exchange->request().certificate_names;
  if (rules.certificates.empty() || names == nullptr) {
    refuse(exchange, 401, "missing_api_key", fmt::format("a key of this server is needed: {}", kHowTo));
    return false;
  }
  // A browser shows its certificate for every page, so another site's page must not speak in its name.
  const http::Request& request = exchange->request();
  if (const std::string_view origin = request.header("origin");
      !origin.empty() && origin != fmt::format("https://{}", request.header("host"))) {
    refuse(exchange, 403, "forbidden", "a page of another origin may not use the caller's certificate");
    return false;
  }
  pass.identity = rules.certificates.find(*names);
  if (pass.identity == nullptr)
    refuse(exchange, 401, "unknown_certificate",
           "no name in this client certificate is among security.client_certificates");
  return pass.identity != nullptr;
}

bool Gatekeeper::identify(const http::ExchangePtr& exchange, const Rules& rules, security::Pass& pass) const {
  const Credential credential = find_credential(exchange->request());
  if (!credential.problem.empty()) {
    refuse(exchange, 401, "invalid_api_key", credential.problem);
  } else if (!credential.token.empty()) {
    auto who = parts_.tokens.authenticate(credential.token);
    if (who)
      pass.identity = std::move(*who);
    else
      refuse(exchange, 401, "invalid_token", who.error().message);
    pass.own_authorization = true;
  } else if (credential.key.empty()) {
    return identify_by_certificate(exchange, rules, pass);
  } else {
    pass.identity = parts_.keys.authenticate(credential.key);
    if (pass.identity == nullptr)
      refuse(exchange, 401, "invalid_api_key", "this key is unknown, expired or revoked");
  }
  return pass.identity != nullptr;
}

bool Gatekeeper::is_from_allowed_network(const security::Permission& row, const Rules& rules,
                                         const http::Request& request) {
  if (!row.admin_network || rules.admin_networks.empty()) return true;
  const auto from = client_address(request, rules.trusted_proxies);
  return from && base::contains(rules.admin_networks, *from);
}

Result<security::IdentityPtr> Gatekeeper::who_calls(const http::Request& request, const Rules& rules,
                                                    const security::JwtRules* token_rules) const {
  const Credential credential = find_credential(request);
  if (!credential.problem.empty()) return fail(ErrorCode::kInvalidArgument, credential.problem);
  if (!credential.token.empty())
    return token_rules == nullptr ? parts_.tokens.authenticate(credential.token)
                                  : parts_.tokens.authenticate_under(*token_rules, credential.token);
  security::IdentityPtr who;
  if (!credential.key.empty())
    who = parts_.keys.authenticate(credential.key);
  else if (request.certificate_names != nullptr)
    who = rules.certificates.find(*request.certificate_names);
  if (who == nullptr) return fail(ErrorCode::kInvalidArgument, "nobody that is known");
  return who;
}

bool Gatekeeper::still_admits(const http::Request& request) const {
  if (!enabled_) return true;
  const std::shared_ptr<const Rules> rules = rules_.get();
  const security::Permission* row = security::find_permission(request.method, request.path);
  if (row == nullptr) return false;
  if (row->open) return true;
  if (!is_from_allowed_network(*row, *rules, request)) return false;
  const auto who = who_calls(request, *rules, nullptr);
  return who && security::why_not(*row, **who).empty();
}

std::string Gatekeeper::why_locked_out(const http::Request& request, const config::Settings& settings) const {
  if (std::string slow = too_slow_to_undo(settings); !slow.empty()) return slow;
  if (!enabled_) {
    const auto refused = check_access(settings, request);
    return refused ? "this very call would be refused: " + refused->message : std::string();
  }
  const Rules rules = rules_of(settings);
  const security::Permission* row = security::find_permission(request.method, request.path);
  if (row == nullptr || row->open) return {};
  if (!is_from_allowed_network(*row, rules, request)) {
    const auto from = client_address(request, rules.trusted_proxies);
    return fmt::format(
        "security.admin_networks: with these and security.trusted_proxies the address of this "
        "very caller ({}) would be refused",
        from ? from->text() : "none that can be read");
  }
  const security::JwtRules token_rules = jwt_rules(settings);
  const auto who = who_calls(request, rules, &token_rules);
  const bool has_token = !find_credential(request).token.empty();
  const std::string_view setting = has_token ? "security.jwt_*" : "security.client_certificates";
  const std::string why = who ? security::why_not(*row, **who) : who.error().message;
  if (why.empty()) return {};
  return fmt::format("{}: with these this very caller would be refused: {}", setting, why);
}

bool Gatekeeper::admit_by_key(const http::ExchangePtr& exchange, const Rules& rules) const {
  const http::Request& request = exchange->request();
  const security::Permission* row = security::find_permission(request.method, request.path);
  if (row == nullptr) return refuse(exchange, 403, "forbidden", "this path is open to nobody");
  if (row->open || (rules.settings.security.metrics_open && row->path == "/metrics")) return false;
  if (!is_from_allowed_network(*row, rules, request))
    return refuse(exchange, 403, "forbidden",
                  "this path is not answered for callers from this address (security.admin_networks)");
  auto pass = std::make_shared<security::Pass>();
  // Before the credential is checked, because checking one is what a flood of wrong ones would cost.
  if (is_address_over_limit(exchange, rules, *pass)) return true;
  if (!identify(exchange, rules, *pass)) return true;
  exchange->notes.key_id = pass->identity->id;
  if (std::string why = security::why_not(*row, *pass->identity); !why.empty())
    return refuse(exchange, 403, "forbidden", std::move(why));
  if (is_key_over_limit(exchange, *pass)) return true;
  exchange->pass = std::move(pass);
  return false;
}

}  // namespace enhanced_gptcache::app

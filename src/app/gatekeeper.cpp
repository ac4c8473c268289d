#include "app/gatekeeper.h"

#include <fmt/format.h>

#include "app/access_guard.h"
#include "app/credential.h"
#include "proxy/errors.h"
#include "proxy/forward.h"

namespace enhanced_gptcache::app {
namespace {

constexpr std::string_view kHowTo =
    "send 'Authorization: Bearer egptc_...' or 'X-EGPTC-Key: egptc_...' (the latter leaves Authorization to "
    "the "
    "provider's own key)";

bool refuse(const http::ExchangePtr& exchange, int status, std::string code, std::string message) {
  proxy::ApiError error;
  error.status = status;
  error.code = std::move(code);
  error.message = std::move(message);
  http::Response response = proxy::to_response(error, exchange->request().path);
  if (status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer realm=\"enhanced-gptcache\""});
  if (exchange->notes.route.empty()) exchange->notes.route = "refused";
  exchange->send(std::move(response));
  return true;
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

Gatekeeper::Gatekeeper(const security::KeyStore& keys, const config::Settings& settings)
    : keys_(keys), enabled_(settings.security.enabled), rules_(rules_of(settings)) {}

Gatekeeper::Rules Gatekeeper::rules_of(const config::Settings& settings) {
  return {settings, base::parse_networks(settings.security.admin_networks),
          base::parse_networks(settings.security.trusted_proxies)};
}

void Gatekeeper::configure(const config::Settings& settings) { rules_.set(rules_of(settings)); }

bool Gatekeeper::admit(const http::ExchangePtr& exchange) const {
  const base::EpochGuard pin;
  const Rules& rules = rules_.peek(pin);
  if (enabled_) return admit_by_key(exchange, rules);
  if (!needs_access_check(exchange->request())) return false;
  const auto refused = check_access(rules.settings, exchange->request());
  return refused && refuse(exchange, refused->status, "", refused->message);
}

bool Gatekeeper::admit_by_key(const http::ExchangePtr& exchange, const Rules& rules) const {
  const http::Request& request = exchange->request();
  const security::Permission* row = security::find_permission(request.method, request.path);
  if (row == nullptr) return refuse(exchange, 403, "forbidden", "this path is open to nobody");
  if (row->open || (rules.settings.security.metrics_open && row->path == "/metrics")) return false;
  if (row->admin_network && !rules.admin_networks.empty()) {
    const auto from = client_address(request, rules.trusted_proxies);
    if (!from || !base::contains(rules.admin_networks, *from))
      return refuse(exchange, 403, "forbidden",
                    "this path is not answered for callers from this address (security.admin_networks)");
  }
  const Credential credential = find_credential(request);
  if (!credential.problem.empty()) return refuse(exchange, 401, "invalid_api_key", credential.problem);
  if (credential.key.empty())
    return refuse(exchange, 401, "missing_api_key",
                  fmt::format("a key of this server is needed: {}", kHowTo));
  auto pass = std::make_shared<security::Pass>();
  pass->identity = keys_.authenticate(credential.key);
  if (pass->identity == nullptr)
    return refuse(exchange, 401, "invalid_api_key", "this key is unknown, expired or revoked");
  exchange->notes.key_id = pass->identity->id;
  if (std::string why = security::why_not(*row, *pass->identity); !why.empty())
    return refuse(exchange, 403, "forbidden", std::move(why));
  exchange->pass = std::move(pass);
  return false;
}

}  // namespace enhanced_gptcache::app

#include "config/cross_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <set>

#include "config/prices.h"
#include "config/small_file.h"
#include "config/url_check.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

constexpr std::string_view kFileSuffix = "_file";
constexpr size_t kCaBytesMax = size_t{8} << 20U;

void add(std::vector<Problem>& problems, const Loaded& loaded, std::string_view name, std::string value,
         std::string message) {
  const size_t index = find_key(name);
  problems.push_back(
      {loaded.values[index].source, 0, std::string(name), std::move(value), std::move(message)});
}

void read_one(Loaded& loaded, std::string_view name, const std::string& path, Text& into,
              std::vector<Problem>& errors) {
  loaded.secret_files.push_back(path);
  auto secret = read_secret_file(path);
  if (secret) {
    into = *std::move(secret);
  } else {
    add(errors, loaded, name, path, secret.error().message);
  }
}

void read_target(Loaded& loaded, RouteTarget& target, std::vector<Problem>& errors) {
  if (target.api_key_file.empty()) return;
  read_one(loaded, "upstream.routes", target.api_key_file, target.api_key, errors);
}

/// `spec` is the row of a *_file key.
void read_row(Loaded& loaded, size_t file_index, std::vector<Problem>& errors) {
  const KeySpec& spec = keys()[file_index];
  const std::string name = spec.name();
  const size_t secret_index = find_key(std::string_view(name).substr(0, name.size() - kFileSuffix.size()));
  const Text& path = *std::get<Text*>(spec.field(loaded.settings));
  Text& secret = *std::get<Text*>(keys()[secret_index].field(loaded.settings));
  if (path.empty()) return;
  const Origin file_origin = loaded.values[file_index].origin;
  const Origin secret_origin = loaded.values[secret_index].origin;
  if (!secret.empty() && secret_origin == file_origin) {
    add(errors, loaded, name, path,
        fmt::format("give {} or {}, not both", keys()[secret_index].name(), name));
  } else if (secret.empty() || file_origin > secret_origin) {
    read_one(loaded, name, path, secret, errors);
    loaded.values[secret_index] = {file_origin,
                                   fmt::format("{} ({})", path, loaded.values[file_index].source)};
  }
}

/// Checked here so that a reload with a bad file is refused as a whole, before the upstream client sees it.
void check_ca_file(const Loaded& loaded, std::vector<Problem>& errors) {
  const Text& path = loaded.settings.upstream.ca_file;
  if (path.empty()) return;
  const auto text = read_small_file(path, kCaBytesMax);
  if (!text) {
    add(errors, loaded, "upstream.ca_file", path, text.error().message);
  } else if (text->find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
    add(errors, loaded, "upstream.ca_file", path, "holds no PEM certificate (-----BEGIN CERTIFICATE-----)");
  }
}

void check_namespace_shares(const Loaded& loaded, std::vector<Problem>& errors) {
  for (const std::string& share : loaded.settings.cache.serve_percent_by_namespace) {
    const size_t equals = share.rfind('=');
    double percent = -1;
    if (equals != std::string::npos && equals > 0) {
      const char* end = share.data() + share.size();
      const auto [stop, error] = std::from_chars(share.data() + equals + 1, end, percent);
      if (error != std::errc() || stop != end) percent = -1;
    }
    if (percent >= 0 && percent <= 100) continue;
    add(errors, loaded, "cache.serve_percent_by_namespace", share,
        "must be namespace=percent with a percent of 0 to 100");
  }
}

void check_prices(const Loaded& loaded, std::vector<Problem>& errors) {
  const List& rows = loaded.settings.monitoring.prices;
  if (rows.size() > kPricesMax)
    add(errors, loaded, "monitoring.prices", fmt::format("{} rows", rows.size()),
        fmt::format("must be at most {} rows", kPricesMax));
  std::set<std::string> models;
  for (const std::string& row : rows) {
    const auto price = parse_price(row);
    if (!price)
      add(errors, loaded, "monitoring.prices", row, price.error().message);
    else if (!models.insert(price->model).second)
      add(errors, loaded, "monitoring.prices", row, "names a model that an earlier row has a price for");
  }
  if (const Text& currency = loaded.settings.monitoring.currency; currency.size() > kCurrencyBytesMax)
    add(errors, loaded, "monitoring.currency", currency,
        fmt::format("must be at most {} bytes long", kCurrencyBytesMax));
}

/// Where this machine calls by itself: encrypted, or not further than itself.
std::string own_call_problem(std::string_view url) {
  std::string wrong = check_base_url(url);
  if (wrong.empty() && !url.starts_with("https://") && !is_this_machine(parse_authority(url).host))
    wrong = "must be https outside of this machine";
  return wrong;
}

/// A miss that is asked of this very server would be asked for ever.
void check_upstream_is_another(const Loaded& loaded, std::vector<Problem>& errors) {
  const auto& server = loaded.settings.server;
  const auto check = [&](std::string_view name, const Text& url) {
    const Authority to = parse_authority(url);
    if (server.port == 0 || to.port != server.port || !reaches(to.host, server.host)) return;
    add(errors, loaded, name, url, "is the address of this very server (server.host, server.port)");
  };
  check("upstream.base_url", loaded.settings.upstream.base_url);
  for (const Route& route : loaded.settings.upstream.routes) {
    check("upstream.routes", route.target.base_url);
    for (const RouteTarget& target : route.fallbacks) check("upstream.routes", target.base_url);
  }
}

void check_tracing(const Loaded& loaded, std::vector<Problem>& errors) {
  const Text& url = loaded.settings.tracing.endpoint;
  if (url.empty()) return;
  if (const std::string wrong = own_call_problem(url); !wrong.empty())
    add(errors, loaded, "tracing.endpoint", url, wrong);
}

void check_jwt(const Loaded& loaded, std::vector<Problem>& errors) {
  const auto& security = loaded.settings.security;
  const bool some_keys =
      !security.jwt_jwks_file.empty() || !security.jwt_jwks_url.empty() || !security.jwt_secret.empty();
  if (some_keys && (security.jwt_issuer.empty() || security.jwt_audience.empty()))
    add(errors, loaded, "security.jwt_issuer", security.jwt_issuer,
        "and security.jwt_audience must be given with tokens: one issuer's token for somebody else is none "
        "for us");
  if (!security.jwt_issuer.empty() && !some_keys)
    add(errors, loaded, "security.jwt_issuer", security.jwt_issuer,
        "needs jwt_jwks_file, jwt_jwks_url or jwt_secret to check tokens with");
  if (!security.jwt_jwks_file.empty() && !security.jwt_jwks_url.empty())
    add(errors, loaded, "security.jwt_jwks_url", security.jwt_jwks_url, "give it or jwt_jwks_file, not both");
  if (!security.jwt_secret.empty() && security.jwt_secret.size() < 32)
    add(errors, loaded, "security.jwt_secret", std::string(kMasked), "must be 32 bytes or more");
  if (const Text& url = security.jwt_jwks_url; !url.empty()) {
    if (const std::string wrong = own_call_problem(url); !wrong.empty())
      add(errors, loaded, "security.jwt_jwks_url", url, wrong);
  }
  for (const Text& row : security.jwt_role_map) {
    const size_t equals = row.rfind('=');
    const std::string role = equals == row.npos ? "" : row.substr(equals + 1);
    const bool known = role == "viewer" || role == "client" || role == "operator" || role == "admin";
    if (equals == 0 || !known)
      add(errors, loaded, "security.jwt_role_map", row,
          "must be value=role, the role one of viewer, client, operator, admin");
  }
}

/// Empty, or what is wrong with name=role@tenant.
std::string check_certificate_row(std::string_view row) {
  static constexpr std::string_view kKinds[] = {"DNS:", "URI:", "email:", "CN:"};
  static constexpr std::string_view kRoles[] = {"viewer", "client", "operator", "admin"};
  const size_t equals = row.rfind('=');
  const std::string_view name = row.substr(0, std::min(equals, row.size()));
  const std::string_view who = equals == row.npos ? std::string_view() : row.substr(equals + 1);
  const size_t at = who.find('@');
  const bool is_named = std::any_of(std::begin(kKinds), std::end(kKinds), [name](std::string_view kind) {
    return name.size() > kind.size() && name.substr(0, kind.size()) == kind;
  });
  const bool has_role = at != who.npos && std::find(std::begin(kRoles), std::end(kRoles),
                                                    who.substr(0, at)) != std::end(kRoles);
  const std::string_view tenant = has_role ? who.substr(at + 1) : std::string_view();
  const bool has_tenant =
      !tenant.empty() && tenant.size() <= 128 &&
      std::all_of(tenant.begin(), tenant.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (is_named && has_tenant) return {};
  return "must be name=role@tenant, the name one of DNS:host, URI:uri, email:address, CN:common name, the "
         "role one of viewer, client, operator, admin, the tenant 1 to 128 visible ASCII characters";
}

void check_tls(const Loaded& loaded, std::vector<Problem>& errors) {
  const auto& server = loaded.settings.server;
  if (server.tls_cert_file.empty() != server.tls_key_file.empty())
    add(errors, loaded, server.tls_cert_file.empty() ? "server.tls_cert_file" : "server.tls_key_file", "",
        "is missing: a certificate and its key go together");
  if (server.tls_cert_file.empty() && !server.tls_client_ca_file.empty())
    add(errors, loaded, "server.tls_client_ca_file", server.tls_client_ca_file, "needs server.tls_cert_file");
  for (const Text& row : loaded.settings.security.client_certificates) {
    if (server.tls_client_ca_file.empty())
      add(errors, loaded, "security.client_certificates", row,
          "needs server.tls_client_ca_file: only a certificate that was verified says who calls");
    if (const std::string wrong = check_certificate_row(row); !wrong.empty())
      add(errors, loaded, "security.client_certificates", row, wrong);
  }
}

void check_backup_keys(const Loaded& loaded, std::vector<Problem>& errors) {
  const auto& storage = loaded.settings.storage;
  const bool has_file = !storage.backup_key_file.empty(), has_keys = !storage.backup_keys.empty();
  if (has_file && has_keys)
    add(errors, loaded, "storage.backup_keys", std::string(kMasked),
        "give it or storage.backup_key_file, not both");
  const bool has_master = !storage.encryption_key_file.empty() || !storage.encryption_keys.empty() ||
                          !storage.encryption_key_command.empty();
  if (storage.backup_encryption != "off" && !has_file && !has_keys && !has_master)
    add(errors, loaded, "storage.backup_encryption", storage.backup_encryption,
        "needs a key: storage.backup_key_file, EGPTC_STORAGE__BACKUP_KEYS or the keys of storage.encryption");
}

void check_encryption(const Loaded& loaded, std::vector<Problem>& errors) {
  const auto& storage = loaded.settings.storage;
  const std::pair<const char*, bool> sources[] = {
      {"storage.encryption_key_file", !storage.encryption_key_file.empty()},
      {"storage.encryption_keys", !storage.encryption_keys.empty()},
      {"storage.encryption_key_command", !storage.encryption_key_command.empty()}};
  int named = 0;
  for (const auto& [name, is_set] : sources) {
    if (is_set && ++named == 2)
      add(errors, loaded, name, std::string(kMasked),
          "give one of encryption_key_file, _keys and _key_command");
  }
  if (storage.prompts == "encrypted" && storage.encryption == "off")
    add(errors, loaded, "storage.prompts", storage.prompts, "needs storage.encryption: aes-256-gcm");
  for (const std::string& row : loaded.settings.compliance.pii_by_namespace) {
    const size_t equals = row.rfind('=');
    const std::string policy = equals == row.npos ? "" : row.substr(equals + 1);
    if (policy != "store" && policy != "redact" && policy != "skip")
      add(errors, loaded, "compliance.pii_by_namespace", row, "must be namespace=store, =redact or =skip");
  }
  if (storage.encryption != "off" && named == 0)
    add(errors, loaded, "storage.encryption", storage.encryption,
        "needs a key: storage.encryption_key_file, EGPTC_STORAGE__ENCRYPTION_KEYS or encryption_key_command");
}

/// A limit that counts keys does nothing where there are none, and nothing must look like protection.
void check_limits(const Loaded& loaded, std::vector<Problem>& errors) {
  const auto& limits = loaded.settings.limits;
  if (loaded.settings.security.enabled) return;
  const std::pair<const char*, double> needing[] = {
      {"limits.requests_per_second_key", limits.requests_per_second_key},
      {"limits.requests_per_second_user", limits.requests_per_second_user},
      {"limits.concurrent_key", static_cast<double>(limits.concurrent_key)},
      {"limits.concurrent_user", static_cast<double>(limits.concurrent_user)},
      {"limits.inserts_per_second_key", limits.inserts_per_second_key},
      {"limits.probes_per_minute", limits.probes_per_minute}};
  for (const auto& [name, value] : needing)
    if (value > 0) add(errors, loaded, name, format_number(value), "needs security.enabled: true");
  const auto& cache = loaded.settings.cache;
  if (cache.share_after_principals > 1)
    add(errors, loaded, "cache.share_after_principals", std::to_string(cache.share_after_principals),
        "needs security.enabled: true");
  if (cache.client_stores == "refused")
    add(errors, loaded, "cache.client_stores", cache.client_stores, "needs security.enabled: true");
}

}  // namespace

void read_secret_files(Loaded& loaded, std::vector<Problem>& errors) {
  for (size_t i = 0; i < keys().size(); ++i) {
    if (keys()[i].secret_file) read_row(loaded, i, errors);
  }
  for (Route& route : loaded.settings.upstream.routes) {
    read_target(loaded, route.target, errors);
    for (RouteTarget& target : route.fallbacks) read_target(loaded, target, errors);
  }
}

void check_together(const Loaded& loaded, std::vector<Problem>& errors, std::vector<Problem>& warnings) {
  const Settings& settings = loaded.settings;
  check_upstream_is_another(loaded, errors);
  check_ca_file(loaded, errors);
  check_namespace_shares(loaded, errors);
  check_prices(loaded, errors);
  check_tracing(loaded, errors);
  check_jwt(loaded, errors);
  check_tls(loaded, errors);
  check_limits(loaded, errors);
  check_encryption(loaded, errors);
  check_backup_keys(loaded, errors);
  if (!is_loopback(settings.server.host) && !settings.security.enabled &&
      !settings.security.insecure_listen) {
    add(errors, loaded, "server.host", settings.server.host,
        "must be a loopback address (127.0.0.1, ::1, localhost) while security is off; "
        "security.insecure_listen: true opens it to every host that reaches the port");
  }
  if (settings.federated.enabled && settings.federated.initial_tau < settings.cache.similarity_threshold) {
    add(warnings, loaded, "federated.initial_tau", format_number(settings.federated.initial_tau),
        fmt::format("is below cache.similarity_threshold, so tau starts at {}",
                    format_number(settings.cache.similarity_threshold)));
  }
  if (settings.monitoring.export_metrics) {
    add(warnings, loaded, "monitoring.export_metrics", "true",
        "accepted, but nothing is exported until PostgreSQL support is built");
  }
  if (settings.cache.entry_kb_max > settings.cache.size_mb * 1024) {
    add(warnings, loaded, "cache.entry_kb_max", std::to_string(settings.cache.entry_kb_max),
        fmt::format("is more than cache.size_mb ({}) can hold", settings.cache.size_mb));
  }
}

}  // namespace enhanced_gptcache::config

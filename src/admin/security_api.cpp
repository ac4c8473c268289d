#include "admin/security_api.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "admin/replies.h"
#include "base/canonical_json.h"
#include "base/clock.h"
#include "security/permissions.h"

namespace enhanced_gptcache::admin {
namespace {

using http::ExchangePtr;
using nlohmann::json;

constexpr std::string_view kKeysPath = "/admin/keys/";
constexpr std::string_view kRotate = "/rotate";
constexpr int64_t kExpiresSecondsMax = int64_t{100} * 365 * 24 * 3600;

Result<json> read_object(std::string_view body, std::string_view example) {
  const auto checked = base::canonical_json(body);
  if (!checked) return fail(ErrorCode::kInvalidArgument, "the body is no JSON: " + checked.error().message);
  json parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the body must be a JSON object such as {}", example));
  return parsed;
}

tl::unexpected<Error> wrong(std::string_view field, std::string_view allowed) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("{}: must be {}", field, allowed));
}

Result<std::vector<std::string>> read_texts(std::string_view field, const json& value) {
  std::vector<std::string> texts;
  if (!value.is_array()) return wrong(field, "a list of strings");
  for (const json& item : value) {
    if (!item.is_string()) return wrong(field, "a list of strings");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

Result<void> read_field(std::string_view field, const json& value, int64_t now_ms, security::KeyWish& wish) {
  if (field == "name" || field == "tenant") {
    if (!value.is_string()) return wrong(field, "a string");
    (field == "name" ? wish.name : wish.tenant) = value.get<std::string>();
  } else if (field == "role") {
    const auto role = value.is_string() ? security::parse_role(value.get<std::string>()) : std::nullopt;
    if (!role) return wrong(field, "viewer, client, operator or admin");
    wish.role = *role;
  } else if (field == "scopes") {
    EGPTC_TRY(wish.scopes, read_texts(field, value));
  } else if (field == "namespaces") {
    EGPTC_TRY(wish.namespaces, read_texts(field, value));
  } else if (field == "controls") {
    EGPTC_TRY(wish.controls, read_texts(field, value));
  } else if (field == "trusted") {
    if (!value.is_boolean()) return wrong(field, "true or false");
    wish.trusted = value.get<bool>();
  } else if (field == "expires_in_seconds") {
    const bool whole =
        value.is_number_integer() && value.get<int64_t>() >= 1 && value.get<int64_t>() <= kExpiresSecondsMax;
    if (!whole) return wrong(field, fmt::format("a whole number from 1 to {}", kExpiresSecondsMax));
    wish.expires_ms = now_ms + value.get<int64_t>() * 1000;
  } else {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: unknown field; known are name, role, tenant, scopes, namespaces, controls, "
                            "trusted, expires_in_seconds",
                            base::repair_utf8(field.substr(0, 64))));
  }
  return {};
}

/// The prefix in /admin/keys/{prefix}[/rotate]; empty: another path.
std::string prefix_in(std::string_view path, std::string_view ending) {
  path.remove_prefix(std::min(path.size(), kKeysPath.size()));
  if (!path.ends_with(ending)) return {};
  path.remove_suffix(ending.size());
  const bool plain = path.find_first_not_of("0123456789abcdef") == path.npos;
  return plain ? std::string(path) : std::string();
}

std::string with_key(const security::NewKey& made, int64_t now_ms) {
  json out = json::parse(security::key_json(made.record, now_ms));
  out["key"] = made.key;
  return out.dump();
}

int64_t now_ms() { return base::system_clock().wall_ms(); }

}  // namespace

Result<security::KeyWish> read_key_wish(std::string_view body, int64_t now_ms) {
  EGPTC_TRY(const json object, read_object(body, R"({"name": "web shop", "role": "client"})"));
  security::KeyWish wish;
  for (const auto& [field, value] : object.items()) EGPTC_TRY_VOID(read_field(field, value, now_ms, wish));
  return wish;
}

Result<size_t> read_audit_limit(std::string_view query) {
  if (query.empty()) return size_t{100};
  size_t limit = 0;
  const bool named = query.starts_with("limit=");
  const std::string_view digits = named ? query.substr(6) : std::string_view();
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), limit);
  if (!named || error != std::errc() || end != digits.data() + digits.size() || limit < 1 || limit > 1000)
    return fail(ErrorCode::kInvalidArgument, "the only parameter is limit, 1 to 1000");
  return limit;
}

Result<int64_t> read_grace_ms(std::string_view body) {
  if (body.empty()) return int64_t{0};
  EGPTC_TRY(const json object, read_object(body, R"({"grace_seconds": 3600})"));
  int64_t seconds = 0;
  for (const auto& [field, value] : object.items()) {
    if (field != "grace_seconds")
      return fail(ErrorCode::kInvalidArgument, fmt::format("{}: unknown field; known is grace_seconds",
                                                           base::repair_utf8(field.substr(0, 64))));
    const bool whole =
        value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() <= kExpiresSecondsMax;
    if (!whole) return wrong(field, "a whole number of seconds, 0 or more");
    seconds = value.get<int64_t>();
  }
  return seconds * 1000;
}

struct SecurityApi::State {
  SecurityHooks hooks;

  void later(const ExchangePtr& exchange, std::function<http::Response()> work) const {
    const bool taken = hooks.offload([exchange, work = std::move(work)] { exchange->send(work()); });
    if (!taken)
      exchange->send(refusal(503, "too many administrative calls are waiting; try again in a second"));
  }

  void list(const ExchangePtr& exchange) const {
    std::string out = "{\"keys\":[";
    for (const security::KeyRecord& record : hooks.keys->list()) {
      if (out.back() == '}') out += ',';
      out += security::key_json(record, now_ms());
    }
    exchange->send(reply(200, out + "]}"));
  }

  void create(const ExchangePtr& exchange) const {
    auto wish = read_key_wish(exchange->request().body, now_ms());
    if (!wish) return exchange->send(refusal(wish.error()));
    later(exchange, [this, exchange, wish = std::move(*wish)] {
      const auto made = hooks.keys->create(wish);
      if (!made) return refusal(made.error());
      exchange->notes.audit = fmt::format("key {} created, role {}, tenant {}", made->record.prefix,
                                          to_string(wish.role), made->record.wish.tenant);
      return reply(201, with_key(*made, now_ms()));
    });
  }

  void audit_tail(const ExchangePtr& exchange) const {
    if (hooks.audit == nullptr)
      return exchange->send(refusal(404, "there is no audit log (security.audit is false)"));
    const auto limit = read_audit_limit(exchange->request().query);
    if (!limit) return exchange->send(refusal(limit.error()));
    later(exchange, [this, limit = *limit] {
      std::string out = "{\"entries\":[";
      for (const std::string& line : hooks.audit->tail(limit)) {
        if (out.back() == '}') out += ',';
        out += line;
      }
      return reply(200, out + "]}");
    });
  }

  void rotate(const ExchangePtr& exchange) const {
    const std::string prefix = prefix_in(exchange->request().path, kRotate);
    if (prefix.empty()) return exchange->send(refusal(404, "there is nothing at this path"));
    const auto grace_ms = read_grace_ms(exchange->request().body);
    if (!grace_ms) return exchange->send(refusal(grace_ms.error()));
    later(exchange, [this, exchange, prefix, grace_ms = *grace_ms] {
      const auto made = hooks.keys->rotate(prefix, grace_ms);
      if (!made) return refusal(made.error());
      exchange->notes.audit = fmt::format("key {} rotated, grace {} s", prefix, grace_ms / 1000);
      return reply(200, with_key(*made, now_ms()));
    });
  }

  void revoke(const ExchangePtr& exchange) const {
    const std::string prefix = prefix_in(exchange->request().path, "");
    if (prefix.empty()) return exchange->send(refusal(404, "there is nothing at this path"));
    later(exchange, [this, exchange, prefix] {
      // Whoever has another way in (another admin's key, a token, a certificate) can make a new one.
      const auto& caller = exchange->pass;
      const bool is_own =
          caller != nullptr && caller->identity != nullptr && caller->identity->id == "key:" + prefix;
      if (auto done = hooks.keys->revoke(prefix, is_own); !done)
        return done.error().code == ErrorCode::kUnsupported ? refusal(409, done.error().message)
                                                            : refusal(done.error());
      exchange->notes.audit = fmt::format("key {} revoked", prefix);
      return reply(200, R"({"revoked":1})");
    });
  }
};

SecurityApi::SecurityApi(SecurityHooks hooks) : state_(std::make_shared<State>(State{std::move(hooks)})) {}

void SecurityApi::register_routes(http::Server& server) {
  const auto route = [&](const char* method, const char* path, auto handler) {
    server.route(method, path, [state = state_, handler, path](ExchangePtr exchange) {
      exchange->notes.route = path;
      handler(*state, exchange);
    });
  };
  route("GET", "/admin/keys", [](const State& state, const ExchangePtr& exchange) { state.list(exchange); });
  route("POST", "/admin/keys",
        [](const State& state, const ExchangePtr& exchange) { state.create(exchange); });
  route("POST", "/admin/keys/*",
        [](const State& state, const ExchangePtr& exchange) { state.rotate(exchange); });
  route("DELETE", "/admin/keys/*",
        [](const State& state, const ExchangePtr& exchange) { state.revoke(exchange); });
  route("GET", "/admin/audit",
        [](const State& state, const ExchangePtr& exchange) { state.audit_tail(exchange); });
  route("GET", "/admin/permissions", [](const State&, const ExchangePtr& exchange) {
    exchange->send(reply(200, "{\"permissions\":" + security::permissions_json() + "}"));
  });
}

}  // namespace enhanced_gptcache::admin

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>

#include "admin/security_api.h"
#include "app/storage_folder.h"
#include "app/vault_parts.h"
#include "base/clock.h"
#include "cli/http_call.h"
#include "cli/security_commands.h"
#include "security/api_key.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::json;

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

/// Seconds of "90d", "12h", "30m", "60s" or "60"; 0: it is none of these.
int64_t seconds_of(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 1 || number > INT64_C(3'153'600'000)) return 0;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.empty() || unit == "s") return number;
  if (unit == "m") return number * 60;
  if (unit == "h") return number * 3600;
  return unit == "d" ? number * 86'400 : 0;
}

/// A key is accepted in place of its prefix, so that what is at hand can be pasted.
std::string prefix_of(const std::string& text) {
  const auto parts = security::parse_api_key(text);
  return parts ? std::string(parts->prefix) : text;
}

/// One operation, on the folder when no process holds it, else on the server that does.
struct Operation {
  std::string method, path, body;
  std::function<Result<json>(security::KeyStore&)> on_folder;
};

Result<json> run_on_folder(const config::Settings& settings, const Operation& operation) {
  const std::string& folder = settings.storage.path;
  EGPTC_TRY(const auto vault, app::open_vault(settings));
  EGPTC_TRY(const base::SecretKey key, app::open_instance_key(settings, folder, vault.get()));
  EGPTC_TRY(const auto keys, security::KeyStore::open(folder, key));
  return operation.on_folder(*keys);
}

Result<json> run_on_server(const Common& common, const config::Settings& settings,
                           const KeysArguments& wanted, const Operation& operation) {
  EGPTC_TRY(http::Headers headers, caller_credential(common, settings, wanted.key_variable, true));
  const std::string url = server_url(common, settings);
  auto answer = http_call(url, operation.method, operation.path, operation.body, std::move(headers));
  if (!answer)
    return fail(answer.error().code, fmt::format("{} does not answer: {}", url, answer.error().message));
  if (answer->status >= 300) {
    const ErrorCode code = answer->status == 400 ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable;
    return fail(code, error_text(*answer));
  }
  json parsed = json::parse(answer->body, nullptr, false);
  if (parsed.is_discarded())
    return fail(ErrorCode::kCorrupt,
                fmt::format("{} did not answer with JSON; is it an enhanced-gptcache?", url));
  return parsed;
}

Result<json> run(const Common& common, const KeysArguments& wanted, const Operation& operation,
                 int& exit_code) {
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return fail(ErrorCode::kInvalidArgument, "the settings are wrong");
  exit_code = 0;
  const config::Settings& settings = loaded->settings;
  if (!common.server_url.empty()) return run_on_server(common, settings, wanted, operation);
  const auto folder = app::StorageFolder::open(settings.storage.path);
  if (folder) return run_on_folder(settings, operation);
  if (folder.error().code != ErrorCode::kUnavailable) return fail(folder.error());
  return run_on_server(common, settings, wanted, operation);
}

json public_json(const security::KeyRecord& record) {
  return json::parse(security::key_json(record, base::system_clock().wall_ms()));
}

json with_key(const security::NewKey& made) {
  json out = public_json(made.record);
  out["key"] = made.key;
  return out;
}

/// The key alone on standard output, so that a script can take it.
int print_key(const Result<json>& made, const KeysArguments& wanted) {
  if (!made) return report(made.error());
  if (wanted.as_json) {
    fmt::print("{}\n", made->dump());
    return 0;
  }
  fmt::print(stderr, "key {}, role {}, tenant {}; it is shown this once:\n", made->value("prefix", ""),
             made->value("role", ""), made->value("tenant", ""));
  fmt::print("{}\n", made->value("key", ""));
  return 0;
}

json wish_json(const KeysArguments& wanted, int64_t expires_in_seconds) {
  json body = {{"role", wanted.role}, {"trusted", wanted.trusted}};
  if (!wanted.name.empty()) body["name"] = wanted.name;
  if (!wanted.tenant.empty()) body["tenant"] = wanted.tenant;
  if (!wanted.scopes.empty()) body["scopes"] = wanted.scopes;
  if (!wanted.namespaces.empty()) body["namespaces"] = wanted.namespaces;
  if (!wanted.controls.empty()) body["controls"] = wanted.controls;
  if (expires_in_seconds > 0) body["expires_in_seconds"] = expires_in_seconds;
  return body;
}

std::string when(int64_t wall_ms) {
  if (wall_ms == 0) return "-";
  const std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0 ? text : "?";
}

}  // namespace

int keys_create(const Common& common, const KeysArguments& wanted) {
  int64_t expires_in_seconds = 0;
  if (!wanted.expires_in.empty()) {
    expires_in_seconds = seconds_of(wanted.expires_in);
    if (expires_in_seconds == 0)
      return report(
          {ErrorCode::kInvalidArgument,
           fmt::format("--expires-in: is {}, must be a number with d, h, m or s", wanted.expires_in)});
  }
  Operation operation;
  operation.method = "POST";
  operation.path = "/admin/keys";
  operation.body = wish_json(wanted, expires_in_seconds).dump(-1, ' ', false, json::error_handler_t::replace);
  operation.on_folder = [&](security::KeyStore& keys) -> Result<json> {
    EGPTC_TRY(const auto wish, admin::read_key_wish(operation.body, base::system_clock().wall_ms()));
    EGPTC_TRY(const auto made, keys.create(wish));
    return with_key(made);
  };
  int exit_code = 0;
  const auto made = run(common, wanted, operation, exit_code);
  return exit_code != 0 ? exit_code : print_key(made, wanted);
}

int keys_list(const Common& common, const KeysArguments& wanted) {
  Operation operation;
  operation.method = "GET";
  operation.path = "/admin/keys";
  operation.on_folder = [](security::KeyStore& keys) -> Result<json> {
    json list = json::array();
    for (const auto& record : keys.list()) list.push_back(public_json(record));
    return json{{"keys", std::move(list)}};
  };
  int exit_code = 0;
  const auto found = run(common, wanted, operation, exit_code);
  if (exit_code != 0) return exit_code;
  if (!found) return report(found.error());
  if (wanted.as_json) {
    fmt::print("{}\n", found->dump());
    return 0;
  }
  fmt::print("{:<14}{:<10}{:<10}{:<22}{:<22}{}\n", "PREFIX", "ROLE", "STATE", "EXPIRES", "TENANT", "NAME");
  for (const json& key : (*found)["keys"]) {
    fmt::print("{:<14}{:<10}{:<10}{:<22}{:<22}{}\n", key.value("prefix", ""), key.value("role", ""),
               key.value("state", ""), when(key.value("expires_ms", int64_t{0})), key.value("tenant", ""),
               key.value("name", ""));
  }
  return 0;
}

int keys_rotate(const Common& common, const KeysArguments& wanted) {
  const std::string prefix = prefix_of(wanted.prefix);
  Operation operation;
  operation.method = "POST";
  operation.path = "/admin/keys/" + prefix + "/rotate";
  operation.body = json{{"grace_seconds", wanted.grace_seconds}}.dump();
  operation.on_folder = [&](security::KeyStore& keys) -> Result<json> {
    EGPTC_TRY(const auto made, keys.rotate(prefix, wanted.grace_seconds * 1000));
    return with_key(made);
  };
  int exit_code = 0;
  const auto made = run(common, wanted, operation, exit_code);
  return exit_code != 0 ? exit_code : print_key(made, wanted);
}

int keys_revoke(const Common& common, const KeysArguments& wanted) {
  const std::string prefix = prefix_of(wanted.prefix);
  Operation operation;
  operation.method = "DELETE";
  operation.path = "/admin/keys/" + prefix;
  operation.on_folder = [&](security::KeyStore& keys) -> Result<json> {
    EGPTC_TRY_VOID(keys.revoke(prefix));
    return json{{"revoked", 1}};
  };
  int exit_code = 0;
  const auto done = run(common, wanted, operation, exit_code);
  if (exit_code != 0) return exit_code;
  if (!done) return report(done.error());
  fmt::print("revoked {}\n", prefix);
  return 0;
}

}  // namespace enhanced_gptcache::cli

#include "admin/admin_api.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "admin/replies.h"
#include "base/canonical_json.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/settings_table.h"

namespace enhanced_gptcache::admin {
namespace {

using http::ExchangePtr;
using nlohmann::json;

/// A settings value as the text the loader reads: strings bare, everything else as JSON.
std::string setting_text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// {"cache.size_mb": 5} or {"cache": {"size_mb": 5}} to "section.key" -> text.
Result<std::map<std::string, std::string>> read_changes(std::string_view body) {
  const auto checked = base::canonical_json(body);
  if (!checked) return fail(ErrorCode::kInvalidArgument, "the body is no JSON: " + checked.error().message);
  const json parsed = json::parse(body, nullptr, false);
  if (parsed.is_discarded() || !parsed.is_object() || parsed.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "the body must be a JSON object of settings, such as {\"cache\": {\"size_mb\": 200}}");
  }
  std::map<std::string, std::string> changes;
  std::string twice;
  const auto add = [&](const std::string& name, const json& value) {
    if (!changes.emplace(name, setting_text(value)).second) twice = name;
  };
  for (const auto& [section, keys] : parsed.items()) {
    if (section.empty())
      return fail(ErrorCode::kInvalidArgument, "a section without a name: name keys as section.key");
    if (section.find('.') != std::string::npos) {
      add(section, keys);
    } else if (!keys.is_object()) {
      return fail(ErrorCode::kInvalidArgument,
                  section + ": a section must be an object of keys (or name the key as section.key)");
    } else {
      for (const auto& [key, value] : keys.items()) add(section + "." + key, value);
    }
  }
  if (!twice.empty()) return fail(ErrorCode::kInvalidArgument, twice + ": is given twice");
  return changes;
}

/// `loaded` says what a change without effect is overridden by: an environment variable or a flag.
std::string change_json(const config::Change& change, const config::Loaded& loaded) {
  json out = {{"changed", change.keys}, {"pending_restart", change.pending_restart}};
  for (const std::string& name : change.overridden)
    out["overridden_by"][name] = loaded.values[config::find_key(name)].source;
  return out.dump();
}

/// The settings in force, and what of the newest ones is not.
std::string config_json(const config::SettingsSource& source) {
  std::string out = config::effective_json(*source.loaded());
  const config::ReloadStatus status = source.status();
  json errors = json::array();
  for (const config::Problem& problem : status.errors) errors.push_back(problem.text());
  out.pop_back();  // the closing brace
  return out + ",\"pending_restart\":" + json(status.pending_restart).dump() +
         ",\"valid\":" + (status.valid ? "true" : "false") +
         ",\"errors\":" + errors.dump(-1, ' ', false, json::error_handler_t::replace) + "}";
}

/// ?dry_run=true|false of PUT /admin/config.
Result<bool> read_dry_run(std::string_view query) {
  if (query.empty() || query == "dry_run=false") return false;
  if (query == "dry_run=true") return true;
  return fail(ErrorCode::kInvalidArgument, "the only parameter is dry_run, which is true or false");
}

}  // namespace

struct AdminApi::State {
  AdminHooks hooks;
  const metrics::Registry& registry;
  config::SettingsSource& source;

  void later(const ExchangePtr& exchange, std::function<http::Response()> work) const {
    run(hooks.offload, exchange, std::move(work));
  }

  static void run(const std::function<bool(std::function<void()>)>& offload, const ExchangePtr& exchange,
                  std::function<http::Response()> work) {
    const bool taken = offload([exchange, work = std::move(work)] { exchange->send(work()); });
    if (!taken)
      exchange->send(refusal(503, "too many administrative calls are waiting; try again in a second"));
  }

  void health(const ExchangePtr& exchange) const {
    later(exchange, [this] {
      HealthReport report = check_health(hooks.health, base::system_clock().wall_ms());
      if (hooks.on_health) hooks.on_health(report.overall);
      return reply(report.http_status(), std::move(report.json));
    });
  }

  void metrics(const ExchangePtr& exchange) const {
    if (!source.current()->monitoring.metrics_enabled) {
      return exchange->send(refusal(404, "metrics are switched off (monitoring.metrics_enabled is false)"));
    }
    const auto form = metrics_form(exchange->request().header("accept"), exchange->request().query);
    if (!form) return exchange->send(refusal(form.error()));
    later(exchange, [this, form = *form] {
      return form == MetricsForm::kJson
                 ? reply(200, hooks.summary_json())
                 : reply(200, registry.prometheus_text(), metrics::kPrometheusContentType);
    });
  }

  /// The settings are fine, the caller's place is what speaks against them.
  static http::Response refused(const Error& error) {
    return error.code == ErrorCode::kUnsupported ? refusal(409, error.message) : refusal(error);
  }

  /// Nobody shuts the door behind which they stand: the next call could not undo it.
  config::SettingsSource::Guard guard_for(const ExchangePtr& exchange) const {
    return [this, exchange](const config::Settings& settings) -> Result<void> {
      const std::string why = hooks.why_locked_out(*exchange, settings);
      if (why.empty()) return {};
      return fail(
          ErrorCode::kUnsupported,
          why + "; nothing was changed (call from where you stay admitted, or use the settings file)");
    };
  }

  http::Response apply(const Result<config::Change>& change, std::string_view what) const {
    if (!change) return refused(change.error());
    base::log_info("settings: {} by an operator; changed {}, waiting for a restart {}", what,
                   change->keys.size(), change->pending_restart.size());
    return reply(200, change_json(*change, *source.loaded()));
  }

  void change_settings(const ExchangePtr& exchange) const {
    const auto dry_run = read_dry_run(exchange->request().query);
    if (!dry_run) return exchange->send(refusal(dry_run.error()));
    auto changes = read_changes(exchange->request().body);
    if (!changes) return exchange->send(refusal(changes.error()));
    if (*dry_run) {
      exchange->notes.audit = "settings checked, not changed";
      return later(exchange, [this, exchange, changes = std::move(*changes)] {
        const auto change = source.check_admin(changes, guard_for(exchange));
        return change ? reply(200, change_json(*change, *source.loaded())) : refused(change.error());
      });
    }
    std::string names;
    for (const auto& [name, value] : *changes) names += (names.empty() ? "" : ", ") + name;
    exchange->notes.audit = "settings changed: " + base::repair_utf8(names.substr(0, 1000));
    later(exchange, [this, exchange, changes = std::move(*changes)] {
      return apply(source.apply_admin(changes, guard_for(exchange)), "changed");
    });
  }
};

Result<MetricsForm> metrics_form(std::string_view accept, std::string_view query) {
  for (size_t start = 0; start < query.size();) {
    const size_t end = std::min(query.find('&', start), query.size());
    const std::string_view pair = query.substr(start, end - start);
    start = end + 1;
    if (pair == "format=json") return MetricsForm::kJson;
    if (pair == "format=prometheus") return MetricsForm::kPrometheus;
    if (pair.starts_with("format=")) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("format: is {}, allowed are json and prometheus",
                              base::json_string(base::repair_utf8(pair.substr(7)))));
    }
  }
  const bool json_wanted = accept == "*/*" || accept.starts_with("application/json");
  return json_wanted ? MetricsForm::kJson : MetricsForm::kPrometheus;
}

AdminApi::AdminApi(AdminHooks hooks, const metrics::Registry& registry, config::SettingsSource& source)
    : state_(std::make_shared<State>(State{std::move(hooks), registry, source})) {}

void AdminApi::register_routes(http::Server& server) {
  const auto route = [&](const char* method, const char* path, auto handler) {
    server.route(method, path, [state = state_, handler, path](ExchangePtr exchange) {
      exchange->notes.route = path;
      handler(*state, exchange);
    });
  };
  route("GET", "/health", [](const State& state, const ExchangePtr& exchange) { state.health(exchange); });
  route("GET", "/metrics", [](const State& state, const ExchangePtr& exchange) { state.metrics(exchange); });
  route("GET", "/live",
        [](const State&, const ExchangePtr& exchange) { exchange->send(reply(200, "{\"live\":true}")); });
  route("GET", "/ready", [](const State& state, const ExchangePtr& exchange) {
    const bool ready = state.hooks.ready();
    exchange->send(reply(ready ? 200 : 503, ready ? "{\"ready\":true}" : "{\"ready\":false}"));
  });
  route("GET", "/admin/config", [](const State& state, const ExchangePtr& exchange) {
    exchange->send(reply(200, config_json(state.source)));
  });
  route("GET", "/admin/config/schema", [](const State&, const ExchangePtr& exchange) {
    exchange->send(reply(200, "{\"keys\":" + config::settings_table_json() + "}"));
  });
  route("PUT", "/admin/config",
        [](const State& state, const ExchangePtr& exchange) { state.change_settings(exchange); });
  route("POST", "/admin/config/reset", [](const State& state, const ExchangePtr& exchange) {
    state.later(exchange, [&state, exchange] {
      return state.apply(state.source.reset_admin(state.guard_for(exchange)), "admin changes cleared");
    });
  });
  route("POST", "/admin/reload", [](const State& state, const ExchangePtr& exchange) {
    state.later(exchange, [&state] { return state.apply(state.source.reload(), "reloaded"); });
  });
  route("POST", "/admin/backup", [](const State& state, const ExchangePtr& exchange) {
    State::run(state.hooks.offload_long, exchange, [&state] {
      auto made = state.hooks.make_checkpoint();
      return made ? reply(201, std::move(*made)) : refusal(made.error());
    });
  });
  route("GET", "/admin/backup", [](const State& state, const ExchangePtr& exchange) {
    State::run(state.hooks.offload_long, exchange,
               [&state] { return reply(200, state.hooks.list_checkpoints()); });
  });
  route("DELETE", "/admin/backup/*", [](const State& state, const ExchangePtr& exchange) {
    const std::string path(exchange->request().path);
    State::run(state.hooks.offload_long, exchange, [&state, name = path.substr(path.rfind('/') + 1)] {
      const auto dropped = state.hooks.drop_checkpoint(name);
      return dropped ? reply(200, "{\"dropped\":true}") : refusal(dropped.error());
    });
  });
  route("GET", "/admin/encryption", [](const State& state, const ExchangePtr& exchange) {
    state.later(exchange, [&state] { return reply(200, state.hooks.encryption_json()); });
  });
  route("POST", "/admin/encryption/rotate", [](const State& state, const ExchangePtr& exchange) {
    exchange->notes.audit = "master keys read again, everything is to be sealed by the first one";
    State::run(state.hooks.offload_long, exchange, [&state] {
      const auto done = state.hooks.rotate_keys();
      // Nothing is wrong with the server: the settings say that nothing is sealed.
      if (!done && done.error().code == ErrorCode::kUnsupported) return refusal(409, done.error().message);
      return done ? reply(202, state.hooks.encryption_json()) : refusal(done.error());
    });
  });
  route("GET", "/admin/stats", [](const State& state, const ExchangePtr& exchange) {
    state.later(exchange, [&state] { return reply(200, state.hooks.stats_json()); });
  });
}

}  // namespace enhanced_gptcache::admin

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/http_call.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::json;

struct Wanted {
  std::string text;
  std::string name_space;
  std::string model;
  std::string key_variable;
  double threshold = -1;
  bool as_json = false;
  bool explain = false;
};

void print_hit(const json& body) {
  const json& response = body["response"];
  fmt::print("{}\n", response.is_string() ? response.get<std::string>() : response.dump(2));
  fmt::print(stderr, "hit: layer {}, similarity {:.4f}, {:.2f} ms, entry {}\n",
             body["layer"].get<std::string>(), body.value("similarity", 0.0), body.value("latency_ms", 0.0),
             body.value("entry_id", std::string("-")));
}

void print_miss(const json& body) {
  std::string nearest;
  if (body.contains("nearest"))
    nearest = fmt::format(", nearest {:.4f}", body["nearest"].value("similarity", 0.0));
  fmt::print(stderr, "miss: {}{}, {:.2f} ms\n", body.value("reason", std::string("?")), nearest,
             body.value("latency_ms", 0.0));
}

int query(const Common& common, const Wanted& wanted) {
  const auto loaded = load_or_report(common);
  if (loaded == nullptr) return 1;
  auto headers = credential_from(wanted.key_variable);
  if (!headers) {
    fmt::print(stderr, "error: {}\n", headers.error().message);
    return 2;
  }
  json body = {{"query", wanted.text}};
  if (!wanted.name_space.empty()) body["namespace"] = wanted.name_space;
  if (!wanted.model.empty()) body["model"] = wanted.model;
  if (wanted.threshold >= 0) body["threshold"] = wanted.threshold;
  const std::string url = server_url(common, loaded->settings);
  const auto answer =
      http_call(url, "POST", wanted.explain ? "/cache/explain" : "/cache/lookup",
                body.dump(-1, ' ', false, json::error_handler_t::replace), std::move(*headers));
  if (!answer) {
    fmt::print(stderr, "error: {} does not answer ({}); start it with: enhanced-gptcache serve\n", url,
               answer.error().message);
    return 1;
  }
  if (answer->status != 200) {
    fmt::print(stderr, "error: {}\n", error_text(*answer));
    return answer->status == 400 ? 2 : 1;
  }
  const json parsed = json::parse(answer->body, nullptr, false);
  if (parsed.is_discarded()) {
    fmt::print(stderr, "error: {} did not answer with JSON; is it an enhanced-gptcache server?\n", url);
    return 1;
  }
  if (wanted.explain || wanted.as_json) {
    fmt::print("{}\n", wanted.explain ? parsed.dump(2) : answer->body);
    return wanted.explain || parsed.value("hit", false) ? 0 : 1;
  }
  const bool hit = parsed.value("hit", false);
  hit ? print_hit(parsed) : print_miss(parsed);
  return hit ? 0 : 1;
}

}  // namespace

void add_query(CLI::App& app, Common& common, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("query", "Ask the cache of a running server (exit code 1 on a miss).");
  auto wanted = std::make_shared<Wanted>();
  command->add_option("text", wanted->text, "the question")->required();
  command->add_option("--namespace", wanted->name_space, "namespace below the caller's tenant");
  command->add_option("--model", wanted->model, "model the answer must come from (default: \"default\")");
  command->add_option("--threshold", wanted->threshold, "raise the similarity floor")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--api-key-env", wanted->key_variable,
                      "environment variable with the provider key whose entries to ask");
  command->add_flag("--json", wanted->as_json, "print the answer as the server gave it");
  command->add_flag("--explain", wanted->explain, "print how the decision came about");
  command->callback([&common, &exit_code, wanted] { exit_code = query(common, *wanted); });
}

}  // namespace enhanced_gptcache::cli

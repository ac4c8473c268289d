#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/http_call.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::json;

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

}  // namespace

int query(const Common& common, const QueryArguments& wanted) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  auto headers = caller_credential(common, loaded->settings, wanted.key_variable, false);
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

}  // namespace enhanced_gptcache::cli

#include "config/routes.h"

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "base/nearest_name.h"
#include "config/url_check.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

constexpr size_t kRoutesMax = 256;
constexpr size_t kFallbacksMax = 8;

/// Reads one target or route. Confined to one assign_routes call.
class RouteReader {
 public:
  explicit RouteReader(const ProblemSink& sink) : sink_(sink) {}

  bool ok() const { return ok_; }

  Route route(const std::string& name, const Node& node) {
    Route route;
    if (!is_map(name, node)) return route;
    for (const auto& [key, value] : node.fields) {
      const std::string field = name + "." + key;
      if (key == "model") {
        route.model = text(field, value);
      } else if (key == "fallbacks") {
        read_fallbacks(field, value, route.fallbacks);
      } else if (!target_field(field, key, value, route.target)) {
        unknown(field, value, key, {"model", "base_url", "api_key", "api_key_file", "fallbacks"});
      }
    }
    if (route.model.empty())
      problem(node.line, name + ".model", "", "is missing: a model name, * and ? allowed");
    check_target(name, node.line, route.target);
    return route;
  }

 private:
  void problem(int line, const std::string& name, const std::string& value, const std::string& message) {
    ok_ = false;
    sink_.add(line, name, value, message);
  }

  bool is_map(const std::string& name, const Node& node) {
    if (node.kind == Node::Kind::kMap) return true;
    problem(node.line, name, node.shown, "must be a map of keys");
    return false;
  }

  std::string text(const std::string& name, const Node& value) {
    if (value.kind != Node::Kind::kScalar) {
      problem(value.line, name, "", "must be a text");
      return "";
    }
    const std::string wrong = check_plain_text(value.text);
    if (!wrong.empty()) problem(value.line, name, value.shown, wrong);
    return value.text;
  }

  void unknown(const std::string& name, const Node& value, const std::string& key,
               const std::vector<std::string>& known) {
    problem(value.line, name, "", "unknown key" + base::did_you_mean(base::nearest_name(key, known)));
  }

  bool target_field(const std::string& name, const std::string& key, const Node& value, RouteTarget& target) {
    if (key == "base_url") {
      read_url(name, value, target.base_url);
    } else if (key == "api_key_file") {
      target.api_key_file = text(name, value);
    } else if (key == "api_key") {
      read_secret(name, value, target.api_key);
    } else {
      return false;
    }
    return true;
  }

  void read_url(const std::string& name, const Node& value, std::string& url) {
    url = text(name, value);
    while (url.ends_with('/')) url.pop_back();
    const std::string wrong = check_base_url(url);
    if (!wrong.empty()) problem(value.line, name, mask_user(value.shown), wrong);
  }

  void read_secret(const std::string& name, const Node& value, std::string& secret) {
    if (value.kind == Node::Kind::kNull) return;
    const std::string wrong = value.kind == Node::Kind::kScalar ? check_secret(value.text) : "must be a text";
    if (!wrong.empty()) problem(value.line, name, kMasked, wrong);
    secret = value.text;
  }

  void read_fallbacks(const std::string& name, const Node& value, std::vector<RouteTarget>& fallbacks) {
    if (value.kind == Node::Kind::kNull) return;
    if (value.kind != Node::Kind::kList || value.items.size() > kFallbacksMax) {
      problem(value.line, name, value.shown,
              fmt::format("must be a list of at most {} targets", kFallbacksMax));
      return;
    }
    for (size_t i = 0; i < value.items.size(); ++i) {
      fallbacks.push_back(fallback(fmt::format("{}[{}]", name, i), value.items[i]));
    }
  }

  RouteTarget fallback(const std::string& name, const Node& node) {
    RouteTarget target;
    if (!is_map(name, node)) return target;
    for (const auto& [key, value] : node.fields) {
      const std::string field = name + "." + key;
      if (!target_field(field, key, value, target)) {
        unknown(field, value, key, {"base_url", "api_key", "api_key_file"});
      }
    }
    check_target(name, node.line, target);
    return target;
  }

  void check_target(const std::string& name, int line, const RouteTarget& target) {
    if (target.base_url.empty())
      problem(line, name + ".base_url", "", "is missing: http(s)://host[:port][/path]");
    if (!target.api_key.empty() && !target.api_key_file.empty()) {
      problem(line, name + ".api_key", "", "give api_key or api_key_file, not both");
    }
  }

  const ProblemSink& sink_;
  bool ok_ = true;
};

std::string target_fields_json(const RouteTarget& target) {
  return fmt::format(R"("base_url":{},"api_key":"{}","api_key_file":{})", base::json_string(target.base_url),
                     target.api_key.empty() ? "" : kMasked, base::json_string(target.api_key_file));
}

}  // namespace

bool assign_routes(const std::string& name, const Node& node, Routes& routes, const ProblemSink& sink) {
  if (node.kind != Node::Kind::kList || node.items.size() > kRoutesMax) {
    sink.add(node.line, name, node.shown, fmt::format("must be a list of at most {} routes", kRoutesMax));
    return false;
  }
  Routes read;
  RouteReader reader(sink);
  for (size_t i = 0; i < node.items.size(); ++i) {
    read.push_back(reader.route(fmt::format("{}[{}]", name, i), node.items[i]));
  }
  if (reader.ok()) routes = std::move(read);
  return reader.ok();
}

std::string routes_json(const Routes& routes) {
  std::string out = "[";
  for (const Route& route : routes) {
    if (out.size() > 1) out += ",";
    out += fmt::format(R"({{"model":{},{},"fallbacks":[)", base::json_string(route.model),
                       target_fields_json(route.target));
    const char* comma = "";
    for (const RouteTarget& target : route.fallbacks) {
      out += fmt::format("{}{{{}}}", comma, target_fields_json(target));
      comma = ",";
    }
    out += "]}";
  }
  return out + "]";
}

}  // namespace enhanced_gptcache::config

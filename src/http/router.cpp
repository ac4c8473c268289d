#include "http/router.h"

#include <algorithm>

namespace enhanced_gptcache::http {
namespace {

bool takes_path(const Route& route, std::string_view path) {
  return route.prefix ? path.substr(0, route.path.size()) == route.path : path == route.path;
}

bool takes_method(const Route& route, std::string_view method) {
  return route.method == "*" || route.method == method || (route.method == "GET" && method == "HEAD");
}

bool comes_before(const Route& a, const Route& b) {
  if (a.prefix != b.prefix) return !a.prefix;
  return a.path.size() > b.path.size();
}

void add_allowed(std::string& allow, std::string_view method) {
  if (allow.find(method) != std::string::npos) return;
  if (!allow.empty()) allow += ", ";
  allow += method;
}

}  // namespace

void Router::add(std::string method, std::string path, Handler handler, RouteOptions options) {
  Route route{std::move(method), std::move(path), false, std::move(handler), options};
  if (route.path.ends_with("/*")) {
    route.prefix = true;
    route.path.pop_back();
  }
  routes_.insert(std::upper_bound(routes_.begin(), routes_.end(), route, comes_before), std::move(route));
}

std::vector<RouteName> Router::names() const {
  std::vector<RouteName> names;
  for (const Route& route : routes_) names.push_back({route.method, route.path + (route.prefix ? "*" : "")});
  return names;
}

void Router::set_fallback(Handler handler, RouteOptions options) {
  fallback_ = Route{"*", "/", true, std::move(handler), options};
  has_fallback_ = true;
}

Router::Match Router::match(std::string_view method, std::string_view path) const {
  Match match;
  for (const Route& route : routes_) {
    if (!takes_path(route, path)) continue;
    if (takes_method(route, method)) {
      match.route = &route;
      match.allow.clear();
      return match;
    }
    add_allowed(match.allow, route.method);
    if (route.method == "GET") add_allowed(match.allow, "HEAD");
  }
  if (match.allow.empty() && has_fallback_) match.route = &fallback_;
  return match;
}

}  // namespace enhanced_gptcache::http

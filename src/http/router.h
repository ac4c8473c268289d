#pragma once
// Which handler answers a method and a path.

#include <string>
#include <string_view>
#include <vector>

#include "http/server.h"

namespace enhanced_gptcache::http {

struct Route {
  std::string method;  ///< "*": any
  std::string path;    ///< without the final '*' when it is a prefix
  bool prefix = false;
  Handler handler;
  RouteOptions options;
};

/// Thread rule: immutable once the server runs.
class Router {
 public:
  void add(std::string method, std::string path, Handler handler, RouteOptions options);
  /// Every route as it was added.
  std::vector<RouteName> names() const;
  void set_fallback(Handler handler, RouteOptions options);

  struct Match {
    const Route* route = nullptr;  ///< null: 404, or 405 when `allow` is not empty
    std::string allow;
  };
  /// An exact path before any prefix, a longer prefix before a shorter one; among those only routes
  /// that take the method, so that a pass-through prefix catches the methods an exact path does not
  /// have. GET routes take HEAD.
  Match match(std::string_view method, std::string_view path) const;

 private:
  std::vector<Route> routes_;  // exact ones first, then prefixes, longest first
  Route fallback_;
  bool has_fallback_ = false;
};

}  // namespace enhanced_gptcache::http

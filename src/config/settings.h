#pragma once
// The settings of the server as one plain struct, generated from settings.def, and the table behind
// it. A Settings is made by load() (config/loader.h) and handed around as shared_ptr<const Settings>:
// whoever takes the pointer once sees one consistent set. No component reads it; app maps it to
// each component's own options.

#include <cstdint>
#include <string>
#include <vector>

namespace enhanced_gptcache::config {

/// One provider a route can use.
struct RouteTarget {
  std::string base_url;
  std::string api_key;  ///< already read from api_key_file when that was given
  std::string api_key_file;
  bool operator==(const RouteTarget&) const = default;
};
/// Requests whose model matches `model` (shell wildcards) go to `target`, then to `fallbacks` in order.
struct Route {
  std::string model;
  RouteTarget target;
  std::vector<RouteTarget> fallbacks;
  bool operator==(const Route&) const = default;
};

// The C++ types of the table's type names.
using Bool = bool;
using Int = int64_t;
using Double = double;
using Text = std::string;
using Enum = std::string;
using List = std::vector<std::string>;
using Routes = std::vector<Route>;

#define EGPTC_SECTION(section, Type, required, sentence) struct Type {
#define EGPTC_KEY(section, key, Type, fallback, reload, unit, sentence, ...) Type key = fallback;
#define EGPTC_LATER(section, key, sentence)
#define EGPTC_END(section) \
  }                        \
  section;
/// Every field with its built-in default. Thread rule: plain data; immutable once published.
struct Settings {
#include "config/settings.def"
};
#undef EGPTC_SECTION
#undef EGPTC_KEY
#undef EGPTC_LATER
#undef EGPTC_END

}  // namespace enhanced_gptcache::config

// The reports of loader.h: effective values with their origins, and differences.

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "config/loader.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

std::string row_json(const Loaded& loaded, size_t index) {
  const KeySpec& spec = keys()[index];
  const Value& value = loaded.values[index];
  return fmt::format(R"({}:{{"value":{},"origin":"{}","source":{},"reload":"{}"}})",
                     base::json_string(spec.key), value_json(spec, loaded.settings), to_string(value.origin),
                     base::json_string(value.source), spec.reload == Reload::kLive ? "live" : "restart");
}

}  // namespace

std::string effective_json(const Loaded& loaded) {
  std::string out = fmt::format(R"({{"environment":{},"file":{},"admin_file":{},"sections":{{)",
                                base::json_string(loaded.environment), base::json_string(loaded.path),
                                base::json_string(loaded.admin_path));
  std::string_view section;
  for (size_t i = 0; i < keys().size(); ++i) {
    if (keys()[i].section != section) {
      if (!section.empty()) out += "},";
      section = keys()[i].section;
      out += base::json_string(section) + ":{";
    } else {
      out += ",";
    }
    out += row_json(loaded, i);
  }
  return out + "}}}";
}

Result<std::string> effective_value(const Loaded& loaded, std::string_view name) {
  const size_t index = find_key(name);
  if (index == kNoKey) {
    return fail(ErrorCode::kNotFound,
                fmt::format("unknown key {}; did you mean {}?", name, nearest_key(name)));
  }
  return value_text(keys()[index], loaded.settings);
}

std::vector<std::string> changed_keys(const Settings& before, const Settings& after) {
  std::vector<std::string> names;
  for (const KeySpec& spec : keys()) {
    if (!same_value(spec, before, after)) names.push_back(spec.name());
  }
  return names;
}

}  // namespace enhanced_gptcache::config

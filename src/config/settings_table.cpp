#include "config/settings_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/canonical_json.h"
#include "base/nearest_name.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

// The traits of settings.def, each setting a few fields of a row.
struct Range {
  double low, high;
};
struct Words {
  std::string_view KeySpec::*field;
  std::string_view text;
};
struct Switch {
  bool KeySpec::*field;
};
constexpr Range in(double low, double high) { return {low, high}; }
constexpr Words one_of(std::string_view words) { return {&KeySpec::choices, words}; }
constexpr Words later(std::string_view words) { return {&KeySpec::later, words}; }
constexpr Words variable(std::string_view name) { return {&KeySpec::variable, name}; }
constexpr Words profile(std::string_view values) { return {&KeySpec::profile, values}; }
constexpr Switch secret() { return {&KeySpec::secret}; }
constexpr Switch secret_url() { return {&KeySpec::secret_url}; }
constexpr Switch secret_file() { return {&KeySpec::secret_file}; }
constexpr Form url() { return Form::kUrl; }
constexpr Form proxy_url() { return Form::kProxyUrl; }
constexpr Form address() { return Form::kAddress; }
constexpr Form non_empty() { return Form::kNonEmpty; }
constexpr Form credential() { return Form::kCredential; }
constexpr Form network() { return Form::kNetwork; }

constexpr void apply(KeySpec& row, Range range) {
  row.ranged = true;
  row.low = range.low;
  row.high = range.high;
}
constexpr void apply(KeySpec& row, Words words) { row.*words.field = words.text; }
constexpr void apply(KeySpec& row, Switch flag) { row.*flag.field = true; }
constexpr void apply(KeySpec& row, Form form) { row.form = form; }

template <typename... Traits>
constexpr KeySpec make_row(KeySpec row, Traits... traits) {
  (apply(row, traits), ...);
  return row;
}

constexpr Reload kLive = Reload::kLive;
constexpr Reload kRestart = Reload::kRestart;

#define EGPTC_SECTION(section_, Type_, required_, sentence_) SectionSpec{#section_, required_, sentence_},
#define EGPTC_KEY(...)
#define EGPTC_LATER(...)
#define EGPTC_END(...)
constexpr SectionSpec kSections[] = {
#include "config/settings.def"
};
#undef EGPTC_SECTION
#undef EGPTC_KEY
#undef EGPTC_LATER

#define EGPTC_SECTION(...)
#define EGPTC_LATER(...)
#define EGPTC_KEY(section_, key_, Type_, fallback_, reload_, unit_, sentence_, ...)                      \
  make_row(KeySpec {                                                                                     \
    .section = #section_, .key = #key_, .type = Type::k##Type_, .reload = reload_, .unit = unit_,        \
    .sentence = sentence_, .field = +[](Settings& settings) -> Field { return &settings.section_.key_; } \
  } __VA_OPT__(, ) __VA_ARGS__),
constexpr KeySpec kKeys[] = {
#include "config/settings.def"
};
#undef EGPTC_KEY
#undef EGPTC_LATER

#define EGPTC_KEY(...)
#define EGPTC_LATER(section_, key_, sentence_) LaterSpec{#section_, #key_, sentence_},
constexpr LaterSpec kLater[] = {
#include "config/settings.def"
};
#undef EGPTC_SECTION
#undef EGPTC_KEY
#undef EGPTC_LATER
#undef EGPTC_END

std::string join_words(std::string_view words, std::string_view separator) {
  return fmt::format("{}", fmt::join(split_words(words), separator));
}

std::string limits_json(const KeySpec& spec) {
  if (!spec.ranged) return "";
  return fmt::format(R"(,"min":{},"max":{})", format_number(spec.low), format_number(spec.high));
}

std::string words_json(std::string_view name, std::string_view words) {
  if (words.empty()) return "";
  std::string out = fmt::format(R"(,"{}":[)", name);
  const char* comma = "";
  for (const std::string& word : split_words(words)) {
    out += comma + base::json_string(word);
    comma = ",";
  }
  return out + "]";
}

std::string row_json(const KeySpec& spec) {
  const Settings defaults;
  return fmt::format(R"({{"name":{},"type":"{}","default":{}{}{}{},"unit":{},)"
                     R"("reload":"{}","secret":{},"environment":"{}"{},"sentence":{}}})",
                     base::json_string(spec.name()), type_name(spec.type), value_json(spec, defaults),
                     limits_json(spec), words_json("choices", spec.choices), words_json("later", spec.later),
                     base::json_string(spec.unit), spec.reload == Reload::kLive ? "live" : "restart",
                     spec.secret || spec.secret_url ? "true" : "false", spec.environment_name(),
                     words_json("variables", spec.variable), base::json_string(spec.sentence));
}

}  // namespace

std::string KeySpec::environment_name() const {
  std::string name = fmt::format("EGPTC_{}__{}", section, key);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

std::span<const SectionSpec> sections() { return kSections; }
std::span<const KeySpec> keys() { return kKeys; }
std::span<const LaterSpec> later_keys() { return kLater; }

size_t find_key(std::string_view name) {
  for (size_t i = 0; i < std::size(kKeys); ++i) {
    const KeySpec& spec = kKeys[i];
    if (name.size() == spec.section.size() + 1 + spec.key.size() && name.starts_with(spec.section) &&
        name[spec.section.size()] == '.' && name.ends_with(spec.key)) {
      return i;
    }
  }
  return kNoKey;
}

const LaterSpec* find_later(std::string_view section, std::string_view key) {
  for (const LaterSpec& later : kLater) {
    if (later.section == section && (later.key == "*" || later.key == key)) return &later;
  }
  return nullptr;
}

std::string nearest_key(std::string_view name) {
  // The right key in the wrong section is a likelier slip than any misspelling.
  const std::string_view bare = name.substr(name.rfind('.') + 1);
  std::vector<std::string> names;
  for (const KeySpec& spec : kKeys) {
    if (spec.key == bare) return spec.name();
    names.push_back(spec.name());
  }
  return base::nearest_name(name, names);
}

std::string_view type_name(Type type) {
  static constexpr std::string_view kNames[] = {"bool", "int", "double", "string", "enum", "list", "routes"};
  return kNames[static_cast<size_t>(type)];
}

std::string allowed_values(const KeySpec& spec) {
  if (spec.ranged) {
    return fmt::format("{} to {}{}{}", format_number(spec.low), format_number(spec.high),
                       spec.unit.empty() ? "" : " ", spec.unit);
  }
  if (spec.type == Type::kEnum) return join_words(spec.choices, " or ");
  if (spec.type == Type::kBool) return spec.later.empty() ? "true or false" : "false";
  if (spec.type == Type::kList) {
    if (spec.form == Form::kNetwork) return "a list of IP addresses and networks";
    return spec.choices.empty() ? "a list of texts" : "a list of any of " + join_words(spec.choices, ", ");
  }
  if (spec.type == Type::kRoutes) return "a list of {model, base_url, api_key or api_key_file, fallbacks}";
  switch (spec.form) {
    case Form::kUrl:
      return "http(s)://host[:port][/path]";
    case Form::kProxyUrl:
      return "empty or http://[user:password@]host:port";
    case Form::kAddress:
      return "an IP address or a host name";
    case Form::kNonEmpty:
      return "a text that is not empty";
    case Form::kAny:
    case Form::kCredential:
    case Form::kNetwork:
      break;
  }
  return "a text";
}

std::string settings_table_json() {
  std::string out = "[";
  for (const KeySpec& spec : kKeys) {
    if (out.size() > 1) out += ",\n ";
    out += row_json(spec);
  }
  return out + "]";
}

}  // namespace enhanced_gptcache::config

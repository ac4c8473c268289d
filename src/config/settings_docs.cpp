#include "config/settings_docs.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/canonical_json.h"
#include "config/problem.h"
#include "config/settings_table.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

constexpr size_t kCommentColumns = 100;

constexpr std::string_view kIntroduction = R"(# Settings

This page is generated from `src/config/settings.def`; change that table, then run
`egptc_gen_settings_docs`. `enhanced-gptcache validate-config` prints every error of a file with its
line, key, value and allowed range.

## Where a value comes from

The first of these that gives a key wins:

1. a flag, `--section.key=value`
2. the environment, `EGPTC_<SECTION>__<KEY>` (a few keys have a plain name too, see below; the long one wins)
3. a change made through `/admin/config`, kept in `admin_config.json` in the storage folder
4. the settings file
5. the built-in profile of `ENV`, then the built-in default

The file is the first of: `--config PATH`, `ENHANCED_GPTCACHE_CONFIG`, `./config.yaml`,
`/etc/enhanced-gptcache/config.yaml`. A file that is named must exist. Without any file all keys have
their defaults. Every layer is checked, even where a stronger one replaces its value, and every error
is reported, not only the first.

**The file** is flat (`cache:` at the top) or nested (`production:`, `staging:`, `development:` at the
top, nothing else beside them). In the nested form `ENV` picks the section, `production` when unset;
staging and development lie over the file's production section, or over the built-in production
profile when the file has none. The sections of other environments are not looked at. The sections
`cache`, `context`, `pca` and `federated` must be there, in a flat file and in a production section.
A key left empty keeps its default. Unknown keys are errors that name the nearest known key.

**Profiles.** The plain defaults are those of the tables below. When a file is read, or `ENV` is set,
keys that nothing gives take the profile's value instead: )";

constexpr std::string_view kRules = R"(
**Variables.** In the file `${NAME}` stands for an environment variable (an error when it is not set),
`${NAME:-text}` gives a default, `$${` is a literal `${`. Expansion happens inside a value, so it cannot
add keys.

**Secrets** are never printed or logged. Each has a twin ending in `_file` that names a file holding it;
give one of the two. When both come from different layers the stronger layer wins.

**Reload.** The file, the admin file and the secret files are watched; SIGHUP and `/admin/reload` read them
at once. A file with any error changes nothing. *live* keys apply to requests that start later; a changed
*restart* key keeps its running value, is reported, and applies at the next start.

**Not built yet.** A name or value of this list is recognised and refused with an error, never ignored.

)";

std::string default_cell(const KeySpec& spec, const Settings& defaults) {
  const std::string text = value_json(spec, defaults);
  return text == "\"\"" ? "empty"
                        : fmt::format("`{}`", spec.type == Type::kEnum || spec.type == Type::kText
                                                  ? value_text(spec, defaults)
                                                  : text);
}

std::string allowed_cell(const KeySpec& spec) {
  std::string text = allowed_values(spec);
  if (spec.secret) text += ", secret";
  return text;
}

std::string row_markdown(const KeySpec& spec, const Settings& defaults) {
  std::string sentence(spec.sentence);
  if (!spec.variable.empty()) {
    sentence += fmt::format(" Also `{}`.", fmt::join(split_words(spec.variable), "`, `"));
  }
  return fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", spec.key, type_name(spec.type),
                     default_cell(spec, defaults), allowed_cell(spec),
                     spec.reload == Reload::kLive ? "live" : "restart", sentence);
}

std::string section_markdown(const SectionSpec& section, const Settings& defaults) {
  std::string rows;
  for (const KeySpec& spec : keys()) {
    if (spec.section == section.name) rows += row_markdown(spec, defaults);
  }
  if (rows.empty()) return "";
  return fmt::format(
      "\n## {}\n\n{}{}\n\n| key | type | default | allowed | reload | what it does "
      "|\n|---|---|---|---|---|---|\n{}",
      section.name, section.sentence, section.required ? " Required in a file." : "", rows);
}

std::string profiles_markdown() {
  std::string out;
  for (const KeySpec& spec : keys()) {
    if (spec.profile.empty()) continue;
    const auto values = split_words(spec.profile);
    out += fmt::format("{}`{}` {} / {} / {}", out.empty() ? "" : ", ", spec.name(), values[0], values[1],
                       values[2]);
  }
  return out + " (production / staging / development).\n";
}

std::string later_markdown() {
  std::string out = "| name | value | what it will do |\n|---|---|---|\n";
  for (const LaterSpec& later : later_keys()) {
    out += fmt::format("| `{}.{}` | any | {} |\n", later.section, later.key, later.sentence);
  }
  for (const KeySpec& spec : keys()) {
    if (spec.later.empty()) continue;
    out += fmt::format("| `{}` | `{}` | {} |\n", spec.name(), fmt::join(split_words(spec.later), "`, `"),
                       spec.sentence);
  }
  return out;
}

/// A sentence as comment lines.
std::string comment(std::string_view indent, const std::string& text) {
  std::string out;
  std::string line = fmt::format("{}#", indent);
  for (const std::string& word : split_words(text)) {
    if (line.size() + 1 + word.size() > kCommentColumns) {
      out += line + "\n";
      line = fmt::format("{}#", indent);
    }
    line += " " + word;
  }
  return out + line + "\n";
}

std::string yaml_value(const KeySpec& spec, const Settings& settings) {
  // JSON text is YAML; only short plain words go without the quotes, as a person would write them.
  const std::string text = value_text(spec, settings);
  const bool plain = spec.type == Type::kEnum && text != "off" && text != "on";
  return plain ? text : value_json(spec, settings);
}

std::string key_yaml(const KeySpec& spec, const Settings& settings) {
  const std::string about = fmt::format("{} [{}; {}]", spec.sentence, allowed_values(spec),
                                        spec.reload == Reload::kLive ? "live" : "restart");
  return comment("  ", about) + fmt::format("  {}: {}\n", spec.key, yaml_value(spec, settings));
}

std::string section_yaml(const SectionSpec& section, const Settings& settings) {
  std::string rows;
  for (const KeySpec& spec : keys()) {
    if (spec.section == section.name) rows += key_yaml(spec, settings);
  }
  if (rows.empty()) return "";
  return "\n" + comment("", std::string(section.sentence)) + fmt::format("{}:\n{}", section.name, rows);
}

/// The sections the guide shows in its environment files.
bool is_guide_section(std::string_view name) {
  constexpr std::string_view kNames[] = {"cache", "context", "pca", "federated", "monitoring", "resources"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

Settings profile_settings(std::string_view environment) {
  Settings settings;
  std::vector<Problem> problems;
  const ProblemSink sink("built-in", problems);
  const size_t column = environment == "production" ? 0 : environment == "staging" ? 1 : 2;
  for (const KeySpec& spec : keys()) {
    if (!spec.profile.empty()) assign_text(spec, split_words(spec.profile).at(column), settings, sink);
  }
  return settings;
}

}  // namespace

std::string settings_markdown() {
  const Settings defaults;
  std::string out(kIntroduction);
  out += profiles_markdown();
  out += kRules;
  out += later_markdown();
  for (const SectionSpec& section : sections()) out += section_markdown(section, defaults);
  return out;
}

std::string sample_defaults() {
  std::string out = comment("",
                            "Every setting of Enhanced GPTCache with its built-in default, generated from "
                            "the settings table. Remove what you do not change; the sections cache, context, "
                            "pca and federated must stay. docs/settings.md tells the rules.");
  const Settings defaults;
  for (const SectionSpec& section : sections()) out += section_yaml(section, defaults);
  return out;
}

std::string sample_environment(std::string_view environment) {
  std::string out =
      comment("", fmt::format("Settings for {}, generated from the settings table. The sections not "
                              "shown keep their defaults; config.yaml lists every key.",
                              environment));
  const Settings settings = profile_settings(environment);
  for (const SectionSpec& section : sections()) {
    if (is_guide_section(section.name)) out += section_yaml(section, settings);
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> generated_files() {
  return {{"docs/settings.md", settings_markdown()},
          {"config.yaml", sample_defaults()},
          {"config.prod.yaml", sample_environment("production")},
          {"config.staging.yaml", sample_environment("staging")},
          {"config.dev.yaml", sample_environment("development")}};
}

}  // namespace enhanced_gptcache::config

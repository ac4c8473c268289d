#include "config/file_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/nearest_name.h"
#include "config/settings_table.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

constexpr std::string_view kProduction = "production";

/// One document being applied. Confined to one apply_file call.
class FileLayer {
 public:
  FileLayer(Settings& settings, const ProblemSink& sink, const KeySeen& seen)
      : settings_(settings), sink_(sink), seen_(seen) {}

  /// `root` holds sections.
  void apply_sections(const Node& root) {
    for (const auto& [name, section] : root.fields) {
      if (!is_section(name)) {
        unknown_section(name, section.line);
      } else if (section.kind == Node::Kind::kMap) {
        present_.insert(name);
        for (const auto& [key, value] : section.fields) apply_key(name, key, value);
      } else if (section.kind == Node::Kind::kNull) {
        present_.insert(name);
      } else {
        sink_.add(section.line, name, section.shown, "a section must be a map of keys");
      }
    }
  }

  void check_required() const {
    for (const SectionSpec& section : sections()) {
      if (section.required && present_.count(std::string(section.name)) == 0) {
        sink_.add(0, "", "", fmt::format("Missing required config section: {}", section.name));
      }
    }
  }

 private:
  static bool is_section(std::string_view name) {
    return std::any_of(sections().begin(), sections().end(),
                       [&](const SectionSpec& section) { return section.name == name; });
  }

  void unknown_section(const std::string& name, int line) const {
    std::vector<std::string> names;
    for (const SectionSpec& section : sections()) names.emplace_back(section.name);
    sink_.add(line, name, "", "unknown section" + base::did_you_mean(base::nearest_name(name, names)));
  }

  void apply_key(const std::string& section, const std::string& key, const Node& value) {
    const std::string name = section + "." + key;
    const size_t index = find_key(name);
    if (index != kNoKey) {
      if (assign(keys()[index], value, settings_, sink_) && value.kind != Node::Kind::kNull) {
        seen_(index, value.line);
      }
    } else if (find_later(section, key) != nullptr) {
      sink_.add(value.line, name, "", "not built yet in this version; remove it");
    } else {
      sink_.add(value.line, name, "", "unknown key" + base::did_you_mean(nearest_key(name)));
    }
  }

  Settings& settings_;
  const ProblemSink& sink_;
  const KeySeen& seen_;
  std::set<std::string> present_;
};

const Node* find_field(const Node& map, std::string_view name) {
  for (const auto& [key, value] : map.fields) {
    if (key == name) return &value;
  }
  return nullptr;
}

/// True when every top-level key is an environment; a mixture is a problem.
bool is_nested(const Node& root, const ProblemSink& sink) {
  const auto environments = std::count_if(root.fields.begin(), root.fields.end(),
                                          [](const auto& field) { return is_environment(field.first); });
  if (environments == 0) return false;
  for (const auto& [key, value] : root.fields) {
    if (!is_environment(key)) {
      sink.add(value.line, key, "", "beside production, staging and development no other section may stand");
    } else if (value.kind != Node::Kind::kMap && value.kind != Node::Kind::kNull) {
      sink.add(value.line, key, value.shown, "an environment must be a map of sections");
    }
  }
  return true;
}

void apply_nested(const Node& root, const std::string& environment, FileLayer& layer,
                  const ProblemSink& sink) {
  const Node* production = find_field(root, kProduction);
  const Node* own = find_field(root, environment);
  if (production != nullptr) layer.apply_sections(*production);
  if (own != nullptr && own != production) layer.apply_sections(*own);
  if (production == nullptr && own == nullptr) {
    sink.add(0, environment, "",
             "no section for this environment (ENV) and no production section in the file");
  }
  // Without one in the file, production is the built-in profile, which has all sections.
  if (production != nullptr) layer.check_required();
}

}  // namespace

bool is_environment(std::string_view name) {
  return name == kProduction || name == "staging" || name == "development";
}

void apply_file(const Node& root, const std::string& environment, Settings& settings, const ProblemSink& sink,
                const KeySeen& seen) {
  FileLayer layer(settings, sink, seen);
  if (root.kind != Node::Kind::kMap && root.kind != Node::Kind::kNull) {
    sink.add(root.line, "", root.shown, "must be a map of sections");
    return;
  }
  if (is_nested(root, sink)) {
    apply_nested(root, environment, layer, sink);
    return;
  }
  layer.apply_sections(root);
  layer.check_required();
}

}  // namespace enhanced_gptcache::config

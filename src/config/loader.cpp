#include "config/loader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/nearest_name.h"
#include "config/admin_file.h"
#include "config/cross_checks.h"
#include "config/file_layer.h"
#include "config/small_file.h"
#include "config/value.h"
#include "config/yaml_tree.h"

namespace enhanced_gptcache::config {
namespace {

constexpr std::string_view kPrefix = "EGPTC_";
constexpr std::string_view kNotOverNetwork =
    "cannot be set through /admin/config: use the settings file, the environment or a flag";

/// One load, layer by layer from the weakest to the strongest; each layer's values are checked even
/// where a stronger one replaces them, so that nothing wrong stays hidden. Confined to one call.
class Loading {
 public:
  explicit Loading(const LoadRequest& request) : request_(request), loaded_(std::make_shared<Loaded>()) {
    loaded_->values.assign(keys().size(), Value{Origin::kBuiltIn, "built-in"});
  }

  LoadOutcome run() {
    pick_environment();
    find_file();
    apply_profile();
    apply_file_layer();
    loaded_->admin_path = request_.admin_path.value_or(admin_file_path(with_storage_path()));
    apply_admin();
    apply_environment();
    apply_flags();
    listen_to_all_when_secure();
    warn_of_masked();
    read_secret_files(*loaded_, out_.errors);
    check_together(*loaded_, out_.errors, out_.warnings);
    out_.path = loaded_->path;
    loaded_->warnings = out_.warnings;
    if (out_.errors.empty()) out_.loaded = std::move(loaded_);
    return std::move(out_);
  }

 private:
  const std::string* variable(const std::string& name) const {
    const auto found = request_.environment.find(name);
    return found == request_.environment.end() || found->second.empty() ? nullptr : &found->second;
  }

  void pick_environment() {
    loaded_->environment = "production";
    const std::string* given = variable("ENV");
    if (given == nullptr) return;
    std::string name = *given;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    if (is_environment(name)) {
      loaded_->environment = name;
    } else {
      ProblemSink("ENV", out_.errors).add(0, "", *given, "must be production, staging or development");
    }
  }

  /// --config, then ENHANCED_GPTCACHE_CONFIG, then the first of the search list that exists.
  void find_file() {
    if (request_.path) {
      loaded_->path = *request_.path;
      if (loaded_->path.empty()) ProblemSink("--config", out_.errors).add(0, "", "", "must name a file");
      return;
    }
    if (const std::string* named = variable("ENHANCED_GPTCACHE_CONFIG")) {
      loaded_->path = *named;
      return;
    }
    for (const std::string& candidate : request_.search) {
      std::error_code ignored;
      if (std::filesystem::exists(candidate, ignored)) {
        loaded_->path = candidate;
        return;
      }
    }
  }

  void seen(size_t index, Origin origin, std::string source) {
    loaded_->values[index] = {origin, std::move(source)};
  }

  /// The built-in profile stands under a file, and under nothing when ENV asks for it by name; with
  /// neither, the plain defaults of the table hold.
  void apply_profile() {
    if (loaded_->path.empty() && variable("ENV") == nullptr) return;
    const size_t column = loaded_->environment == "production" ? 0
                          : loaded_->environment == "staging"  ? 1
                                                               : 2;
    const ProblemSink sink("built-in", out_.errors);
    for (size_t i = 0; i < keys().size(); ++i) {
      if (keys()[i].profile.empty()) continue;
      assign_text(keys()[i], split_words(keys()[i].profile).at(column), loaded_->settings, sink);
      seen(i, Origin::kBuiltIn, fmt::format("built-in ({})", loaded_->environment));
    }
  }

  void apply_file_layer() {
    if (loaded_->path.empty()) return;
    const ProblemSink sink(loaded_->path, out_.errors);
    const auto text = read_small_file(loaded_->path, kFileBytesMax);
    if (!text) {
      sink.add(0, "", "", text.error().message);
      return;
    }
    const Variables variables = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = request_.environment.find(name);
      if (found == request_.environment.end()) return std::nullopt;
      return found->second;
    };
    const std::optional<Node> root = parse_yaml(*text, variables, sink);
    if (!root) return;
    apply_file(*root, loaded_->environment, loaded_->settings, sink,
               [&](size_t index, int line) { seen(index, Origin::kFile, sink.place(line)); });
  }

  /// Where the storage folder will be: it decides which admin file counts, and environment and flags
  /// decide it without the admin file.
  Settings with_storage_path() const {
    Settings settings = loaded_->settings;
    const KeySpec& spec = keys()[find_key("storage.path")];
    std::vector<Problem> ignored;
    const ProblemSink sink("", ignored);
    if (const std::string* path = variable(spec.environment_name())) assign_text(spec, *path, settings, sink);
    for (const std::string& flag : request_.flags) {
      const auto [name, value] = split_flag(flag);
      if (name == spec.name() && value) assign_text(spec, *value, settings, sink);
    }
    return settings;
  }

  /// `place`: where a problem is said to be, when it is not `source`.
  void apply_named(const std::string& name, const std::string& text, Origin origin, const std::string& source,
                   const std::string& place = {}) {
    const ProblemSink sink(place.empty() ? source : place, out_.errors);
    const size_t index = find_key(name);
    const std::string section = name.substr(0, name.find('.'));
    if (index != kNoKey) {
      if (assign_text(keys()[index], text, loaded_->settings, sink)) seen(index, origin, source);
    } else if (find_later(section, name.substr(std::min(name.size(), section.size() + 1))) != nullptr) {
      sink.add(0, name, "", "not built yet in this version; remove it");
    } else {
      sink.add(0, name, "", "unknown key" + base::did_you_mean(nearest_key(name)));
    }
  }

  void apply_admin() {
    const auto values =
        request_.admin_values ? request_.admin_values : read_admin_file(loaded_->admin_path, out_.errors);
    if (!values) return;
    // Values given by a request are not in the file yet.
    const std::string place = request_.admin_values ? std::string(kRequestPlace) : loaded_->admin_path;
    for (const auto& change : *values) {
      // By name: clang 14 does not let a lambda capture a structured binding.
      const auto& name = change.first;
      const auto& text = change.second;
      // Before anything is done with the value: no file that it names is looked for.
      if (find_key(name) != kNoKey && !may_be_admin_change(name)) {
        ProblemSink(place, out_.errors).add(0, name, "", std::string(kNotOverNetwork));
      } else {
        note_masked(find_key(name),
                    [&] { apply_named(name, text, Origin::kAdmin, loaded_->admin_path, place); });
      }
    }
  }

  /// Remembers what the file says when `apply`, an admin change, says something else.
  template <typename Apply>
  void note_masked(size_t index, Apply apply) {
    if (index == kNoKey || loaded_->values[index].origin != Origin::kFile) return apply();
    const Settings before = loaded_->settings;
    Problem masked;
    masked.source = loaded_->values[index].source;
    masked.key = keys()[index].name();
    apply();
    if (same_value(keys()[index], before, loaded_->settings)) return;
    masked.value = value_text(keys()[index], before);
    masked.message =
        "has no effect: it is masked by /admin/config (/admin/config/reset forgets what was changed there)";
    masked_.emplace_back(index, std::move(masked));
  }

  /// Whoever edits the file wonders why nothing changes. Masked by environment or flag is the usual way.
  void warn_of_masked() {
    for (auto& [index, problem] : masked_)
      if (loaded_->values[index].origin == Origin::kAdmin) out_.warnings.push_back(std::move(problem));
  }

  void apply_environment() {
    // The plain names first, so that the long name of the same key wins.
    for (size_t i = 0; i < keys().size(); ++i) {
      for (const std::string& name : split_words(keys()[i].variable)) {
        if (const std::string* text = variable(name)) {
          apply_named(keys()[i].name(), *text, Origin::kEnvironment, name);
        }
      }
    }
    for (const auto& [variable_name, text] : request_.environment) {
      const size_t underscores = variable_name.find("__");
      if (!variable_name.starts_with(kPrefix)) continue;
      if (underscores == std::string::npos) {
        warn_unknown_variable(variable_name);
        continue;
      }
      std::string name = variable_name.substr(kPrefix.size());
      name.replace(underscores - kPrefix.size(), 2, ".");
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      apply_named(name, text, Origin::kEnvironment, variable_name);
    }
  }

  /// Only the double underscore makes a variable a setting; one of them is easily forgotten.
  void warn_unknown_variable(const std::string& name) {
    std::vector<std::string> names;
    for (const KeySpec& spec : keys()) {
      names.push_back(spec.environment_name());
      const auto plain = split_words(spec.variable);
      names.insert(names.end(), plain.begin(), plain.end());
    }
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    ProblemSink(name, out_.warnings)
        .add(0, "", "",
             "is no setting and has no effect" + base::did_you_mean(base::nearest_name(name, names)));
  }

  static std::pair<std::string, std::optional<std::string>> split_flag(std::string_view flag) {
    while (flag.starts_with('-')) flag.remove_prefix(1);
    const size_t equals = flag.find('=');
    if (equals == std::string_view::npos) return {std::string(flag), std::nullopt};
    return {std::string(flag.substr(0, equals)), std::string(flag.substr(equals + 1))};
  }

  void apply_flags() {
    for (const std::string& flag : request_.flags) {
      const auto [name, value] = split_flag(flag);
      if (value) {
        apply_named(name, *value, Origin::kFlag, "--" + name);
      } else {
        ProblemSink("--" + name, out_.errors).add(0, "", "", "a setting is written --section.key=value");
      }
    }
  }

  /// With keys there is no reason to hide, and a container's port is of use to nobody on loopback only.
  void listen_to_all_when_secure() {
    static const size_t host = find_key("server.host");
    if (!loaded_->settings.security.enabled || loaded_->values[host].origin != Origin::kBuiltIn) return;
    loaded_->settings.server.host = "0.0.0.0";
    seen(host, Origin::kBuiltIn, "built-in (security.enabled)");
  }

  const LoadRequest& request_;
  std::shared_ptr<Loaded> loaded_;
  LoadOutcome out_;
  std::vector<std::pair<size_t, Problem>> masked_;
};

}  // namespace

std::string_view to_string(Origin origin) {
  static constexpr std::string_view kNames[] = {"built-in", "file", "admin", "environment", "flag"};
  return kNames[static_cast<size_t>(origin)];
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

LoadOutcome load(const LoadRequest& request) { return Loading(request).run(); }

Result<std::shared_ptr<const Loaded>> load_or_error(const LoadRequest& request) {
  LoadOutcome outcome = load(request);
  if (outcome.loaded) return std::move(outcome.loaded);
  std::string message;
  for (const Problem& problem : outcome.errors) {
    message += (message.empty() ? "" : "\n") + problem.text();
  }
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

}  // namespace enhanced_gptcache::config

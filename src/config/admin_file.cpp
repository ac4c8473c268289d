#include "config/admin_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "base/canonical_json.h"
#include "config/small_file.h"
#include "config/yaml_tree.h"

namespace enhanced_gptcache::config {

std::string admin_file_path(const Settings& settings) {
  return (std::filesystem::path(settings.storage.path) / "admin_config.json").string();
}

bool may_be_admin_change(std::string_view name) {
  static constexpr std::string_view kEndings[] = {"_file", "_dir", "_path"};
  static constexpr std::string_view kNames[] = {"storage.path",
                                                "upstream.base_url",
                                                "upstream.routes",
                                                "upstream.https_proxy",
                                                "tracing.endpoint",
                                                "storage.backup_keys",
                                                "storage.encryption_keys",
                                                "storage.encryption_key_command",
                                                "security.jwt_jwks_url",
                                                "security.enabled",
                                                "security.insecure_listen",
                                                "server.host",
                                                "server.port",
                                                "context.embedding_model",
                                                "embedder.enabled",
                                                "embedder.kernel"};
  const auto ends = [name](std::string_view ending) { return name.ends_with(ending); };
  return std::none_of(std::begin(kEndings), std::end(kEndings), ends) &&
         std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames);
}

std::optional<AdminValues> read_admin_file(const std::string& path, std::vector<Problem>& problems) {
  const ProblemSink sink(path, problems);
  const size_t before = problems.size();
  const auto text = read_small_file(path, kFileBytesMax);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound) return AdminValues{};
    sink.add(0, "", "", text.error().message);
    return std::nullopt;
  }
  // JSON is YAML, and it is ours: one reader is enough.
  const std::optional<Node> root = parse_yaml(*text, nullptr, sink);
  AdminValues values;
  if (root && root->kind != Node::Kind::kMap) {
    sink.add(root->line, "", "", "damaged: must be an object of \"section.key\" to text; remove it to go on");
  } else if (root) {
    for (const auto& [name, value] : root->fields) {
      if (value.kind == Node::Kind::kScalar) {
        values[name] = value.text;
      } else {
        sink.add(value.line, name, "", "damaged: must be a text; remove the file to go on");
      }
    }
  }
  if (problems.size() > before) return std::nullopt;
  return values;
}

Result<void> write_admin_file(const std::string& path, const AdminValues& values) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (error) {
    return fail(ErrorCode::kIo, fmt::format("cannot make the folder of {}: {}", path, error.message()));
  }
  std::string text = "{";
  for (const auto& [name, value] : values) {
    text += fmt::format("{}\n  {}: {}", text.size() > 1 ? "," : "", base::json_string(name),
                        base::json_string(value));
  }
  return replace_file(path, text + "\n}\n");
}

Result<void> remove_admin_file(const std::string& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  if (!error) return {};
  return fail(ErrorCode::kIo, fmt::format("cannot remove {}: {}", path, error.message()));
}

}  // namespace enhanced_gptcache::config

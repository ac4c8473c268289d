#include "config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <set>

namespace enhanced_gptcache::config {
namespace {

// Aliases let a small text describe a huge tree; a settings file has no use for one.
constexpr size_t kNodesMax = 20'000;
constexpr int kDepthMax = 16;

/// One conversion from yaml-cpp's nodes. Confined to one parse_yaml call.
class Converter {
 public:
  Converter(const Variables& variables, const ProblemSink& sink) : variables_(variables), sink_(sink) {}

  Node convert(const YAML::Node& from, int depth) {
    Node node;
    node.line = from.Mark().line + 1;
    if (++nodes_ > kNodesMax || depth > kDepthMax) {
      if (!too_large_) {
        sink_.add(node.line, "", "",
                  fmt::format("too large: at most {} values, {} levels deep", kNodesMax, kDepthMax));
      }
      too_large_ = true;
      return node;
    }
    if (from.IsScalar()) convert_scalar(from, node);
    if (from.IsSequence()) convert_list(from, node, depth);
    if (from.IsMap()) convert_map(from, node, depth);
    return node;
  }

 private:
  void convert_scalar(const YAML::Node& from, Node& node) {
    node.kind = Node::Kind::kScalar;
    node.shown = node.text = from.Scalar();
    if (!variables_) return;
    std::string error;
    if (auto expanded = expand_variables(node.text, variables_, error)) {
      node.text = *std::move(expanded);
    } else {
      sink_.add(node.line, "", node.shown, error);
    }
  }

  void convert_list(const YAML::Node& from, Node& node, int depth) {
    node.kind = Node::Kind::kList;
    for (const YAML::Node& item : from) {
      if (too_large_) return;
      node.items.push_back(convert(item, depth + 1));
    }
  }

  void convert_map(const YAML::Node& from, Node& node, int depth) {
    node.kind = Node::Kind::kMap;
    std::set<std::string> seen;
    for (const auto& field : from) {
      if (too_large_) return;
      const int line = field.first.Mark().line + 1;
      if (!field.first.IsScalar()) {
        sink_.add(line, "", "", "a key must be a plain name");
        continue;
      }
      if (!seen.insert(field.first.Scalar()).second) {
        sink_.add(line, field.first.Scalar(), "", "given twice in the same map");
      }
      Node value = convert(field.second, depth + 1);
      if (value.kind == Node::Kind::kNull) value.line = line;
      node.fields.emplace_back(field.first.Scalar(), std::move(value));
    }
  }

  const Variables& variables_;
  const ProblemSink& sink_;
  size_t nodes_ = 0;
  bool too_large_ = false;
};

/// What stands between "${" and "}".
std::optional<std::string> resolve(std::string_view reference, const Variables& variables,
                                   std::string& error) {
  const size_t dash = reference.find(":-");
  const std::string name(reference.substr(0, dash));
  if (name.empty() || name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                             "0123456789_") != std::string::npos) {
    error = fmt::format("${{{}}} does not name a variable; write $${{ for a literal ${{", reference);
    return std::nullopt;
  }
  auto value = variables(name);
  if (value && (!value->empty() || dash == std::string_view::npos)) return value;
  if (dash != std::string_view::npos) return std::string(reference.substr(dash + 2));
  error = fmt::format("the environment variable {} is not set; ${{{}:-value}} gives a default", name, name);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> expand_variables(std::string_view text, const Variables& variables,
                                            std::string& error) {
  std::string out;
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    out += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar);
    if (text.starts_with("$${")) {
      out += "${";
      text.remove_prefix(3);
    } else if (text.starts_with("${")) {
      const size_t end = text.find('}');
      if (end == std::string_view::npos) {
        error = "${ without }; write $${ for a literal ${";
        return std::nullopt;
      }
      auto value = resolve(text.substr(2, end - 2), variables, error);
      if (!value) return std::nullopt;
      out += *value;
      text.remove_prefix(end + 1);
    } else {
      out += '$';
      text.remove_prefix(1);
    }
  }
  return out;
}

std::optional<Node> parse_yaml(std::string_view text, const Variables& variables, const ProblemSink& sink) {
  if (text.size() > kFileBytesMax) {
    sink.add(0, "", "", fmt::format("larger than {} bytes", kFileBytesMax));
    return std::nullopt;
  }
  try {
    Node root;
    bool found = false;
    for (const YAML::Node& document : YAML::LoadAll(std::string(text))) {
      if (document.IsNull()) continue;
      if (found) {
        sink.add(document.Mark().line + 1, "", "", "a second document; one file holds one");
        return std::nullopt;
      }
      found = true;
      root = Converter(variables, sink).convert(document, 0);
    }
    return root;
  } catch (const YAML::Exception& error) {
    sink.add(error.mark.line + 1, "", "", fmt::format("not readable as YAML: {}", error.msg));
  } catch (const std::exception& error) {
    sink.add(0, "", "", fmt::format("not readable as YAML: {}", error.what()));
  }
  return std::nullopt;
}

}  // namespace enhanced_gptcache::config

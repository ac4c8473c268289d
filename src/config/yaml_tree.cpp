#include "config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <set>
#include <sstream>
#include <vector>

namespace enhanced_gptcache::config {
namespace {

// Aliases let a small text describe a huge tree; a settings file has no use for one.
constexpr size_t kNodesMax = 20'000;
constexpr size_t kDepthMax = 16;
// Empty ones between "---" lines do no harm, but the parser may go on with them for ever.
constexpr int kDocumentsMax = 8;

/// Builds a Node from the parser's events. Confined to one parse_yaml call. The library's own
/// LoadAll is not used: a comma at the start sends it into documents without end.
class Builder final : public YAML::EventHandler {
 public:
  Builder(const Variables& variables, const ProblemSink& sink) : variables_(variables), sink_(sink) {}

  Node take_root() { return std::move(root_); }
  bool has_root() const { return root_.kind != Node::Kind::kNull; }
  int root_line() const { return root_.line; }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(Node::Kind::kNull, mark), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (too_large_) return;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      problem(mark.line + 1, "an alias to something it is part of");
      add(make(Node::Kind::kNull, mark), 0);
    } else {
      nodes_ += node_count(found->second);
      add(found->second, 0);
    }
  }
  void OnScalar(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(Node::Kind::kScalar, mark);
    node.text = node.shown = value;
    const bool is_key = !open_.empty() && open_.back().node.kind == Node::Kind::kMap && !open_.back().has_key;
    if (variables_ && !is_key) expand(node);
    add(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::kList, mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::kMap, mark, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  /// A list or map whose end has not come yet.
  struct Open {
    Node node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key;
    int key_line = 0;
    std::set<std::string> seen;
  };

  static size_t node_count(const Node& node) {
    size_t count = 1;
    for (const Node& item : node.items) count += node_count(item);
    for (const auto& [key, value] : node.fields) count += node_count(value);
    return count;
  }

  Node make(Node::Kind kind, const YAML::Mark& mark) {
    ++nodes_;
    Node node;
    node.kind = kind;
    node.line = mark.line + 1;
    return node;
  }

  void problem(int line, std::string message) { sink_.add(line, "", "", std::move(message)); }

  void expand(Node& node) {
    std::string error;
    if (auto expanded = expand_variables(node.text, variables_, error)) {
      node.text = *std::move(expanded);
    } else {
      sink_.add(node.line, "", node.shown, error);
    }
  }

  void open(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    Open frame;
    frame.node = make(kind, mark);
    frame.anchor = anchor;
    open_.push_back(std::move(frame));
    check_size(mark.line + 1);
  }

  void close() {
    Open frame = std::move(open_.back());
    open_.pop_back();
    add(std::move(frame.node), frame.anchor);
  }

  /// Reported once; what comes after it is dropped.
  void check_size(int line) {
    if (too_large_ || (nodes_ <= kNodesMax && open_.size() <= kDepthMax)) return;
    too_large_ = true;
    problem(line, fmt::format("too large: at most {} values, {} levels deep", kNodesMax, kDepthMax));
  }

  void add(Node node, YAML::anchor_t anchor) {
    check_size(node.line);
    if (too_large_) return;
    if (anchor != 0) anchors_[anchor] = node;
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (open_.back().node.kind == Node::Kind::kList) {
      open_.back().node.items.push_back(std::move(node));
    } else {
      add_to_map(open_.back(), std::move(node));
    }
  }

  void add_to_map(Open& map, Node node) {
    if (!map.has_key) {
      if (node.kind != Node::Kind::kScalar) problem(node.line, "a key must be a plain name");
      map.has_key = true;
      map.key = node.text;
      map.key_line = node.line;
      if (!map.seen.insert(map.key).second) {
        sink_.add(node.line, map.key, "", "given twice in the same map");
      }
      return;
    }
    map.has_key = false;
    // An empty value is marked where the next thing begins; its key's line is the one to show.
    if (node.kind == Node::Kind::kNull) node.line = map.key_line;
    map.node.fields.emplace_back(std::move(map.key), std::move(node));
  }

  const Variables& variables_;
  const ProblemSink& sink_;
  Node root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Node> anchors_;
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
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Node root;
    int line = 0;
    for (int document = 0; document < kDocumentsMax; ++document) {
      Builder builder(variables, sink);
      if (!parser.HandleNextDocument(builder)) return root;
      if (!builder.has_root()) continue;
      line = builder.root_line();
      if (root.kind != Node::Kind::kNull) break;
      root = builder.take_root();
    }
    sink.add(line, "", "", "a second document, or text after the end; one file holds one document");
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    sink.add(error.mark.line + 1, "", "", fmt::format("not readable as YAML: {}", error.msg));
  } catch (const std::exception& error) {
    sink.add(0, "", "", fmt::format("not readable as YAML: {}", error.what()));
  }
  return std::nullopt;
}

}  // namespace enhanced_gptcache::config

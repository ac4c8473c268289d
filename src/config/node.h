#pragma once
// A YAML document as plain data with line numbers, so that yaml-cpp stays inside yaml_tree.cpp and
// values from flags and environment take the same road as values from files.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace enhanced_gptcache::config {

/// Plain data.
struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string text;   ///< of a scalar, ${VAR} expanded
  std::string shown;  ///< of a scalar, as it was written: what messages may quote
  int line = 0;       ///< 1-based; 0: not from a file
  // Spelt out below, where Node is complete: clang looks into the pair of `fields` otherwise.
  Node();
  Node(const Node& other);
  Node(Node&& other) noexcept;
  Node& operator=(const Node& other);
  Node& operator=(Node&& other) noexcept;
  ~Node();
  std::vector<Node> items;                           ///< of a list
  std::vector<std::pair<std::string, Node>> fields;  ///< of a map, in file order
};

inline Node::Node() = default;
inline Node::Node(const Node& other) = default;
inline Node::Node(Node&& other) noexcept = default;
inline Node& Node::operator=(const Node& other) = default;
inline Node& Node::operator=(Node&& other) noexcept = default;
inline Node::~Node() = default;

inline Node scalar_node(std::string_view text) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.text = node.shown = text;
  return node;
}

}  // namespace enhanced_gptcache::config

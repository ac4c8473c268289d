#pragma once
// YAML text to Nodes, with limits (a settings file is small) and ${VAR} expansion of scalars.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config/node.h"
#include "config/problem.h"

namespace enhanced_gptcache::config {

/// Value of an environment variable, or nullopt.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

inline constexpr size_t kFileBytesMax = size_t{1} << 20U;

/// The one document of `text`, or nullopt when it cannot be read at all. Problems (syntax, duplicate
/// keys, unset variables, too many nodes) go to `sink`; a tree with problems must not be used.
/// `variables` null: ${...} is ordinary text.
std::optional<Node> parse_yaml(std::string_view text, const Variables& variables, const ProblemSink& sink);

/// ${NAME}, ${NAME:-fallback} and $${ for a literal ${. On failure `error` says why.
std::optional<std::string> expand_variables(std::string_view text, const Variables& variables,
                                            std::string& error);

}  // namespace enhanced_gptcache::config

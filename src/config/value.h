#pragma once
// One row's value: from a Node into a Settings with every check, and back to text.

#include <string>
#include <string_view>
#include <vector>

#include "config/node.h"
#include "config/problem.h"
#include "config/settings_table.h"

namespace enhanced_gptcache::config {

/// Checks `node` against the row and puts it into `settings`. False: problems were added, the field is
/// as it was. A null node leaves the field alone and is no problem.
bool assign(const KeySpec& spec, const Node& node, Settings& settings, const ProblemSink& sink);
/// A value given as text (flag, environment, admin change): lists as YAML or separated by commas.
bool assign_text(const KeySpec& spec, std::string_view text, Settings& settings, const ProblemSink& sink);

/// As one writes it in a flag; routes as JSON. Secrets are masked.
std::string value_text(const KeySpec& spec, const Settings& settings);
/// As JSON of the row's type. Secrets are masked.
std::string value_json(const KeySpec& spec, const Settings& settings);
bool same_value(const KeySpec& spec, const Settings& a, const Settings& b);
void copy_value(const KeySpec& spec, const Settings& from, Settings& to);

/// Empty, or what is wrong with an ordinary text (length, control characters, UTF-8).
std::string check_plain_text(std::string_view text);
/// The same for a key that goes into a header.
std::string check_secret(std::string_view text);
/// The same for all that a header holds: "Bearer KEY", or one word.
std::string check_credential(std::string_view text);
inline constexpr size_t kTextBytesMax = 4096;

/// The shortest text that reads back equal; whole numbers without a point.
std::string format_number(double number);
std::vector<std::string> split_words(std::string_view words, char separator = ' ');
std::string trim(std::string_view text);

}  // namespace enhanced_gptcache::config

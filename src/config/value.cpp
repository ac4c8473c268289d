#include "config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/canonical_json.h"
#include "base/ip_network.h"
#include "config/routes.h"
#include "config/url_check.h"
#include "config/yaml_tree.h"

namespace enhanced_gptcache::config {
namespace {

constexpr size_t kListMax = 1000;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

/// The word of `words` that equals `text` but for case; empty when none does.
std::string matching_word(std::string_view words, std::string_view text) {
  for (std::string& word : split_words(words)) {
    if (lower(word) == lower(text)) return std::move(word);
  }
  return "";
}

std::string must_be(const KeySpec& spec) { return "must be " + allowed_values(spec); }
std::string not_built(const KeySpec& spec, std::string_view value) {
  return fmt::format("{} is not built yet in this version; {}", value, must_be(spec));
}

/// Each reads a scalar into the field and returns what is wrong, empty for nothing.
std::string read(const KeySpec& spec, std::string_view text, Bool& field) {
  const std::string word = lower(text);
  const bool yes = word == "true" || word == "yes" || word == "on" || word == "1";
  if (!yes && word != "false" && word != "no" && word != "off" && word != "0") return must_be(spec);
  if (!matching_word(spec.later, yes ? "true" : "false").empty())
    return not_built(spec, yes ? "true" : "false");
  field = yes;
  return "";
}

std::string read(const KeySpec& spec, std::string_view text, Int& field) {
  Int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) return must_be(spec);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fmt::format("must be a whole number, {}", allowed_values(spec));
  }
  // The limits are below 2^53, so comparing as double is exact where it matters.
  if (static_cast<double>(number) < spec.low || static_cast<double>(number) > spec.high) return must_be(spec);
  field = number;
  return "";
}

std::string read(const KeySpec& spec, std::string_view text, Double& field) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) {
    return fmt::format("must be a number, {}", allowed_values(spec));
  }
  if (number < spec.low || number > spec.high) return must_be(spec);
  field = number;
  return "";
}

std::string read_enum(const KeySpec& spec, std::string_view text, Enum& field) {
  std::string word = matching_word(spec.choices, text);
  if (!word.empty()) {
    field = std::move(word);
    return "";
  }
  word = matching_word(spec.later, text);
  return word.empty() ? must_be(spec) : not_built(spec, word);
}

std::string check_form(const KeySpec& spec, std::string_view text) {
  std::string wrong;
  if (spec.form == Form::kUrl) wrong = check_base_url(text);
  if (spec.form == Form::kProxyUrl && !text.empty()) wrong = check_proxy_url(text);
  if (spec.form == Form::kAddress && !is_address(text)) wrong = "no valid address";
  if (spec.form == Form::kNonEmpty && text.empty()) wrong = "must not be empty";
  return wrong.empty() ? "" : fmt::format("{}; {}", wrong, must_be(spec));
}

std::string read(const KeySpec& spec, std::string_view text, Text& field) {
  if (spec.type == Type::kEnum) return read_enum(spec, text, field);
  // Other programs take the proxy's variable without a scheme too.
  const bool bare_proxy = spec.form == Form::kProxyUrl && !text.empty() && text.find("://") == text.npos;
  const std::string full = bare_proxy ? "http://" + std::string(text) : std::string(text);
  std::string wrong = spec.form == Form::kCredential ? check_credential(full)
                      : spec.secret                  ? check_secret(full)
                                                     : check_plain_text(full);
  if (wrong.empty()) wrong = check_form(spec, full);
  if (!wrong.empty()) return wrong;
  field = full;
  while (spec.form == Form::kUrl && field.ends_with('/')) field.pop_back();
  return "";
}

/// What a message may show of a value.
std::string shown(const KeySpec& spec, const Node& node) {
  if (spec.secret) return kMasked;
  return spec.secret_url ? mask_user(node.shown) : node.shown;
}

bool assign_list(const KeySpec& spec, const Node& node, List& field, const ProblemSink& sink) {
  if (node.kind != Node::Kind::kList || node.items.size() > kListMax) {
    sink.add(node.line, spec.name(), node.shown, fmt::format("must be a list of at most {} texts", kListMax));
    return false;
  }
  List read_list;
  for (const Node& item : node.items) {
    std::string wrong =
        item.kind == Node::Kind::kScalar ? check_plain_text(item.text) : "must be a plain text";
    std::string text = spec.choices.empty() ? item.text : matching_word(spec.choices, item.text);
    if (wrong.empty() && !spec.choices.empty() && text.empty()) wrong = must_be(spec);
    if (wrong.empty() && spec.form == Form::kNetwork) wrong = base::check_network(item.text);
    if (!wrong.empty()) {
      sink.add(item.line, spec.name(), item.shown, wrong);
      return false;
    }
    read_list.push_back(std::move(text));
  }
  field = std::move(read_list);
  return true;
}

template <typename T>
bool assign_scalar(const KeySpec& spec, const Node& node, T& field, const ProblemSink& sink) {
  const std::string wrong = node.kind == Node::Kind::kScalar
                                ? read(spec, node.text, field)
                                : fmt::format("{}, not a {}", must_be(spec),
                                              node.kind == Node::Kind::kList ? "list" : "map of keys");
  if (wrong.empty()) return true;
  sink.add(node.line, spec.name(), shown(spec, node), wrong);
  return false;
}

/// The settings a const reader needs the field of; fields are only read through it.
Field field_of(const KeySpec& spec, const Settings& settings) {
  return spec.field(const_cast<Settings&>(settings));  // the table's accessor serves both directions
}

std::string list_json(const List& list) {
  std::string out = "[";
  for (const Text& text : list) {
    if (out.size() > 1) out += ",";
    out += base::json_string(text);
  }
  return out + "]";
}

std::string masked_text(const KeySpec& spec, const Text& text) {
  if (spec.secret && !text.empty()) return kMasked;
  return spec.secret_url ? mask_user(text) : text;
}

}  // namespace

std::string check_plain_text(std::string_view text) {
  if (text.size() > kTextBytesMax) return fmt::format("must be at most {} bytes long", kTextBytesMax);
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "must not hold control characters";
  }
  return base::is_valid_utf8(text) ? "" : "must be valid UTF-8";
}

std::string check_secret(std::string_view text) {
  if (text.size() > kTextBytesMax) return fmt::format("must be at most {} bytes long", kTextBytesMax);
  // It becomes part of a header: a line break in it would forge another one.
  for (const char c : text) {
    if (c <= ' ' || c >= 0x7f) return "must be visible ASCII characters without blanks";
  }
  return "";
}

std::string check_credential(std::string_view text) {
  const size_t blank = text.find(' ');
  if (blank == text.npos) return check_secret(text);
  const std::string_view scheme = text.substr(0, blank);
  const std::string_view rest = text.substr(blank + 1);
  if (text.size() > kTextBytesMax || scheme.empty() || rest.empty() || !check_secret(scheme).empty() ||
      !check_secret(rest).empty())
    return fmt::format(
        "must be visible ASCII characters, at most {} bytes, with one blank at most, which is after the "
        "scheme",
        kTextBytesMax);
  return "";
}

bool assign(const KeySpec& spec, const Node& node, Settings& settings, const ProblemSink& sink) {
  if (node.kind == Node::Kind::kNull) return true;
  return std::visit(
      [&](auto* field) {
        using T = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_same_v<T, List>) {
          return assign_list(spec, node, *field, sink);
        } else if constexpr (std::is_same_v<T, Routes>) {
          return assign_routes(spec.name(), node, *field, sink);
        } else {
          return assign_scalar(spec, node, *field, sink);
        }
      },
      spec.field(settings));
}

bool assign_text(const KeySpec& spec, std::string_view text, Settings& settings, const ProblemSink& sink) {
  if (spec.type == Type::kRoutes || (spec.type == Type::kList && trim(text).starts_with('['))) {
    std::vector<Problem> unreadable;
    const std::optional<Node> node = parse_yaml(text, nullptr, ProblemSink("", unreadable));
    if (!node) {
      const std::string reason = unreadable.empty() ? "not readable" : unreadable.front().message;
      sink.add(0, spec.name(), spec.type == Type::kRoutes ? "" : std::string(text),
               fmt::format("{}; {}", reason, must_be(spec)));
      return false;
    }
    Node list = *node;
    if (list.kind == Node::Kind::kNull) list.kind = Node::Kind::kList;
    list.line = 0;
    return assign(spec, list, settings, sink);
  }
  if (spec.type != Type::kList) return assign(spec, scalar_node(text), settings, sink);
  Node list;
  list.kind = Node::Kind::kList;
  for (const std::string& item : split_words(text, ',')) {
    if (const std::string word = trim(item); !word.empty()) list.items.push_back(scalar_node(word));
  }
  return assign(spec, list, settings, sink);
}

std::string value_text(const KeySpec& spec, const Settings& settings) {
  const Field field = field_of(spec, settings);
  if (const auto* flag = std::get_if<Bool*>(&field)) return **flag ? "true" : "false";
  if (const auto* number = std::get_if<Int*>(&field)) return std::to_string(**number);
  if (const auto* number = std::get_if<Double*>(&field)) return format_number(**number);
  if (const auto* text = std::get_if<Text*>(&field)) return masked_text(spec, **text);
  if (const auto* list = std::get_if<List*>(&field)) return fmt::format("{}", fmt::join(**list, ","));
  return routes_json(*std::get<Routes*>(field));
}

std::string value_json(const KeySpec& spec, const Settings& settings) {
  const Field field = field_of(spec, settings);
  if (const auto* text = std::get_if<Text*>(&field)) return base::json_string(masked_text(spec, **text));
  if (const auto* list = std::get_if<List*>(&field)) return list_json(**list);
  return value_text(spec, settings);
}

bool same_value(const KeySpec& spec, const Settings& a, const Settings& b) {
  return std::visit([&](auto* field) { return *field == *std::get<decltype(field)>(field_of(spec, b)); },
                    field_of(spec, a));
}

void copy_value(const KeySpec& spec, const Settings& from, Settings& to) {
  std::visit([&](auto* field) { *field = *std::get<decltype(field)>(field_of(spec, from)); }, spec.field(to));
}

std::string format_number(double number) {
  if (number == std::floor(number) && std::fabs(number) < 1e15) return fmt::format("{:.0f}", number);
  return fmt::format("{}", number);
}

std::vector<std::string> split_words(std::string_view words, char separator) {
  std::vector<std::string> out;
  while (!words.empty()) {
    const size_t end = words.find(separator);
    if (end != 0) out.emplace_back(words.substr(0, end));
    words.remove_prefix(end == std::string_view::npos ? words.size() : end + 1);
  }
  return out;
}

std::string trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t start = text.find_first_not_of(kBlanks);
  if (start == std::string_view::npos) return "";
  return std::string(text.substr(start, text.find_last_not_of(kBlanks) - start + 1));
}

}  // namespace enhanced_gptcache::config

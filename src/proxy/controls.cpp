#include "proxy/controls.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/canonical_json.h"
#include "proxy/json_view.h"

namespace enhanced_gptcache::proxy {
namespace {

/// How a header's value is read and which control it sets.
enum class Control {
  kDirectives,  // no-cache, no-store, only-if-cached, max-age=, ttl=
  kHttpCache,   // the same from plain Cache-Control, only when configured
  kTtl,         // seconds, or a duration such as 30s, 5m, 12h, 7d
  kNamespace,
  kThreshold,
  kType,
  kTags,
  kSubject,
  kQuery,
  kRefreshFlag,  // true: no-cache
  kNoStoreFlag,  // true: no-store
  kSkipFlag,     // true: type off
  kEnabledFlag,  // false: type off
};

struct HeaderRow {
  std::string_view name;  ///< lower case
  Control control;
  bool own;  ///< ours wins over an alias
};

constexpr HeaderRow kRows[] = {
    {"x-cache-control", Control::kDirectives, true},
    {"x-cache-ttl", Control::kTtl, true},
    {"x-cache-namespace", Control::kNamespace, true},
    {"x-cache-threshold", Control::kThreshold, true},
    {"x-cache-type", Control::kType, true},
    {"x-cache-tags", Control::kTags, true},
    {"x-cache-subject", Control::kSubject, true},
    {"x-cache-query", Control::kQuery, true},
    {"cache-control", Control::kHttpCache, false},
    {"x-portkey-cache-force-refresh", Control::kRefreshFlag, false},
    {"x-portkey-cache-namespace", Control::kNamespace, false},
    {"x-bf-cache-key", Control::kNamespace, false},
    {"x-bf-cache-ttl", Control::kTtl, false},
    {"x-bf-cache-threshold", Control::kThreshold, false},
    {"x-bf-cache-type", Control::kType, false},
    {"x-bf-cache-no-store", Control::kNoStoreFlag, false},
    {"cf-aig-skip-cache", Control::kSkipFlag, false},
    {"cf-aig-cache-ttl", Control::kTtl, false},
    {"cf-aig-cache-key", Control::kNamespace, false},
    {"helicone-cache-enabled", Control::kEnabledFlag, false},
    {"helicone-cache-seed", Control::kNamespace, false},
};

constexpr size_t kNameBytesMax = 256;
constexpr size_t kQueryBytesMax = 8192;
constexpr size_t kTagsMax = 16;
constexpr size_t kTagBytesMax = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool same(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() && std::equal(text.begin(), text.end(), lower_case.begin(),
                                                        [](char a, char b) { return lower(a) == b; });
}
std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

const HeaderRow* find_row(std::string_view name) {
  // Every name starts with x, c or h: most headers of a request are ruled out by one character.
  const char first = name.empty() ? '\0' : lower(name.front());
  if (first != 'x' && first != 'c' && first != 'h') return nullptr;
  for (const HeaderRow& row : kRows)
    if (same(name, row.name)) return &row;
  return nullptr;
}

/// One control being read: where it came from, for errors.
class Reader {
 public:
  Reader(Controls& out, const ControlRules& rules) : out_(out), rules_(rules) {}

  ApiResult<void> read(std::string_view source, Control control, std::string_view raw) {
    source_ = source;
    value_ = trim(raw);
    switch (control) {
      case Control::kDirectives:
        return directives(true);
      case Control::kHttpCache:
        return rules_.honour_cache_control ? directives(false) : ApiResult<void>{};
      case Control::kTtl:
        return seconds(duration_s(value_), 1, out_.ttl_ms);
      case Control::kNamespace:
        return text(out_.name_space, kNameBytesMax);
      case Control::kThreshold:
        return threshold();
      case Control::kType:
        return type();
      case Control::kTags:
        return tags();
      case Control::kSubject:
        return text(out_.subject, kNameBytesMax);
      case Control::kQuery:
        return text(out_.query, kQueryBytesMax);
      case Control::kRefreshFlag:
        return flag([this](bool on) { out_.no_cache = on; });
      case Control::kNoStoreFlag:
        return flag([this](bool on) { out_.no_store = on; });
      case Control::kSkipFlag:
        return flag([this](bool on) { out_.type = on ? CacheType::kOff : out_.type; });
      case Control::kEnabledFlag:
        return flag([this](bool on) { out_.type = on ? out_.type : CacheType::kOff; });
    }
    return {};
  }

 private:
  ApiResult<void> wrong(std::string_view allowed) const {
    return refuse(std::string(source_), fmt::format("Invalid {} '{}': allowed is {}.", source_,
                                                    base::repair_utf8(value_.substr(0, 100)), allowed));
  }

  static std::optional<int64_t> whole(std::string_view digits) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return number;
  }
  static std::optional<int64_t> duration_s(std::string_view value) {
    int64_t unit = 1;
    if (!value.empty()) {
      switch (value.back()) {
        case 's':
          unit = 1;
          break;
        case 'm':
          unit = 60;
          break;
        case 'h':
          unit = 3600;
          break;
        case 'd':
          unit = 86'400;
          break;
        default:
          unit = 0;
      }
    }
    if (unit != 0) value.remove_suffix(value.empty() ? 0 : 1);
    const auto number = whole(value);
    if (!number || *number > INT64_C(1'000'000'000'000)) return std::nullopt;
    return *number * (unit == 0 ? 1 : unit);
  }
  ApiResult<void> seconds(std::optional<int64_t> value, int64_t least, std::optional<int64_t>& target_ms) {
    if (!value || *value < least || *value > rules_.ttl_s_max)
      return wrong(fmt::format("a whole number of seconds from {} to {}", least, rules_.ttl_s_max));
    target_ms = *value * 1000;
    return {};
  }
  ApiResult<void> text(std::string& target, size_t bytes_max) {
    const bool printable = std::none_of(value_.begin(), value_.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
    if (value_.empty() || value_.size() > bytes_max || !printable || !base::is_valid_utf8(value_))
      return wrong(fmt::format("1 to {} bytes of UTF-8 without control characters", bytes_max));
    target = value_;
    return {};
  }
  ApiResult<void> threshold() {
    double number = 0;
    const auto [end, error] = std::from_chars(value_.data(), value_.data() + value_.size(), number);
    if (error != std::errc() || end != value_.data() + value_.size() || !(number >= 0.0 && number <= 1.0))
      return wrong("a number from 0 to 1 (it can only raise the configured threshold)");
    out_.threshold = number;
    return {};
  }
  ApiResult<void> type() {
    if (same(value_, "exact") || same(value_, "direct"))
      out_.type = CacheType::kExact;
    else if (same(value_, "semantic"))
      out_.type = CacheType::kSemantic;
    else if (same(value_, "off"))
      out_.type = CacheType::kOff;
    else
      return wrong("exact, semantic or off");
    return {};
  }
  ApiResult<void> tags() {
    out_.tags.clear();
    for (std::string_view rest = value_; !rest.empty();) {
      const size_t comma = rest.find(',');
      const std::string_view tag = trim(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
      if (tag.empty() || tag.size() > kTagBytesMax || !base::is_valid_utf8(tag) ||
          out_.tags.size() == kTagsMax)
        return wrong(
            fmt::format("up to {} tags of 1 to {} bytes, separated by commas", kTagsMax, kTagBytesMax));
      out_.tags.emplace_back(tag);
    }
    return {};
  }
  template <typename Apply>
  ApiResult<void> flag(Apply apply) {
    if (same(value_, "true") || value_ == "1")
      apply(true);
    else if (same(value_, "false") || value_ == "0")
      apply(false);
    else
      return wrong("true or false");
    return {};
  }

  ApiResult<void> directive(std::string_view word, bool strict) {
    const size_t equals = word.find('=');
    const std::string_view name = trim(word.substr(0, equals));
    std::optional<int64_t> number;
    if (equals != std::string_view::npos) number = duration_s(trim(word.substr(equals + 1)));
    if (same(name, "no-cache"))
      out_.no_cache = true;
    else if (same(name, "no-store"))
      out_.no_store = true;
    else if (same(name, "only-if-cached"))
      out_.only_if_cached = true;
    else if (same(name, "max-age"))
      return seconds(number, 0, out_.age_max_ms);
    else if (same(name, "ttl"))
      return seconds(number, 1, out_.ttl_ms);
    else if (strict)
      return wrong(
          "no-cache, no-store, only-if-cached, max-age=<seconds> and ttl=<seconds>, separated by commas");
    return {};
  }
  /// Other directives of plain Cache-Control (no-transform, max-stale...) mean nothing here.
  ApiResult<void> directives(bool strict) {
    for (std::string_view rest = value_; !rest.empty();) {
      const size_t comma = rest.find(',');
      const std::string_view word = trim(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
      if (word.empty()) continue;
      if (auto read = directive(word, strict); !read) return read;
    }
    return {};
  }

  Controls& out_;
  const ControlRules& rules_;
  std::string_view source_;
  std::string_view value_;
};

ApiResult<void> read_body_member(Reader& reader, std::string_view name, std::string_view value,
                                 Controls& out) {
  const std::string source = fmt::format("cache.{}", name);
  const bool boolean = value == "true" || value == "false";
  if (name == "no-cache") {
    if (boolean) out.no_cache = value == "true";
  } else if (name == "no-store") {
    if (boolean) out.no_store = value == "true";
  } else if (name == "use-cache") {
    if (value == "false") out.type = CacheType::kOff;
  } else if (name == "ttl" || name == "s-maxage" || name == "s-max-age") {
    const auto number = json_number(value);
    // LiteLLM takes fractions of a second; we round up, so that 0.5 does not become "at once".
    const std::string whole = number && *number >= 0 && *number < 1e12
                                  ? std::to_string(static_cast<int64_t>(std::ceil(*number)))
                                  : std::string(value);
    if (name == "ttl") return reader.read(source, Control::kTtl, whole);
    return reader.read(source, Control::kDirectives, "max-age=" + whole);
  } else if (name == "namespace") {
    return reader.read(source, Control::kNamespace, json_text(value));
  } else {
    return refuse(source, fmt::format("Unknown field '{}': the object 'cache' may have no-cache, no-store, "
                                      "use-cache, ttl, s-maxage and namespace.",
                                      source));
  }
  if (!boolean) return refuse(source, fmt::format("Invalid type for '{}': expected a boolean.", source));
  return {};
}

}  // namespace

ApiResult<Controls> read_controls(const std::vector<http::HeaderView>& headers, std::string_view body_cache,
                                  const ControlRules& rules) {
  Controls out;
  Reader reader(out, rules);
  if (!body_cache.empty() && body_cache != "null") {
    if (json_kind(body_cache) != JsonKind::kObject)
      return refuse("cache", "Invalid type for 'cache': expected an object.");
    MemberCursor members(body_cache);
    while (members.next())
      if (auto read = read_body_member(reader, members.raw_key(), members.value(), out); !read)
        return tl::unexpected(read.error());
  }
  bool any_own = false;
  for (const http::HeaderView& header : headers) {
    const HeaderRow* row = find_row(header.name);
    if (row == nullptr) continue;
    any_own = any_own || row->own;
    if (row->own) continue;
    if (auto read = reader.read(header.name, row->control, header.value); !read)
      return tl::unexpected(read.error());
  }
  for (size_t i = 0; any_own && i < headers.size(); ++i) {
    const HeaderRow* row = find_row(headers[i].name);
    if (row == nullptr || !row->own) continue;
    if (auto read = reader.read(headers[i].name, row->control, headers[i].value); !read)
      return tl::unexpected(read.error());
  }
  return out;
}

bool is_control_header(std::string_view name) {
  const HeaderRow* row = find_row(name);
  return row != nullptr && row->control != Control::kHttpCache;
}

std::vector<std::string_view> control_header_names() {
  std::vector<std::string_view> names;
  for (const HeaderRow& row : kRows) names.push_back(row.name);
  return names;
}

}  // namespace enhanced_gptcache::proxy

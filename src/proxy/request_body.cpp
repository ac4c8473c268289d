#include "proxy/request_body.h"

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "proxy/json_view.h"

namespace enhanced_gptcache::proxy {
namespace {

std::string_view kind_name(std::string_view value) {
  switch (json_kind(value)) {
    case JsonKind::kObject:
      return "an object";
    case JsonKind::kArray:
      return "an array";
    case JsonKind::kString:
      return "a string";
    case JsonKind::kNumber:
      return "a number";
    case JsonKind::kNull:
      return "null";
    default:
      return "a boolean";
  }
}

tl::unexpected<ApiError> wrong_type(std::string_view field, std::string_view wanted, std::string_view value) {
  return refuse(std::string(field), fmt::format("Invalid type for '{}': expected {}, but got {}.", field,
                                                wanted, kind_name(value)));
}

bool is_boolean(std::string_view value) { return value == "true" || value == "false"; }

ApiResult<void> read_stream_options(std::string_view value, RequestBody& out) {
  if (value == "null") return {};
  if (json_kind(value) != JsonKind::kObject) return wrong_type("stream_options", "an object", value);
  const auto include = find_member(value, "include_usage");
  if (!include || *include == "null") return {};
  if (!is_boolean(*include)) return wrong_type("stream_options.include_usage", "a boolean", *include);
  out.include_usage = *include == "true";
  return {};
}

/// The few fields the proxy itself acts on.
ApiResult<void> read_field(std::string_view name, std::string_view value, RequestBody& out) {
  if (name == "model") {
    if (json_kind(value) != JsonKind::kString) return wrong_type(name, "a string", value);
    out.model = json_text(value);
  } else if (name == "stream") {
    if (!is_boolean(value) && value != "null") return wrong_type(name, "a boolean", value);
    out.stream = value == "true";
  } else if (name == "temperature") {
    if (value == "null") return {};
    out.temperature = json_number(value);
    if (!out.temperature && json_kind(value) == JsonKind::kNumber) {
      return refuse("temperature",
                    "Invalid value for 'temperature': it must be a finite number between 0 and 2.");
    }
    if (!out.temperature) return wrong_type(name, "a number between 0 and 2", value);
  } else if (name == "user") {
    if (value == "null") return {};
    if (json_kind(value) != JsonKind::kString) return wrong_type(name, "a string", value);
    out.user = json_text(value);
  } else if (name == "cache") {
    out.cache = value;
  } else if (name == "stream_options") {
    return read_stream_options(value, out);
  }
  return {};
}

ApiResult<void> check_required(const RequestBody& body, bool has_model, bool has_content) {
  if (!has_model || body.model.empty()) return refuse("model", "You must provide a model parameter.");
  const std::string_view content = content_field(body.dialect);
  if (!has_content)
    return refuse(std::string(content), fmt::format("Missing required parameter: '{}'.", content));
  return {};
}

}  // namespace

ApiResult<RequestBody> parse_body(Dialect dialect, std::string_view text, std::string_view surroundings) {
  auto document = base::canonical_json(text);
  if (!document) {
    ApiError error;
    error.message =
        fmt::format("We could not parse the JSON body of your request: {}.", document.error().message);
    error.code = "invalid_json";
    return tl::unexpected(std::move(error));
  }
  if (json_kind(*document) != JsonKind::kObject)
    return refuse(
        "", fmt::format("The body of the request must be a JSON object, but is {}.", kind_name(*document)));

  RequestBody out;
  out.dialect = dialect;
  out.canonical.reserve(document->size() + surroundings.size());
  out.canonical.push_back('{');
  bool has_model = false;
  bool has_content = false;
  const std::string_view content = content_field(dialect);
  MemberCursor members(*document);
  while (members.next()) {
    const std::string_view name = members.raw_key();
    const FieldRow* row = find_field(name);
    const FieldUse use = use_of(dialect, name, row);
    if (use != FieldUse::kKeyed)
      if (auto read = read_field(name, members.value(), out); !read) return tl::unexpected(read.error());
    has_model = has_model || name == "model";
    has_content = has_content || (name == content && members.value() != "null");
    if (use == FieldUse::kIgnored || use == FieldUse::kModel || use == FieldUse::kControl) continue;
    if (out.canonical.size() > 1) out.canonical.push_back(',');
    out.canonical.append(
        std::string_view(*document).substr(members.begin(), members.end() - members.begin()));
  }
  out.canonical.push_back('}');
  out.canonical.append(surroundings);
  out.surroundings = surroundings;
  if (auto complete = check_required(out, has_model, has_content); !complete)
    return tl::unexpected(complete.error());
  out.document = std::move(*document);
  return out;
}

}  // namespace enhanced_gptcache::proxy

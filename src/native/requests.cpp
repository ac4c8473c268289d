#include "native/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/canonical_json.h"
#include "base/request_fields.h"
#include "native/raw_json.h"
#include "native/rights.h"

namespace enhanced_gptcache::native {
namespace {

constexpr size_t kNameBytesMax = 256;
constexpr size_t kTagsMax = 32;
constexpr int64_t kTtlSecondsMax = int64_t{10} * 365 * 24 * 3600;

/// Elsewhere null is as good as nothing. Where leaving a field out widens what is removed it is no answer: a
/// program whose variable was not set would take everything away.
void refuse_null(Body& body, std::initializer_list<std::string_view> fields) {
  for (const std::string_view field : fields)
    if (body.has(field) && body.any(field) == nullptr)
      body.reject(field, "must not be null: leave it out to mean any");
}

/// The field, or the namespace of a key that is narrowed to some.
std::optional<std::string> read_namespace(Body& body, const Caller& caller) {
  auto name_space = body.text("namespace", kNameBytesMax);
  return name_space ? name_space : own_namespace(caller);
}

/// query, context, namespace and model: what every native body that names a prompt shares.
Prompt read_prompt(Body& body, const Caller& caller, const NativeOptions& options) {
  const std::string query = body.required_text("query", options.query_bytes_max);
  std::vector<Turn> context = body.turns("context");
  const auto name_space = read_namespace(body, caller);
  const auto model = body.text("model", kNameBytesMax);
  if (model && model->empty()) body.reject("model", "must not be empty; leave it out for \"default\"");
  Prompt prompt = make_prompt(query, std::move(context), name_space.value_or(""), model.value_or("default"));
  prompt.tenant = caller.tenant;
  prompt.user = caller.user;
  if (caller.identity != nullptr) prompt.principal = caller.identity->id;
  return prompt;
}

FieldError field_error(const Result<void>& failed, const Body& body) {
  return {failed.error().message, body.error_field()};
}

/// One entry object. `raw` gives the bytes of its `response` field when they are needed.
template <typename RawResponse>
Checked<StoreRequest> read_entry(Body& body, const Caller& caller, const NativeOptions& options,
                                 RawResponse raw) {
  StoreRequest request;
  request.prompt = read_prompt(body, caller, options);
  const nlohmann::json* response = body.any("response");
  if (response == nullptr && !body.has("response")) {
    body.reject("response", "is required (a string or any JSON value)");
  } else if (response != nullptr && response->is_string()) {
    request.text = response->get<std::string>();
  } else if (auto bytes = raw()) {
    request.response_json = std::move(*bytes);
  } else {
    body.reject("response", "could not be read");
  }
  request.tags = body.texts("tags", kTagsMax, kNameBytesMax);
  request.subject = body.text("subject", kNameBytesMax).value_or(caller.subject);
  if (const auto ttl = body.integer("ttl_seconds", 1, kTtlSecondsMax)) request.ttl_ms = *ttl * 1000;
  request.principal = caller.principal;
  request.trusted = caller.is_trusted();
  if (auto ok = body.finish(); !ok) return tl::unexpected(field_error(ok, body));
  return request;
}

/// application/x-www-form-urlencoded value; a broken escape is kept as it stands.
std::string url_decode(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return base::repair_utf8(base::percent_decoded(spaced));
}

}  // namespace

LookupCall read_lookup(Body& body, const Caller& caller, const NativeOptions& options) {
  LookupCall call;
  call.prompt = read_prompt(body, caller, options);
  call.options.threshold = body.number("threshold", 0.0, 1.0);
  return call;
}

Feedback read_feedback(Body& body, const Caller& caller) {
  Feedback feedback;
  feedback.tenant = caller.tenant;
  feedback.user = caller.user;
  if (caller.identity != nullptr) feedback.principal = caller.identity->id;
  feedback.request_id = body.text("request_id", kNameBytesMax).value_or("");
  feedback.entry_id = body.text("entry_id", kNameBytesMax).value_or("");
  feedback.missed_entry_id = body.text("missed_entry_id", kNameBytesMax).value_or("");
  // Kept for callers that send the prompt with the verdict; the decision itself is found by its id.
  body.text("query", size_t{1} << 20U);
  body.turns("context");
  const auto correct = body.boolean("correct");
  feedback.correct = correct.value_or(false);
  const bool lost_hit = !feedback.missed_entry_id.empty();
  if (feedback.request_id.empty() && feedback.entry_id.empty()) {
    body.reject("request_id", "is required, or entry_id");
  } else if (!feedback.request_id.empty() && !feedback.entry_id.empty()) {
    body.reject("entry_id", "give request_id or entry_id, not both");
  } else if (lost_hit && feedback.request_id.empty()) {
    body.reject("missed_entry_id", "needs request_id, the lookup that should have been answered");
  } else if (lost_hit && correct) {
    body.reject("correct", "does not go with missed_entry_id, which says what was wrong");
  } else if (!lost_hit && !correct) {
    body.reject("correct", "is required: true when the served answer was right, else false");
  }
  return feedback;
}

InvalidateCall read_invalidate(Body& body, const Caller& caller) {
  InvalidateCall call;
  call.filter.tenant = caller.tenant;
  refuse_null(body,
              {"namespace", "model", "subject", "tags", "query_contains", "created_before_ms", "dry_run"});
  const bool names_one = body.has("namespace");
  call.filter.name_space = read_namespace(body, caller);
  call.filter.model = body.text("model", kNameBytesMax);
  call.filter.subject = body.text("subject", kNameBytesMax);
  call.filter.tags = body.texts("tags", kTagsMax, kNameBytesMax);
  call.filter.query_contains = body.text("query_contains", 4096);
  call.filter.created_before_ms = body.integer("created_before_ms", 0, int64_t{1} << 53U);
  call.dry_run = body.boolean("dry_run").value_or(false);
  const Filter& filter = call.filter;
  if (!names_one && !filter.model && !filter.subject && filter.tags.empty() && !filter.query_contains &&
      !filter.created_before_ms) {
    body.reject("tags",
                "give at least one of tags, namespace, model, subject, query_contains, created_before_ms "
                "(to remove everything use /cache/flush)");
  }
  return call;
}

Checked<std::vector<StoreRequest>> read_entries(std::string_view text, const nlohmann::json& body,
                                                const Caller& caller, const NativeOptions& options) {
  std::vector<StoreRequest> requests;
  if (!body.contains("entries")) {
    Body reader(body);
    auto one = read_entry(reader, caller, options, [&] { return raw_field(text, "response"); });
    if (!one) return tl::unexpected(one.error());
    requests.push_back(std::move(*one));
    return requests;
  }
  Body outer(body);
  const nlohmann::json* entries = outer.any("entries");
  if (auto ok = outer.finish(); !ok) return tl::unexpected(field_error(ok, outer));
  if (entries == nullptr || !entries->is_array() || entries->empty() ||
      entries->size() > options.entries_per_request_max) {
    return tl::unexpected(
        FieldError{fmt::format("entries: must be a list of 1 to {} entries", options.entries_per_request_max),
                   "entries"});
  }
  const std::vector<std::string> raws = raw_items(text, "entries");
  for (size_t i = 0; i < entries->size(); ++i) {
    const std::string where = fmt::format("entries[{}].", i);
    if (!(*entries)[i].is_object()) {
      return tl::unexpected(FieldError{where + " must be an object", fmt::format("entries[{}]", i)});
    }
    Body reader((*entries)[i], where);
    auto one = read_entry(reader, caller, options, [&]() -> std::optional<std::string> {
      return i < raws.size() ? raw_field(raws[i], "response") : std::nullopt;
    });
    if (!one) return tl::unexpected(one.error());
    requests.push_back(std::move(*one));
  }
  return requests;
}

Checked<ListCall> read_list(std::string_view query_string, const Caller& caller,
                            const NativeOptions& options) {
  ListCall call;
  call.filter.tenant = caller.tenant;
  while (!query_string.empty()) {
    const std::string_view pair = query_string.substr(0, query_string.find('&'));
    query_string.remove_prefix(std::min(query_string.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string name(pair.substr(0, equals));
    const std::string value = url_decode(pair.substr(std::min(pair.size(), equals + 1)));
    if (name == "namespace")
      call.filter.name_space = value;
    else if (name == "model")
      call.filter.model = value;
    else if (name == "subject")
      call.filter.subject = value;
    else if (name == "tag")
      call.filter.tags.push_back(value);
    else if (name == "q")
      call.filter.query_contains = value;
    else if (name == "cursor")
      call.cursor = value;
    else if (name == "limit") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), call.limit);
      if (error != std::errc() || end != value.data() + value.size() || call.limit < 1 ||
          call.limit > options.list_limit_max) {
        return tl::unexpected(FieldError{fmt::format("limit: is {}, the allowed range is 1 to {}",
                                                     base::json_string(value), options.list_limit_max),
                                         "limit"});
      }
    } else if (!base::is_credential_parameter(name) && !name.empty()) {
      return tl::unexpected(FieldError{
          fmt::format("{}: unknown parameter; known are namespace, model, subject, tag, q, limit, cursor",
                      base::repair_utf8(name)),
          name});
    }
  }
  if (!call.filter.name_space) call.filter.name_space = own_namespace(caller);
  return call;
}

std::optional<std::string> read_flush_namespace(Body& body, const Caller& caller) {
  refuse_null(body, {"namespace"});
  return read_namespace(body, caller);
}

std::string stored_json(const std::vector<Stored>& stored) {
  std::string ids;
  std::string semantic;
  for (const Stored& one : stored) {
    ids += (ids.empty() ? "" : ",") + base::json_string(one.id);
    semantic += std::string(semantic.empty() ? "" : ",") + (one.semantic ? "true" : "false");
  }
  return "{\"ids\":[" + ids + "],\"semantic\":[" + semantic + "]}";
}

}  // namespace enhanced_gptcache::native

#include "native/reply.h"

#include <fmt/format.h>

#include <cmath>

#include "base/canonical_json.h"
#include "base/error_table.h"

namespace enhanced_gptcache::native {
namespace {

using base::json_string;

/// JSON has no NaN or infinity; neither is a similarity.
std::string number(double value) { return std::isfinite(value) ? fmt::format("{:.6g}", value) : "null"; }

/// Writes `"name":raw` with the comma that is needed.
class ObjectText {
 public:
  ObjectText& raw(std::string_view name, std::string_view json) {
    if (text_.size() > 1) text_ += ',';
    base::append_json_string(text_, name);
    text_ += ':';
    text_ += json;
    return *this;
  }
  ObjectText& text(std::string_view name, std::string_view value) { return raw(name, json_string(value)); }
  ObjectText& real(std::string_view name, double value) { return raw(name, number(value)); }
  ObjectText& flag(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }
  template <typename Integer>
  ObjectText& whole(std::string_view name, Integer value) {
    return raw(name, std::to_string(value));
  }
  std::string done() { return std::move(text_ += '}'); }

 private:
  std::string text_ = "{";
};

std::string texts_json(const std::vector<std::string_view>& texts) {
  std::string out = "[";
  for (const std::string_view text : texts) {
    if (out.size() > 1) out += ',';
    base::append_json_string(out, text);
  }
  return out += ']';
}

void add_response(ObjectText& out, const Entry& entry) {
  if (entry.response_json().empty())
    out.text("response", entry.text());
  else
    out.raw("response", entry.response_json());
  if (!entry.completion().empty()) out.raw("completion", entry.completion());
}

std::string reason_text(const Lookup& lookup) {
  if (lookup.reason == MissReason::kGuard) return "guard:" + lookup.detail;
  return std::string(to_string(lookup.reason));
}

void add_miss(ObjectText& out, const Lookup& lookup, bool shown) {
  out.text("reason", reason_text(lookup));
  if (lookup.reason != MissReason::kGuard && !lookup.detail.empty()) out.text("detail", lookup.detail);
  if (!lookup.nearest || !shown) return;
  ObjectText nearest;
  nearest.real("similarity", lookup.nearest->similarity).real("probability", lookup.nearest->probability);
  if (!lookup.nearest->entry_id.empty()) nearest.text("entry_id", lookup.nearest->entry_id);
  out.raw("nearest", nearest.done());
}

}  // namespace

http::Response json_response(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}};
  response.body = std::move(body);
  return response;
}

http::Response error_response(int status, std::string_view message, std::string_view param) {
  const std::string_view type = status >= 500   ? "server_error"
                                : status == 403 ? "permission_error"
                                                : "invalid_request_error";
  ObjectText error;
  error.text("message", message).text("type", type);
  if (param.empty())
    error.raw("param", "null");
  else
    error.text("param", param);
  error.raw("code", "null");
  http::Response response = json_response(status, ObjectText().raw("error", error.done()).done());
  if (status == 503 || status == 429) response.headers.push_back({"Retry-After", "1"});
  return response;
}

http::Response error_response(const Error& error, std::string_view param) {
  return error_response(base::error_row(error.code).http_status, error.message, param);
}

std::string lookup_json(const Lookup& lookup, int64_t now_ms, double latency_ms, bool shown) {
  ObjectText out;
  out.flag("hit", lookup.entry != nullptr);
  if (lookup.entry != nullptr) {
    add_response(out, *lookup.entry);
    const int64_t age_ms = std::max<int64_t>(0, now_ms - lookup.entry->created_ms());
    out.text("layer", to_string(lookup.layer));
    if (shown) {
      out.text("entry_id", lookup.entry->id());
      out.real("similarity", lookup.similarity).real("probability", lookup.probability);
    }
    out.whole("age_seconds", age_ms / 1000);
  } else {
    add_miss(out, lookup, shown);
  }
  out.real("latency_ms", latency_ms).text("request_id", lookup.request_id);
  return out.done();
}

std::string entry_json(const Entry& entry, bool with_response) {
  ObjectText out;
  out.text("id", entry.id()).text("query", entry.query()).text("model", entry.model());
  out.text("namespace", entry.name_space()).text("dialect", entry.dialect());
  out.whole("created_ms", entry.created_ms());
  if (entry.expires_ms() == 0)
    out.raw("expires_ms", "null");
  else
    out.whole("expires_ms", entry.expires_ms());
  out.raw("tags", texts_json(entry.tags())).text("subject", entry.subject());
  out.flag("semantic", entry.semantic()).whole("hits", entry.hits());
  out.whole("tokens_prompt", entry.tokens_prompt()).whole("tokens_completion", entry.tokens_completion());
  if (with_response) add_response(out, entry);
  return out.done();
}

namespace {

/// Where the threshold of the verified policy comes from.
std::string required_json(const Explanation::Required& required) {
  ObjectText labels;
  labels.whole("right", static_cast<int64_t>(required.labels_right));
  labels.whole("wrong", static_cast<int64_t>(required.labels_wrong));
  ObjectText out;
  out.real("probability", required.probability).real("target_error_rate", required.target_error_rate);
  out.real("tau_shift", required.tau_shift).real("tenant_shift", required.tenant_shift);
  out.real("partition_shift", required.partition_shift).raw("labels", labels.done());
  if (required.labels_right + required.labels_wrong > 0) {
    out.real("error_estimate", required.error_estimate);
    out.real("error_low", required.error_low).real("error_high", required.error_high);
  }
  return out.done();
}

}  // namespace

std::string explanation_json(const Explanation& explanation, int64_t now_ms, double latency_ms) {
  ObjectText text;
  text.whole("tokens", explanation.text.tokens).whole("unknown_tokens", explanation.text.unknown_tokens);
  text.flag("truncated", explanation.text.truncated);
  std::string candidates = "[";
  for (const CandidateReport& candidate : explanation.candidates) {
    ObjectText checks;
    for (const auto& [name, verdict] : candidate.checks) checks.text(name, verdict);
    ObjectText one;
    one.text("entry_id", candidate.entry_id).text("query", candidate.query);
    one.real("similarity", candidate.similarity).real("probability", candidate.probability);
    one.real("divergence", candidate.divergence)
        .raw("checks", checks.done())
        .flag("served", candidate.served);
    if (candidate.evidence_shift != 0) one.real("evidence_shift", candidate.evidence_shift);
    if (candidates.size() > 1) candidates += ',';
    candidates += one.done();
  }
  candidates += ']';
  ObjectText out;
  out.raw("decision", lookup_json(explanation.decision, now_ms, latency_ms));
  out.text("partition", explanation.partition).whole("partition_entries", explanation.partition_entries);
  out.text("policy", explanation.policy).real("threshold", explanation.decision.threshold);
  out.real("tau", explanation.tau).text("tau_source", explanation.tau_source);
  if (explanation.required) out.raw("required", required_json(*explanation.required));
  out.raw("text", text.done()).raw("candidates", candidates);
  return out.done();
}

}  // namespace enhanced_gptcache::native

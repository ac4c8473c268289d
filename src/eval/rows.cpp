#include "eval/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

namespace enhanced_gptcache::eval {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 5> kRoles{"user", "assistant", "system", "developer", "tool"};

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

Result<json> parse_object(std::string_view line) {
  json row = json::parse(line, nullptr, false);
  if (row.is_discarded()) return wrong("no valid JSON");
  if (!row.is_object()) return wrong("no JSON object");
  return row;
}

const json* find(const json& row, const char* field) {
  const auto found = row.find(field);
  return found == row.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> text_of(const json& row, const char* field) {
  const json* value = find(row, field);
  if (value == nullptr) return wrong(fmt::format("{} is missing", field));
  if (!value->is_string()) return wrong(fmt::format("{} is no text", field));
  std::string text = value->get<std::string>();
  if (text.empty()) return wrong(fmt::format("{} is empty", field));
  return text;
}

Result<std::vector<Turn>> turns_of(const json& row, const char* field) {
  std::vector<Turn> turns;
  const json* list = find(row, field);
  if (list == nullptr) return turns;
  if (!list->is_array()) return wrong(fmt::format("{} is no list", field));
  for (const json& turn : *list) {
    if (!turn.is_object() || !turn.contains("role") || !turn["role"].is_string() ||
        !turn.contains("content") || !turn["content"].is_string()) {
      return wrong(fmt::format("{}[{}] is not {{role, content}}", field, turns.size()));
    }
    const std::string role = turn["role"].get<std::string>();
    if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end())
      return wrong(fmt::format("{}[{}].role is none of user, assistant, system, developer, tool", field,
                               turns.size()));
    turns.push_back({role, turn["content"].get<std::string>()});
  }
  return turns;
}

Result<Question> side_of(const json& row, const char* field) {
  const json* side = find(row, field);
  if (side == nullptr || !side->is_object()) {
    EGPTC_TRY(std::string text, text_of(row, field));
    return Question{std::move(text), {}};
  }
  auto text = text_of(*side, "q");
  if (!text) return wrong(fmt::format("{}.{}", field, text.error().message));
  auto history = turns_of(*side, "history");
  if (!history) return wrong(fmt::format("{}.{}", field, history.error().message));
  return Question{std::move(*text), std::move(*history)};
}

/// true, false, 1 or 0.
Result<bool> verdict_of(const json& row, const char* field) {
  const json* value = find(row, field);
  if (value == nullptr) return wrong(fmt::format("{} is missing", field));
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number() && (*value == 0 || *value == 1)) return *value == 1;
  return wrong(fmt::format("{} is {}: allowed are 0 and 1", field, value->dump()));
}

/// Names of clusters are texts or whole numbers.
Result<std::string> cluster_name(const json& value, const char* field) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  return wrong(fmt::format("{} is no text or whole number", field));
}

Result<std::vector<std::string>> clusters_of(const json& row, const char* field) {
  std::vector<std::string> names;
  const json* list = find(row, field);
  if (list == nullptr) return names;
  if (!list->is_array()) return wrong(fmt::format("{} is no list", field));
  for (const json& value : *list) {
    EGPTC_TRY(std::string name, cluster_name(value, field));
    names.push_back(std::move(name));
  }
  return names;
}

Result<double> share_of(const json& row, const char* field, double low) {
  const json* value = find(row, field);
  if (value == nullptr) return wrong(fmt::format("{} is missing", field));
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (!(number >= low && number <= 1))
    return wrong(fmt::format("{} is {}: allowed is {} to 1", field, value->dump(), low));
  return number;
}

}  // namespace

Result<PairRow> parse_pair(std::string_view line) {
  EGPTC_TRY(const json row, parse_object(line));
  PairRow pair;
  EGPTC_TRY(pair.a, side_of(row, "a"));
  EGPTC_TRY(pair.b, side_of(row, "b"));
  EGPTC_TRY(pair.same, verdict_of(row, "label"));
  if (const json* kind = find(row, "kind")) {
    if (!kind->is_string()) return wrong("kind is no text");
    pair.kind = kind->get<std::string>();
  }
  return pair;
}

Result<StreamRow> parse_stream(std::string_view line) {
  EGPTC_TRY(const json row, parse_object(line));
  StreamRow event;
  EGPTC_TRY(event.question, text_of(row, "q"));
  const json* cluster = find(row, "cluster");
  if (cluster == nullptr) return wrong("cluster is missing");
  EGPTC_TRY(event.cluster, cluster_name(*cluster, "cluster"));
  EGPTC_TRY(event.unjudged, clusters_of(row, "unjudged"));
  EGPTC_TRY_VOID(clusters_of(row, "judged_not"));
  if (find(row, "slot_free") != nullptr) {
    EGPTC_TRY(event.slot_free, verdict_of(row, "slot_free"));
  }
  return event;
}

Result<TrafficRow> parse_traffic(std::string_view line) {
  EGPTC_TRY(const json row, parse_object(line));
  TrafficRow request;
  EGPTC_TRY(request.question.text, text_of(row, "query"));
  EGPTC_TRY(request.question.history, turns_of(row, "context"));
  if (find(row, "namespace") != nullptr) {
    EGPTC_TRY(request.name_space, text_of(row, "namespace"));
  }
  if (find(row, "model") != nullptr) {
    EGPTC_TRY(request.model, text_of(row, "model"));
  }
  if (const json* response = find(row, "response"))
    request.response = response->is_string() ? response->get<std::string>() : response->dump();
  if (const json* time = find(row, "timestamp")) {
    request.timestamp_ms = parse_time_ms(time->is_string() ? time->get<std::string>() : time->dump());
    if (!request.timestamp_ms)
      return wrong(
          fmt::format("timestamp is {}: seconds or milliseconds since 1970, or ISO 8601", time->dump()));
  }
  return request;
}

Result<ShadowRow> parse_shadow(std::string_view line) {
  EGPTC_TRY(const json row, parse_object(line));
  ShadowRow decision;
  EGPTC_TRY(decision.similarity, share_of(row, "similarity", -1));
  if (find(row, "probability") != nullptr) {
    EGPTC_TRY(decision.probability, share_of(row, "probability", 0));
  }
  EGPTC_TRY(decision.correct, verdict_of(row, "correct"));
  return decision;
}

RowForm form_of(std::string_view line) {
  const auto row = parse_object(line);
  if (!row) return RowForm::kUnknown;
  if (row->contains("a") && row->contains("b")) return RowForm::kPair;
  if (row->contains("q") && row->contains("cluster")) return RowForm::kStream;
  return row->contains("similarity") ? RowForm::kShadow : RowForm::kUnknown;
}

}  // namespace enhanced_gptcache::eval

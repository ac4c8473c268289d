// make_prompt and the names of enumerators.

#include "base/canonical_json.h"
#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache {
namespace {

std::string valid_utf8(std::string_view text) {
  return base::is_valid_utf8(text) ? std::string(text) : base::repair_utf8(text);
}

bool is_system(std::string_view role) { return role == "system" || role == "developer"; }

/// Keys in canonical order: "content" before "role".
void append_message(std::string& json, const Turn& turn) {
  if (json.back() == '}') json += ',';
  json += "{\"content\":";
  base::append_json_string(json, turn.content);
  json += ",\"role\":";
  base::append_json_string(json, turn.role);
  json += '}';
}

}  // namespace

Prompt make_prompt(std::string_view query, std::vector<Turn> context, std::string_view name_space,
                   std::string_view model) {
  Prompt prompt;
  prompt.name_space = name_space;
  prompt.model = model;
  prompt.query = valid_utf8(query);
  prompt.canonical = "{\"messages\":[";
  for (Turn& turn : context) {
    turn.role = valid_utf8(turn.role);
    turn.content = valid_utf8(turn.content);
    append_message(prompt.canonical, turn);
    if (!is_system(turn.role)) {
      prompt.context.push_back(std::move(turn));
      continue;
    }
    if (!prompt.system.empty()) prompt.system += '\n';
    prompt.system += turn.content;
  }
  append_message(prompt.canonical, {"user", prompt.query});
  prompt.canonical += "]}";
  return prompt;
}

std::string_view to_string(DecisionPolicy policy) {
  switch (policy) {
    case DecisionPolicy::kStatic:
      return "static";
    case DecisionPolicy::kAdaptive:
      return "adaptive";
    case DecisionPolicy::kVerified:
      return "verified";
  }
  return "unknown";
}

std::string_view to_string(Layer layer) {
  switch (layer) {
    case Layer::kExact:
      return "exact";
    case Layer::kSemantic:
      return "semantic";
    case Layer::kShared:
      return "shared";
  }
  return "unknown";
}

std::string_view to_string(LabelSource source) {
  static constexpr std::string_view kNames[] = {"feedback", "shadow", "judge"};
  return kNames[static_cast<size_t>(source)];
}

std::string_view to_string(MissReason reason) {
  switch (reason) {
    case MissReason::kEmpty:
      return "empty";
    case MissReason::kNoCandidate:
      return "no_candidate";
    case MissReason::kBelowThreshold:
      return "below_threshold";
    case MissReason::kContext:
      return "context";
    case MissReason::kGuard:
      return "guard";
    case MissReason::kVerifier:
      return "verifier";
    case MissReason::kIneligible:
      return "ineligible";
    case MissReason::kShadow:
      return "shadow";
    case MissReason::kOverloaded:
      return "embedder_overloaded";
  }
  return "unknown";
}

}  // namespace enhanced_gptcache

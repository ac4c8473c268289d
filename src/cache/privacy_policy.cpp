#include "cache/privacy_policy.h"

#include <fmt/format.h>

#include "privacy/personal_data.h"

namespace enhanced_gptcache::cache {
namespace {

PersonalData policy_of(const PrivacyOptions& options, std::string_view name_space) {
  for (const auto& [name, policy] : options.by_namespace)
    if (name == name_space) return policy;
  return options.personal_data;
}

/// Names of the kinds that are found in any of the texts; empty: none.
std::string kinds_in(std::initializer_list<std::string_view> texts, privacy::KindSet kinds) {
  privacy::KindSet found{0};
  for (const std::string_view text : texts)
    for (const privacy::Finding& one : privacy::find_personal_data(text, kinds))
      found.bits = static_cast<uint8_t>(found.bits | 1U << static_cast<unsigned>(one.kind));
  std::string names;
  for (size_t i = 0; i < privacy::kDataKinds; ++i) {
    const auto kind = static_cast<privacy::DataKind>(i);
    if (found.has(kind)) names += (names.empty() ? "" : ", ") + std::string(privacy::to_string(kind));
  }
  return names;
}

}  // namespace

Result<std::optional<Redaction>> apply_privacy(const PrivacyOptions& options, const StoreRequest& request,
                                               const Keys& keys) {
  const Prompt& prompt = request.prompt;
  const PersonalData policy = policy_of(options, prompt.name_space);
  if (policy == PersonalData::kStore) return std::optional<Redaction>();
  const privacy::KindSet kinds = privacy::kinds_of(options.kinds);
  const std::string in_answer = kinds_in({request.text, request.response_json, request.completion}, kinds);
  if (!in_answer.empty())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the answer holds personal data ({}): compliance.pii keeps it out", in_answer));
  const std::string in_prompt = kinds_in({prompt.query, prompt.canonical}, kinds);
  if (in_prompt.empty()) return std::optional<Redaction>();
  if (policy == PersonalData::kSkip)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the question holds personal data ({}): compliance.pii keeps it out", in_prompt));
  return std::optional<Redaction>(
      {privacy::redacted(prompt.query, privacy::find_personal_data(prompt.query, kinds)),
       keys.hashed_request(prompt.canonical)});
}

}  // namespace enhanced_gptcache::cache

#pragma once
// What the caller's key allows: cache controls, namespaces, entries. What a body asks for beyond it is
// refused, never ignored.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "native/native_api.h"

namespace enhanced_gptcache::native {

/// What is not allowed, and which field asks for it.
struct Forbidden {
  std::string message;
  std::string param;
};

/// The body and each of its `entries`; none: all of it is allowed. Security off allows everything.
std::optional<Forbidden> find_forbidden(const Caller& caller, const nlohmann::json& body);
std::optional<Forbidden> find_forbidden_namespace(const Caller& caller, std::string_view name);
/// The namespace a key that is narrowed to some uses when none is named; none: the key is not narrowed.
std::optional<std::string> own_namespace(const Caller& caller);

/// May the caller see, judge and remove this entry of its tenant? Not outside its namespaces, and what is
/// scoped to a user only as that user or, for operators and admins, in any case.
bool may_reach(const Caller& caller, const Entry& entry);
/// Feedback on a decision about another user's own question is kNotFound, but for operators and admins.
Result<FeedbackResult> give_feedback(EnhancedCache& cache, const Caller& caller, Feedback feedback);

}  // namespace enhanced_gptcache::native

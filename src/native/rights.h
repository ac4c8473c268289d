#pragma once
// What of a native body the caller's key allows: cache controls and namespaces. Refused, never ignored.

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

}  // namespace enhanced_gptcache::native

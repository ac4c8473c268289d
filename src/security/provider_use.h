#pragma once
// Whose requests end in a provider's account in the name of a tenant.

#include "security/identity.h"

namespace enhanced_gptcache::security {

/// Viewers send nothing to providers, admins stand above tenants.
constexpr bool uses_provider(Role role) { return role == Role::kClient || role == Role::kOperator; }

}  // namespace enhanced_gptcache::security

#pragma once
// Which cache controls the caller's key allows. A control without the right to it is refused, not ignored.

#include "proxy/controls.h"
#include "security/identity.h"

namespace enhanced_gptcache::proxy {

/// 403 naming the control or the namespace; else fills in the key's own namespace when none was asked for.
/// 403: the control may not be used here.
ApiError forbidden_control(std::string_view control, std::string message);
ApiResult<void> apply_rights(const security::Identity& identity, Controls& controls);

}  // namespace enhanced_gptcache::proxy

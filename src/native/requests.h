#pragma once
// From native bodies and query strings to what EnhancedCache takes. Pure functions: no I/O, any thread.

#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"
#include "native/body.h"
#include "native/native_api.h"

namespace enhanced_gptcache::native {

/// What is wrong, and with which field.
struct FieldError {
  std::string message;
  std::string param;
};
template <typename T>
using Checked = tl::expected<T, FieldError>;

struct LookupCall {
  Prompt prompt;
  LookupOptions options;
};
/// Errors are left in `body`: call body.finish() next.
LookupCall read_lookup(Body& body, const Caller& caller, const NativeOptions& options);
Feedback read_feedback(Body& body, const Caller& caller);

struct InvalidateCall {
  Filter filter;
  bool dry_run = false;
};
/// At least one restriction is needed: an empty filter would be a flush by accident.
InvalidateCall read_invalidate(Body& body, const Caller& caller);

/// What a flush empties: one namespace, or (none) all of the tenant, which a narrowed key cannot ask for.
std::optional<std::string> read_flush_namespace(Body& body, const Caller& caller);

/// One entry or {"entries": [...]}. `text` is the body as received: native JSON responses are kept byte for
/// byte.
Checked<std::vector<StoreRequest>> read_entries(std::string_view text, const nlohmann::json& body,
                                                const Caller& caller, const NativeOptions& options);

struct ListCall {
  Filter filter;
  size_t limit = 100;
  std::string cursor;
};
/// From ?namespace=&model=&subject=&tag=&q=&limit=&cursor=.
Checked<ListCall> read_list(std::string_view query_string, const Caller& caller,
                            const NativeOptions& options);

std::string stored_json(const std::vector<Stored>& stored);

}  // namespace enhanced_gptcache::native

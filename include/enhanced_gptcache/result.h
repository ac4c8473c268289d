#pragma once
// Errors as values. Every function of the library that can fail returns Result<T>; nothing here
// throws. A cache miss is not an error: it is an empty optional inside a successful Result.
// Built on tl::expected (one CC0 header) because g++ 12 has std::expected only from C++23 on.

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace enhanced_gptcache {

/// What kind of failure it was. base/error_table.h maps each to an HTTP status, a metric label,
/// a log level and an exit code of the command line.
enum class ErrorCode {
  kInvalidArgument,  ///< the caller's input is wrong; the message names field, value and range
  kNotFound,         ///< no such file, entry, key
  kDeadline,         ///< a time limit passed
  kOverloaded,       ///< a bounded queue or limit is full; try again later
  kUnavailable,      ///< a dependency is not there (yet)
  kCorrupt,          ///< bytes do not have the form they must have
  kIo,               ///< the operating system refused a read or a write
  kUpstream,         ///< the model provider failed
  kUnsupported,      ///< well-formed, but not something this build can do
  kInternal,         ///< a bug of ours
};

/// One failure. `message` is a full sentence fragment an operator can act on, without a final stop.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

/// A T or an Error. Must be looked at: ignoring one is a compile error under our warnings.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

/// The error side of a Result: `return fail(ErrorCode::kIo, "cannot read ...");`
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace enhanced_gptcache

/// Evaluates `expr` (a Result); on failure returns its Error from the enclosing function, else
/// declares `var` with the value.
#define EGPTC_TRY_CONCAT_(a, b) a##b
#define EGPTC_TRY_NAME_(line) EGPTC_TRY_CONCAT_(egptc_try_, line)
#define EGPTC_TRY(var, expr)                                                        \
  auto EGPTC_TRY_NAME_(__LINE__) = (expr);                                          \
  if (!EGPTC_TRY_NAME_(__LINE__))                                                   \
    return ::enhanced_gptcache::fail(std::move(EGPTC_TRY_NAME_(__LINE__)).error()); \
  var = std::move(*EGPTC_TRY_NAME_(__LINE__))

/// The same for a Result<void>, or when the value is not needed.
#define EGPTC_TRY_VOID(expr)                   \
  if (auto egptc_tried = (expr); !egptc_tried) \
  return ::enhanced_gptcache::fail(std::move(egptc_tried).error())

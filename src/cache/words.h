#pragma once
// Words of a question, for the cheap tests on the request path.

#include <array>
#include <cstddef>
#include <string_view>

namespace enhanced_gptcache::cache {

/// Splits into runs of ASCII letters, digits and non-ASCII bytes, lower-case in ASCII. The word lists
/// it is held against are ASCII, so nothing finer is needed. Allocates nothing: long words are cut,
/// which keeps them different from every listed word.
class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) {}

  /// The next word, or an empty view at the end. Valid until the next call.
  std::string_view next();

 private:
  std::string_view rest_;
  std::array<char, 24> word_{};
};

}  // namespace enhanced_gptcache::cache

#pragma once
// HMAC-SHA-256 (RFC 2104, FIPS 198-1) for what other programs compute too (JSON Web Tokens) and for secrets
// that are stored as hashes. The key's two pads are hashed once, so one short message costs two blocks.

#include <array>
#include <memory>
#include <string_view>

#include "base/sha256.h"

namespace enhanced_gptcache::base {

/// Thread rule: immutable after the constructor; compute() from any thread.
class HmacSha256 {
 public:
  explicit HmacSha256(std::string_view key);
  ~HmacSha256();
  HmacSha256(const HmacSha256&) = delete;
  HmacSha256& operator=(const HmacSha256&) = delete;

  /// Of the two pieces joined; the second may be empty.
  Sha256 compute(std::string_view message, std::string_view more = {}) const;

 private:
  struct State;
  std::unique_ptr<State> keyed_;
};

/// Takes as long for a difference in the first byte as for one in the last. Different lengths are unequal.
bool equal_in_constant_time(std::string_view a, std::string_view b);
inline std::string_view bytes_of(const Sha256& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

}  // namespace enhanced_gptcache::base

#pragma once
// SHA-256 (FIPS 180-4) of a whole byte string: names a file the way other programs do. Where nobody
// outside compares the value, base/keyed_hash.h is four times as fast.

#include <array>
#include <string>
#include <string_view>

namespace enhanced_gptcache::base {

using Sha256 = std::array<unsigned char, 32>;

/// Any thread.
Sha256 sha256(std::string_view bytes);

/// 64 lower-case hexadecimal digits.
std::string to_hex(const Sha256& hash);

}  // namespace enhanced_gptcache::base

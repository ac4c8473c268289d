#pragma once
// Personal data and secrets in a text, by their form: RE2 finds what looks like one (linear time, whatever
// the text), a check of its own weeds out what only looks so (check digits, ranges). What has no form, such
// as names, is not found.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::privacy {

enum class DataKind : uint8_t { kEmail, kPhone, kCard, kIban, kIp, kSecret, kNationalId };
inline constexpr size_t kDataKinds = 7;
/// "email", "phone", "card", "iban", "ip", "secret", "national_id".
std::string_view to_string(DataKind kind);

/// Which kinds are looked for. A set bit each, by DataKind.
struct KindSet {
  uint8_t bits = 0x7f;
  bool has(DataKind kind) const { return (bits >> static_cast<unsigned>(kind) & 1U) != 0; }
  bool empty() const { return bits == 0; }
};
/// By names; unknown ones are left out.
KindSet kinds_of(const std::vector<std::string>& names);

struct Finding {
  DataKind kind = DataKind::kEmail;
  size_t at = 0;
  size_t size = 0;
};

/// In the order they stand, none overlapping another. Any thread; about 100 MB a second. `compared` (may be
/// null): how many comparisons of findings it took, which grows as their number does.
std::vector<Finding> find_personal_data(std::string_view text, KindSet kinds = {},
                                        size_t* compared = nullptr);
/// The text with "[email]", "[phone]"... in place of what was found.
std::string redacted(std::string_view text, const std::vector<Finding>& findings);

}  // namespace enhanced_gptcache::privacy

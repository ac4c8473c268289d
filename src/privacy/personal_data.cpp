#include "privacy/personal_data.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <memory>

#include "base/check.h"

namespace enhanced_gptcache::privacy {
namespace {

constexpr std::array<std::string_view, kDataKinds> kNames = {"email", "phone",  "card",       "iban",
                                                             "ip",    "secret", "national_id"};

std::string digits_of(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c >= '0' && c <= '9') digits += c;
  return digits;
}

/// ISO/IEC 7812-1, annex B.
bool has_luhn_digit(std::string_view text) {
  const std::string digits = digits_of(text);
  if (digits.size() < 13 || digits.size() > 19) return false;
  if (digits.find_first_not_of(digits.front()) == digits.npos) return false;
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    int digit = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
    sum += digit;
  }
  return sum % 10 == 0;
}

/// ISO 13616: country and check digits to the end, letters as 10 to 35, and the number is 1 modulo 97.
bool is_iban(std::string_view text) {
  std::string plain;
  for (const char c : text)
    if (c != ' ') plain += c;
  if (plain.size() < 15 || plain.size() > 34) return false;
  std::rotate(plain.begin(), plain.begin() + 4, plain.end());
  int rest = 0;
  for (const char c : plain) {
    const int value = c >= 'A' ? c - 'A' + 10 : c - '0';
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest == 1;
}

/// An address somebody can have; loopback, unspecified and documentation are nobody's.
bool is_ip(std::string_view text) {
  in_addr four{};
  in6_addr six{};
  const std::string plain(text);
  if (::inet_pton(AF_INET, plain.c_str(), &four) == 1) {
    const uint32_t address = ntohl(four.s_addr);
    const uint32_t first = address >> 24U;
    return first != 0 && first != 127 && address != 0xffffffffU;
  }
  return std::count(plain.begin(), plain.end(), ':') >= 3 && ::inet_pton(AF_INET6, plain.c_str(), &six) == 1;
}

/// E.164: 8 to 15 digits with the country's, or ten grouped as in North America.
bool is_phone(std::string_view text) {
  const size_t digits = digits_of(text).size();
  return text.front() == '+' ? digits >= 8 && digits <= 15 : digits == 10 || digits == 11;
}

/// United States social security number: no area 000, 666 or 900 to 999, no group 00, no serial 0000.
bool is_social_security_number(std::string_view text) {
  const std::string_view area = text.substr(0, 3);
  return area != "000" && area != "666" && area.front() != '9' && text.substr(4, 2) != "00" &&
         text.substr(7) != "0000";
}

bool always(std::string_view) { return true; }

struct Detector {
  DataKind kind;
  const char* pattern;  ///< the first group is what is found
  bool (*is_one)(std::string_view);
};

constexpr Detector kDetectors[] = {
    {DataKind::kSecret,
     R"(((?:sk|rk|pk)-[A-Za-z0-9_-]{16,}|egptc_[0-9a-f]{12}_[0-9A-Za-z]{16,}|gh[pousr]_[A-Za-z0-9]{20,})"
     R"(|github_pat_[A-Za-z0-9_]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35})"
     R"(|(?:AKIA|ASIA)[A-Z0-9]{16})"
     R"(|hf_[A-Za-z0-9]{20,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"
     R"(|-----BEGIN [A-Z ]*PRIVATE KEY-----))",
     always},
    {DataKind::kEmail, R"(([A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24})\b)", always},
    {DataKind::kIban, R"(\b([A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{2,4}){3,8})\b)", is_iban},
    {DataKind::kCard, R"(\b([0-9](?:[ -]?[0-9]){12,18})\b)", has_luhn_digit},
    {DataKind::kNationalId, R"(\b([0-9]{3}-[0-9]{2}-[0-9]{4})\b)", is_social_security_number},
    {DataKind::kIp, R"(\b([0-9]{1,3}(?:\.[0-9]{1,3}){3})\b)", is_ip},
    {DataKind::kIp, R"((?:^|[^0-9A-Za-z:.])([0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,7}))", is_ip},
    {DataKind::kPhone, R"((\+[1-9][0-9](?:[ ().\/-]{0,2}[0-9]){6,13})\b)", is_phone},
    {DataKind::kPhone,
     R"((?:^|[^0-9A-Za-z+.-])((?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-]))"
     R"([2-9][0-9]{2}[.-][0-9]{4})\b)",
     is_phone}};

/// Compiled once; RE2 objects are safe to share.
const re2::RE2& compiled(size_t i) {
  static const auto* const all = [] {
    auto* list = new std::vector<std::unique_ptr<re2::RE2>>();
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_encoding(re2::RE2::Options::EncodingLatin1);  // patterns are ASCII, texts may be anything
    for (const Detector& detector : kDetectors) {
      list->push_back(std::make_unique<re2::RE2>(detector.pattern, options));
      EGPTC_CHECK(list->back()->ok());
    }
    return list;
  }();
  return *(*all)[i];
}

void find_with(size_t number, std::string_view text, std::vector<Finding>& findings) {
  const Detector& detector = kDetectors[number];
  const re2::StringPiece whole(text.data(), text.size());
  size_t from = 0;
  re2::StringPiece groups[2];
  while (from < text.size() &&
         compiled(number).Match(whole, from, text.size(), re2::RE2::UNANCHORED, groups, 2)) {
    const auto at = static_cast<size_t>(groups[1].data() - text.data());
    const size_t size = groups[1].size();
    if (detector.is_one(text.substr(at, size))) {
      findings.push_back({detector.kind, at, size});
      from = at + size;
    } else {
      from = at + 1;
    }
  }
}

}  // namespace

std::string_view to_string(DataKind kind) { return kNames[static_cast<size_t>(kind)]; }

KindSet kinds_of(const std::vector<std::string>& names) {
  KindSet set{0};
  for (size_t i = 0; i < kDataKinds; ++i)
    if (std::find(names.begin(), names.end(), kNames[i]) != names.end())
      set.bits = static_cast<uint8_t>(set.bits | 1U << i);
  return set;
}

std::vector<Finding> find_personal_data(std::string_view text, KindSet kinds, size_t* compared) {
  // Of two that overlap, the kind that is asked first: a card number is no telephone number. What is kept
  // never overlaps, so only the neighbours of a place can reach it.
  std::map<size_t, Finding> kept;
  size_t comparisons = 0;
  std::vector<Finding> found;
  for (size_t i = 0; i < std::size(kDetectors); ++i) {
    if (!kinds.has(kDetectors[i].kind)) continue;
    found.clear();
    find_with(i, text, found);
    for (const Finding& one : found) {
      const auto next = kept.lower_bound(one.at);
      comparisons += 2;
      if (next != kept.end() && next->first < one.at + one.size) continue;
      if (next != kept.begin()) {
        const Finding& before = std::prev(next)->second;
        if (one.at < before.at + before.size) continue;
      }
      kept.emplace_hint(next, one.at, one);
    }
  }
  if (compared != nullptr) *compared = comparisons;
  std::vector<Finding> sorted;
  sorted.reserve(kept.size());
  for (const auto& [at, one] : kept) sorted.push_back(one);
  return sorted;
}

std::string redacted(std::string_view text, const std::vector<Finding>& findings) {
  std::string out;
  size_t from = 0;
  for (const Finding& one : findings) {
    out += text.substr(from, one.at - from);
    out += fmt::format("[{}]", to_string(one.kind));
    from = one.at + one.size;
  }
  out += text.substr(from);
  return out;
}

}  // namespace enhanced_gptcache::privacy

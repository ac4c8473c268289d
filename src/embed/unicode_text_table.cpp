// The table of character traits: utf8proc's properties, then the generated exceptions.
#include <utf8proc.h>

#include <algorithm>
#include <bitset>
#include <map>

#include "embed/unicode_text.h"
#include "embed/unicode_text_exceptions.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr char32_t kCodeLimit = 0x110000;
/// Planes 4 to 13: no character is or is planned to be there, so that one block tells about all of them.
constexpr char32_t kUnassignedFirst = 0x40000;
constexpr char32_t kUnassignedEnd = 0xE0000;

bool in_ranges(const CodeRange* begin, const CodeRange* end, char32_t code) {
  const CodeRange* range =
      std::lower_bound(begin, end, code, [](const CodeRange& r, char32_t c) { return r.last < c; });
  return range != end && range->first <= code;
}
template <size_t N>
bool in_ranges(const std::array<CodeRange, N>& ranges, char32_t code) {
  return in_ranges(ranges.data(), ranges.data() + N, code);
}

// The blocks the original BERT code calls Chinese. The reference starts the last but two at 0x2B920
// where BERT has 0x2B820; we follow the reference.
constexpr std::array<CodeRange, 8> kChinese{{{0x3400, 0x4DBF},
                                             {0x4E00, 0x9FFF},
                                             {0xF900, 0xFAFF},
                                             {0x20000, 0x2A6DF},
                                             {0x2A700, 0x2B73F},
                                             {0x2B740, 0x2B81F},
                                             {0x2B920, 0x2CEAF},
                                             {0x2F800, 0x2FA1F}}};

bool is_ascii_symbol(char32_t code) {
  return (code >= 0x21 && code <= 0x2F) || (code >= 0x3A && code <= 0x40) || (code >= 0x5B && code <= 0x60) ||
         (code >= 0x7B && code <= 0x7E);
}

uint8_t base_flags(char32_t code, const utf8proc_property_t& property) {
  uint8_t flags = 0;
  const auto category = static_cast<utf8proc_category_t>(property.category);
  const bool is_kept_control = code == '\t' || code == '\n' || code == '\r';
  const bool is_other = category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
                        category == UTF8PROC_CATEGORY_CO;
  if ((is_other && !is_kept_control) || code == 0xFFFD) flags |= kCharDropped;
  // White space of Rust is the property White_Space: the separators and five control characters.
  if (category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
      category == UTF8PROC_CATEGORY_ZP || (code >= 0x09 && code <= 0x0D) || code == 0x85) {
    flags |= kCharSpace;
  }
  if ((category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO) || is_ascii_symbol(code)) {
    flags |= kCharPunctuation;
  }
  if (category == UTF8PROC_CATEGORY_MN) flags |= kCharMark;
  if (in_ranges(kChinese, code)) flags |= kCharChinese;
  if (code >= 0xAC00 && code <= 0xD7A3) flags |= kCharHangul;
  return flags;
}

CharTraits base_traits(char32_t code) {
  const utf8proc_property_t& property = *utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
  CharTraits traits;
  traits.flags = base_flags(code, property);
  traits.combining_class = static_cast<uint8_t>(property.combining_class);
  traits.lower_delta = utf8proc_tolower(static_cast<utf8proc_int32_t>(code)) - static_cast<int32_t>(code);
  if ((traits.flags & kCharHangul) != 0 || property.decomp_seqindex == UINT16_MAX) return traits;
  std::array<utf8proc_int32_t, 4> parts{};
  int boundary = 0;
  const utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts.data(),
                                                         parts.size(), UTF8PROC_DECOMPOSE, &boundary);
  // Canonical decompositions have at most four parts; a longer one could only come from a later Unicode.
  if (count < 1 || count > 4 || (count == 1 && parts[0] == static_cast<int32_t>(code))) return traits;
  traits.decomposition_length = static_cast<uint8_t>(count);
  std::copy_n(parts.begin(), count, traits.decomposition.begin());
  return traits;
}

void set_flag(CharTraits& traits, CharFlag flag, bool on) {
  traits.flags = static_cast<uint8_t>(on ? traits.flags | flag : traits.flags & ~flag);
}

void apply_exceptions(char32_t code, CharTraits& traits) {
  if (code < 0x80) return;
  if (in_ranges(kDroppedYes, code)) set_flag(traits, kCharDropped, true);
  if (in_ranges(kDroppedNo, code)) set_flag(traits, kCharDropped, false);
  if (in_ranges(kPunctuationYes, code)) set_flag(traits, kCharPunctuation, true);
  if (in_ranges(kPunctuationNo, code)) set_flag(traits, kCharPunctuation, false);
  if (in_ranges(kMarkYes, code)) set_flag(traits, kCharMark, true);
  if (in_ranges(kMarkNo, code)) set_flag(traits, kCharMark, false);
  if (in_ranges(kStarterYes, code)) traits.combining_class = 0;
  if (in_ranges(kDecompositionNo, code)) {
    traits.decomposition_length = 0;
    traits.decomposition = {};
  }
  const auto lower = std::lower_bound(kLower.begin(), kLower.end(), code,
                                      [](const LowerRange& range, char32_t c) { return range.last < c; });
  if (lower != kLower.end() && lower->first <= code) traits.lower_delta = lower->delta;
}

// Which blocks of 256 code points any exception touches: few, so that the others are not searched.
std::bitset<kCodeLimit / 256> exceptional_blocks() {
  std::bitset<kCodeLimit / 256> blocks;
  const auto add = [&](const auto& ranges) {
    for (const auto& range : ranges) {
      for (char32_t block = range.first >> 8; block <= range.last >> 8; ++block) blocks.set(block);
    }
  };
  add(kDroppedYes), add(kDroppedNo), add(kPunctuationYes), add(kPunctuationNo), add(kMarkYes), add(kMarkNo);
  add(kStarterYes), add(kDecompositionNo), add(kLower);
  return blocks;
}

}  // namespace

CharTable::CharTable(bool with_exceptions) {
  std::map<CharTraits, uint16_t> known_records;
  std::map<std::array<uint16_t, 256>, uint16_t> known_blocks;
  const auto exceptional = with_exceptions ? exceptional_blocks() : std::bitset<kCodeLimit / 256>{};
  uint16_t record = 0;
  for (char32_t first = 0; first < kCodeLimit; first += 256) {
    if (first > kUnassignedFirst && first < kUnassignedEnd && !exceptional[first >> 8]) {
      blocks_[first >> 8] = blocks_[kUnassignedFirst >> 8];
      continue;
    }
    std::array<uint16_t, 256> block{};
    for (char32_t offset = 0; offset < 256; ++offset) {
      CharTraits traits = base_traits(first + offset);
      if (exceptional[first >> 8]) apply_exceptions(first + offset, traits);
      if (records_.empty() || traits != records_[record]) {  // neighbours are mostly alike
        const auto [known, is_new] =
            known_records.try_emplace(traits, static_cast<uint16_t>(records_.size()));
        if (is_new) records_.push_back(traits);
        record = known->second;
      }
      block[offset] = record;
    }
    const auto [known, is_new] = known_blocks.try_emplace(block, static_cast<uint16_t>(known_blocks.size()));
    if (is_new) index_.insert(index_.end(), block.begin(), block.end());
    blocks_[first >> 8] = known->second;
  }
}

const CharTable& CharTable::instance() {
  static const auto* const table = new CharTable(true);  // never destroyed: threads may outlive main
  return *table;
}

}  // namespace enhanced_gptcache::embed

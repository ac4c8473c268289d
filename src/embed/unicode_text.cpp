#include "embed/unicode_text.h"

#include <algorithm>

namespace enhanced_gptcache::embed {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// Hangul syllables decompose by arithmetic: Unicode 15, section 3.12.
constexpr char32_t kHangulBase = 0xAC00;
constexpr char32_t kLeadBase = 0x1100;
constexpr char32_t kVowelBase = 0x1161;
constexpr char32_t kTrailBase = 0x11A7;
constexpr char32_t kTrailCount = 28;
constexpr char32_t kVowelTrailCount = 21 * kTrailCount;

// Length of the run of ASCII bytes at p.
size_t ascii_run(const unsigned char* p, const unsigned char* end) {
  const unsigned char* q = p;
  while (q < end && *q < 0x80) ++q;
  return static_cast<size_t>(q - p);
}

}  // namespace

char32_t decode_utf8(const unsigned char*& p, const unsigned char* end) {
  const unsigned lead = *p++;
  if (lead < 0x80) return lead;
  // The second byte's range depends on the lead (no overlong forms, no surrogates, no code point
  // above 0x10FFFF), which is what makes the invalid sequence maximal.
  unsigned low = 0x80;
  unsigned high = 0xBF;
  int following = 0;
  char32_t code = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    following = 1;
    code = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    following = 2;
    code = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    following = 3;
    code = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return kReplacement;
  }
  for (; following > 0; --following) {
    if (p == end || *p < low || *p > high) return kReplacement;
    code = (code << 6) | (*p++ & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return code;
}

void append_utf8(std::string& out, char32_t code) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
    return;
  }
  char bytes[4];
  size_t length = 0;
  if (code < 0x800) {
    bytes[length++] = static_cast<char>(0xC0 | (code >> 6));
  } else {
    if (code < 0x10000) {
      bytes[length++] = static_cast<char>(0xE0 | (code >> 12));
    } else {
      bytes[length++] = static_cast<char>(0xF0 | (code >> 18));
      bytes[length++] = static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    }
    bytes[length++] = static_cast<char>(0x80 | ((code >> 6) & 0x3F));
  }
  bytes[length++] = static_cast<char>(0x80 | (code & 0x3F));
  out.append(bytes, length);
}

// The steps after cleaning, one character at a time. With accents to strip, characters of a combining
// class above 0 wait until the next starter, because NFD orders them by class; nonspacing marks
// are left out at once, which a stable sort of the rest cannot notice.
struct TextNormalizer::Stream {
  const CharTable& table;
  const NormalizerOptions& options;
  std::string& out;
  struct Waiting {
    char32_t code;
    uint8_t combining_class;
  };
  std::vector<Waiting> waiting{};

  void emit(char32_t code) {
    if (!options.lowercase) return append_utf8(out, code);
    if (code == 0x130) {  // the one character whose lower case is two: i and a dot above
      out += "i\xCC\x87";
      return;
    }
    append_utf8(out, static_cast<char32_t>(static_cast<int32_t>(code) + table[code].lower_delta));
  }

  void flush() {
    if (waiting.size() > 1) {
      std::stable_sort(waiting.begin(), waiting.end(), [](const Waiting& a, const Waiting& b) {
        return a.combining_class < b.combining_class;
      });
    }
    for (const Waiting& item : waiting) emit(item.code);
    waiting.clear();
  }

  void add_part(char32_t code) {
    const CharTraits& traits = table[code];
    if (traits.combining_class == 0 && !waiting.empty()) flush();
    if ((traits.flags & kCharMark) != 0) return;
    if (traits.combining_class == 0) return emit(code);
    waiting.push_back({code, traits.combining_class});
  }

  void add_hangul(char32_t code) {
    const char32_t syllable = code - kHangulBase;
    add_part(kLeadBase + syllable / kVowelTrailCount);
    add_part(kVowelBase + syllable % kVowelTrailCount / kTrailCount);
    if (syllable % kTrailCount != 0) add_part(kTrailBase + syllable % kTrailCount);
  }

  void add(char32_t code, const CharTraits& traits) {
    if (!options.strip_accents) return emit(code);
    if ((traits.flags & kCharHangul) != 0) return add_hangul(code);
    if (traits.decomposition_length == 0) return add_part(code);
    for (size_t i = 0; i < traits.decomposition_length; ++i) add_part(traits.decomposition[i]);
  }
};

TextNormalizer::TextNormalizer(const NormalizerOptions& options)
    : options_(options), table_(CharTable::instance()) {
  for (unsigned char c = 0; c < 128; ++c) {
    const CharTraits& traits = table_[c];
    ascii_[c] = c;
    if (options.lowercase) ascii_[c] = static_cast<unsigned char>(c + traits.lower_delta);
    if (!options.clean_text) continue;
    ascii_dropped_[c] = (traits.flags & kCharDropped) != 0;
    if ((traits.flags & kCharSpace) != 0) ascii_[c] = ' ';
  }
}

void TextNormalizer::append_ascii(const unsigned char* p, size_t length, std::string& out) const {
  const size_t before = out.size();
  out.resize(before + length);
  char* q = out.data() + before;
  for (size_t i = 0; i < length; ++i) {
    *q = static_cast<char>(ascii_[p[i]]);
    q += ascii_dropped_[p[i]] ? 0 : 1;
  }
  out.resize(static_cast<size_t>(q - out.data()));
}

void TextNormalizer::append(std::string_view text, std::string& out) const {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* const end = p + text.size();
  Stream stream{table_, options_, out};
  while (p < end) {
    if (*p < 0x80) {
      const size_t run = ascii_run(p, end);
      if (stream.waiting.empty()) {
        append_ascii(p, run, out);
      } else {
        // Dropped characters do not end a run of combining marks; the first kept one does.
        std::string kept;
        append_ascii(p, run, kept);
        if (!kept.empty()) stream.flush();
        out += kept;
      }
      p += run;
      continue;
    }
    const char32_t code = decode_utf8(p, end);
    const CharTraits& traits = table_[code];
    if (options_.clean_text && (traits.flags & kCharDropped) != 0) continue;
    if (options_.clean_text && (traits.flags & kCharSpace) != 0) {
      stream.flush();
      out.push_back(' ');
    } else if (options_.handle_chinese_chars && (traits.flags & kCharChinese) != 0) {
      stream.flush();
      out.push_back(' ');
      stream.add(code, traits);
      stream.flush();
      out.push_back(' ');
    } else {
      stream.add(code, traits);
    }
  }
  stream.flush();
}

}  // namespace enhanced_gptcache::embed

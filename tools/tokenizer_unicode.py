#!/usr/bin/env python3
"""Writes src/embed/unicode_text_exceptions.h: where the Hugging Face `tokenizers` library sees a
character differently from utf8proc.

The library's Rust crates carry Unicode tables of several ages (categories of about Unicode 8,
normalisation of about Unicode 9, lower case of the compiler's), so each property of each code point
is asked of the library itself and compared with `tokenizer_dump traits raw`.

    tools/tokenizer_unicode.py --dump BUILD/tokenizer_dump [--check]

--check compares `tokenizer_dump traits` (exceptions applied) instead and exits 1 on any difference.
Needs: pip install tokenizers numpy.
"""

import argparse
import os
import subprocess
import sys

import numpy
import tokenizers
from tokenizers import normalizers, pre_tokenizers

DROPPED, SPACE, PUNCTUATION, MARK, CHINESE, HANGUL = 1, 2, 4, 8, 16, 32
OUTPUT = os.path.join(os.path.dirname(__file__), "..", "src", "embed", "unicode_text_exceptions.h")


def bert(**on):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **on})


def reference_traits(classes):
    """Per code point (flags, combining class, lower case, decomposition) as the library shows them.

    `classes` maps each combining class known to utf8proc to a character of that class; a character's
    own class is found by seeing which of them NFD moves it past.
    """
    clean, chinese = bert(clean_text=True), bert(handle_chinese_chars=True)
    strip, lower = bert(strip_accents=True), bert(lowercase=True)
    nfd, split = normalizers.NFD(), pre_tokenizers.BertPreTokenizer()
    traits = {}
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        char = chr(code)
        flags = 0
        if clean.normalize_str("a" + char + "b") == "ab":
            flags |= DROPPED
        if chinese.normalize_str(char) != char:
            flags |= CHINESE
        words = split.pre_tokenize_str("a" + char + "b")
        flags |= {1: 0, 2: SPACE, 3: PUNCTUATION}[len(words)]
        parts = nfd.normalize_str(char)
        if parts == char and strip.normalize_str("a" + char) == "a":
            flags |= MARK
        combining = 0
        if parts == char and not is_starter(nfd, char):
            combining = combining_class(nfd, char, classes)
        traits[code] = (flags, combining, lower.normalize_str(char), "" if parts == char else parts)
    return traits


def is_starter(nfd, char):
    """True when NFD moves `char` past neither a mark of a high class (240) nor one of class 1."""
    return (
        nfd.normalize_str("\u0345" + char) == "\u0345" + char
        and nfd.normalize_str(char + "\u0334") == char + "\u0334"
    )


def combining_class(nfd, char, classes):
    for number, other in classes.items():
        if (
            nfd.normalize_str(other + char) == other + char
            and nfd.normalize_str(char + other) == char + other
        ):
            return number
    sys.exit("U+%04X has a combining class utf8proc does not know" % ord(char))


def our_traits(dump, *mode):
    rows = numpy.frombuffer(
        subprocess.run([dump, "traits", *mode], check=True, stdout=subprocess.PIPE).stdout, dtype="<u4"
    ).reshape(-1, 8)
    # One representative of each class that the library knows too; Unicode never changes a class.
    classes, nfd = {}, normalizers.NFD()
    for code in numpy.flatnonzero(rows[:, 1]):
        if rows[code, 3] == 0 and not is_starter(nfd, chr(code)):
            classes.setdefault(int(rows[code, 1]), chr(code))
    return rows, classes


def hangul(code):
    syllable = code - 0xAC00
    parts = chr(0x1100 + syllable // 588) + chr(0x1161 + syllable % 588 // 28)
    return parts + (chr(0x11A7 + syllable % 28) if syllable % 28 else "")


def differences(rows, reference):
    """name -> {code point: wanted value} for every property that differs."""
    found = {
        name: {}
        for name in (
            "dropped",
            "space",
            "punctuation",
            "mark",
            "chinese",
            "combining",
            "lower",
            "decomposition",
        )
    }
    bits = (
        ("dropped", DROPPED),
        ("space", SPACE),
        ("punctuation", PUNCTUATION),
        ("mark", MARK),
        ("chinese", CHINESE),
    )
    for code, (flags, combining, lower, parts) in reference.items():
        row = rows[code]
        for name, bit in bits:
            if name == "mark" and parts:
                continue  # decomposes before marks are looked at
            if (int(row[0]) ^ flags) & bit:
                found[name][code] = bool(flags & bit)
        if not parts and int(row[1]) != combining:
            found["combining"][code] = combining
        if chr(int(row[2])) != lower and code != 0x130:  # U+0130 has its own rule in unicode_text.cpp
            found["lower"][code] = ord(lower)
        ours = hangul(code) if int(row[0]) & HANGUL else "".join(chr(part) for part in row[4 : 4 + row[3]])
        if ours != parts:
            found["decomposition"][code] = parts
    return found


def ranges(codes):
    out = []
    for code in sorted(codes):
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def array(name, element, rows):
    lines = ["inline constexpr std::array<%s, %d> %s{%s" % (element, len(rows), name, "{" if rows else "")]
    line = "   "
    for row in rows:
        if len(line) + len(row) > 104:
            lines.append(line)
            line = "   "
        line += " " + row + ","
    if rows:
        lines.append(line)
    return "\n".join(lines) + ("}};\n" if rows else "};\n")


def range_array(name, codes):
    return array(name, "CodeRange", ["{0x%X, 0x%X}" % tuple(pair) for pair in ranges(codes)])


def lower_array(lower):
    runs = []
    for code in sorted(lower):
        delta = lower[code] - code
        if runs and runs[-1][1] == code - 1 and runs[-1][2] == delta:
            runs[-1][1] = code
        else:
            runs.append([code, code, delta])
    return array("kLower", "LowerRange", ["{0x%X, 0x%X, %d}" % tuple(run) for run in runs])


def render(found, utf8proc_version):
    unknown = [name for name in ("space", "chinese") if found[name]]
    unknown += ["U+%04X combining %d" % item for item in found["combining"].items() if item[1]]
    unknown += ["U+%04X decomposes" % code for code, parts in found["decomposition"].items() if parts]
    if unknown:
        sys.exit("differences of a kind the tables have no place for: %s" % unknown)
    text = """#pragma once
// Generated by tools/tokenizer_unicode.py; not edited by hand.
// Where Hugging Face tokenizers %s sees a character differently from utf8proc %s:
// code points the reference drops or keeps when cleaning, calls punctuation or not, calls a
// nonspacing mark or not, treats as starters (combining class 0), does not decompose, and lower-cases.

#include <array>
#include <cstdint>

namespace enhanced_gptcache::embed {

/// First and last code point; the arrays are ascending.
struct CodeRange {
  char32_t first;
  char32_t last;
};

/// Lower case of each code point in the range is the code point plus delta.
struct LowerRange {
  char32_t first;
  char32_t last;
  int32_t delta;
};

// clang-format off
""" % (tokenizers.__version__, utf8proc_version)
    for name, key in (("Dropped", "dropped"), ("Punctuation", "punctuation"), ("Mark", "mark")):
        text += range_array("k%sYes" % name, [c for c, on in found[key].items() if on])
        text += range_array("k%sNo" % name, [c for c, on in found[key].items() if not on])
    text += range_array("kStarterYes", found["combining"])
    text += range_array("kDecompositionNo", found["decomposition"])
    text += lower_array(found["lower"])
    return text + "// clang-format on\n\n}  // namespace enhanced_gptcache::embed\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dump", required=True, help="the built tokenizer_dump program")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    rows, classes = our_traits(arguments.dump, *([] if arguments.check else ["raw"]))
    found = differences(rows, reference_traits(classes))
    counts = ", ".join("%s %d" % (name, len(codes)) for name, codes in found.items())
    print("differences: " + counts)
    if arguments.check:
        sys.exit(1 if any(found.values()) else 0)
    version = subprocess.run([arguments.dump, "version"], check=True, stdout=subprocess.PIPE, text=True)
    text = render(found, version.stdout.strip())
    with open(OUTPUT, "w", encoding="utf-8") as output:
        output.write(text)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes the operator console's files as a C++ source: plain and gzip bytes, type and hash of each.

usage: embed_files.py OUTPUT.cpp FILE...

The bytes become string literals with octal escapes, which a compiler reads far faster than lists of
numbers. gzip holds no time stamp, so the same files give the same source.
"""

import gzip
import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
BYTES_PER_LINE = 100
PRINTABLE = {byte: chr(byte) for byte in range(0x20, 0x7F) if chr(byte) not in '"\\?'}


def literal(data: bytes) -> str:
    lines = (data[at:at + BYTES_PER_LINE] for at in range(0, len(data), BYTES_PER_LINE))
    return "\n".join('"' + "".join(PRINTABLE.get(b, f"\\{b:03o}") for b in line) + '"' for line in lines)


def constant(name: str, data: bytes) -> str:
    return f"constexpr char {name}[] =\n{literal(data) or chr(34) * 2};\n"


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    output, constants, rows = pathlib.Path(sys.argv[1]), [], []
    for number, path in enumerate(sorted(pathlib.Path(name) for name in sys.argv[2:])):
        data = path.read_bytes()
        packed = gzip.compress(data, 9, mtime=0)
        constants += [constant(f"kPlain{number}", data), constant(f"kGzip{number}", packed)]
        digest = hashlib.sha256(data).hexdigest()[:32]
        rows.append(f'    {{"{path.name}", "{TYPES[path.suffix]}", {{kPlain{number}, {len(data)}}}, '
                    f'{{kGzip{number}, {len(packed)}}}, "{digest}"}},')
    text = "\n".join(
        ["// Written by tools/embed_files.py.", '#include "admin/console_files.h"', "",
         "namespace enhanced_gptcache::admin {", "namespace {", "", *constants,
         "constexpr ConsoleFile kFiles[] = {", *rows, "};", "", "}  // namespace", "",
         "std::span<const ConsoleFile> console_files() { return kFiles; }", "",
         "}  // namespace enhanced_gptcache::admin", ""])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

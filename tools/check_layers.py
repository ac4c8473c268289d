#!/usr/bin/env python3
"""Checks every #include under include/ and src/ against the layer table of CMakeLists.txt.

The libraries share one include root, so a link that is not declared still compiles when the symbol
happens to be linked in by another library; only reading the #include lines keeps the layers.
  - A folder may include its own headers and those of the folders its egptc_library(... DEPS) names.
  - A public header (include/enhanced_gptcache) counts as the folder that implements it.
  - A third-party header may be included where its target is named. Headers that the interfaces of a
    lower folder are made of (fmt, Boost) may also be used by the folders that depend on it.
  - Test files may use whatever their folder links, directly or not, and the test tools.

usage: check_layers.py [ROOT]      exit 0: the layers hold; 1: they do not, one line per breach
"""

import pathlib
import re
import sys

# Which folder implements each public header.
PUBLIC_HEADERS = {
    "result.h": "base",
    "options.h": "base",
    "embedder.h": "embed",
    "context_filter.h": "match",
    "pca_wrapper.h": "match",
    "tau_manager.h": "match",
    "enhanced_cache.h": "cache",
    "configuration_manager.h": "config",
}
# Single edges that the table cannot say, each with its reason.
EXCEPTIONS = {
    ("match", "enhanced_gptcache/enhanced_cache.h"): "it defines Turn, the type of a conversation",
}
# Header prefix -> the CMake target that brings it.
THIRD_PARTY = {
    "archive.h": "PkgConfig::ARCHIVE",
    "archive_entry.h": "PkgConfig::ARCHIVE",
    "boost/": "Boost::headers",
    "brotli/": "PkgConfig::BROTLI",
    "CLI/": "CLI11::CLI11",
    "Eigen/": "Eigen3::Eigen",
    "fmt/": "fmt::fmt",
    "nlohmann/": "nlohmann_json::nlohmann_json",
    "openssl/": "OpenSSL::Crypto",
    "re2/": "PkgConfig::RE2",
    "rocksdb/": "PkgConfig::ROCKSDB",
    "simdjson.h": "simdjson::simdjson",
    "sodium.h": "PkgConfig::SODIUM",
    "spdlog/": "spdlog::spdlog",
    "utf8proc.h": "PkgConfig::UTF8PROC",
    "yaml-cpp/": "yaml-cpp",
    "zlib.h": "ZLIB::ZLIB",
    "zstd.h": "PkgConfig::ZSTD",
}
VISIBLE_THROUGH_INTERFACES = {"boost/", "fmt/"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


class Table:
    """The layers as CMakeLists.txt states them."""

    def __init__(self, root: pathlib.Path):
        text = re.sub(r"#[^\n]*", "", (root / "CMakeLists.txt").read_text())
        self.direct: dict[str, list[str]] = {}
        self.targets: dict[str, list[str]] = {}
        for body in re.findall(r"egptc_library\(([^)]*)\)", text):
            words = body.split()
            self._add(words[0], [word for word in words[1:] if word != "DEPS"])
        cli = root / "src/cli/CMakeLists.txt"
        if cli.exists():
            links = re.findall(r"target_link_libraries\(\S+\s+([^)]*)\)", cli.read_text())
            self._add("cli", [word for words in links for word in words.split() if word != "PRIVATE"])
            # The command line stands on top: what the app links, it may use.
            self.direct["cli"] = sorted(self.closure("cli") - {"cli"})
        self.breaches = self._order_breaches()

    def _add(self, name: str, words: list[str]) -> None:
        self.direct[name] = [word.removeprefix("egptc_") for word in words if word.startswith("egptc_")]
        self.targets[name] = [word for word in words if not word.startswith("egptc_")]

    def _order_breaches(self) -> list[str]:
        """The table is written bottom up, so an edge to a later line would allow a cycle."""
        seen: set[str] = set()
        breaches = []
        for name, direct in self.direct.items():
            breaches += [f"CMakeLists.txt: {name} depends on {d}, which is not above it in the table"
                         for d in direct if d not in seen]
            seen.add(name)
        return breaches

    def closure(self, name: str) -> set[str]:
        found, waiting = set(), [name]
        while waiting:
            folder = waiting.pop()
            if folder not in found:
                found.add(folder)
                waiting += self.direct.get(folder, [])
        return found

    def third_party(self, name: str) -> set[str]:
        """Prefixes of third-party headers that `name` may include."""
        own = {p for p, target in THIRD_PARTY.items() if target in self.targets.get(name, [])}
        below = {t for folder in self.closure(name) for t in self.targets.get(folder, [])}
        return own | {p for p in VISIBLE_THROUGH_INTERFACES if THIRD_PARTY[p] in below}


def owner_of(path: pathlib.Path, root: pathlib.Path) -> str | None:
    """The layer a file belongs to."""
    parts = path.relative_to(root).parts
    if parts[0] == "include":
        return PUBLIC_HEADERS.get(parts[-1])
    return parts[1] if len(parts) > 2 else None


def check_include(table: Table, owner: str, is_test: bool, header: str, quoted: bool) -> str | None:
    """Why `owner` may not include `header`; None when it may."""
    allowed = table.closure(owner) if is_test else {owner, *table.direct.get(owner, [])}
    folder, _, rest = header.partition("/")
    if folder == "enhanced_gptcache":
        if rest not in PUBLIC_HEADERS:
            return f"{header} is not in PUBLIC_HEADERS of tools/check_layers.py: which folder implements it?"
        folder = PUBLIC_HEADERS[rest]
        if folder in allowed or (owner, header) in EXCEPTIONS:
            return None
        return f"{owner} may not include {header} (implemented by {folder})"
    if quoted and folder in table.direct:
        return None if folder in allowed else f"{owner} may not include {header}: no edge {owner} -> {folder}"
    for prefix, target in THIRD_PARTY.items():
        if header.startswith(prefix) and prefix not in table.third_party(owner) and not is_test:
            return f"{owner} may not include {header}: {target} is not among its DEPS"
    return None


def check_file(table: Table, path: pathlib.Path, root: pathlib.Path) -> list[str]:
    owner = owner_of(path, root)
    name = path.relative_to(root)
    if owner is None or owner not in table.direct:
        return [f"{name}: belongs to no layer of CMakeLists.txt"]
    is_test = path.name.endswith("_test.cpp") or "testing" in path.stem
    breaches = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        why = check_include(table, owner, is_test, found[2], found[1] == '"')
        if why:
            breaches.append(f"{name}:{number}: {why}")
    return breaches


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    table = Table(root)
    files = [p for folder in ("include", "src") for p in sorted((root / folder).rglob("*"))
             if p.suffix in (".h", ".hpp", ".cpp", ".inc")]
    breaches = list(table.breaches)
    for path in files:
        breaches += check_file(table, path, root)
    for breach in breaches:
        print(breach)
    edges = sum(len(direct) for name, direct in table.direct.items() if name != "cli")
    counts = f"{len(files)} files, {len(table.direct)} folders, {edges} edges"
    print(f"check_layers: {counts}, {len(breaches)} breaches")
    return 1 if breaches or not files else 0


if __name__ == "__main__":
    sys.exit(main())

"""The house checks must themselves find what they are there to find: small trees with one fault each."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLE = """
egptc_library(base   DEPS fmt::fmt spdlog::spdlog)
egptc_library(index  DEPS egptc_base)
egptc_library(store  DEPS egptc_base)
egptc_library(cache  DEPS egptc_base egptc_index)
"""


class Tree:
    """A throw-away repository with the given files."""

    def __init__(self, files: dict[str, str]):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for name, text in {"CMakeLists.txt": TABLE, **files}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        subprocess.run(["git", "init", "-q", self.root], check=True)

    def run(self, tool: str) -> tuple[int, str]:
        command = [sys.executable, ROOT / "tools" / tool, self.root]
        done = subprocess.run(command, capture_output=True, text=True)
        self.folder.cleanup()
        return done.returncode, done.stdout + done.stderr


class Layers(unittest.TestCase):
    def check(self, name: str, line: str, expected: str | None, table: str = TABLE) -> None:
        status, output = Tree({"CMakeLists.txt": table, name: line + "\n"}).run("check_layers.py")
        if expected is None:
            self.assertEqual(status, 0, output)
        else:
            self.assertEqual(status, 1, output)
            self.assertIn(expected, output)

    def test_edges(self):
        self.check("src/cache/a.cpp", '#include "index/vector_index.h"', None)
        self.check("src/cache/a.cpp", '#include "store/codec.h"', "no edge cache -> store")
        self.check("src/index/a.cpp", '  # include "cache/a.h"', "no edge index -> cache")
        self.check("src/index/a.cpp", '#include <enhanced_gptcache/enhanced_cache.h>', "implemented by cache")
        self.check("src/index/a.cpp", '#include "enhanced_gptcache/result.h"', None)
        self.check("src/index/a.cpp", '#include "enhanced_gptcache/new.h"', "PUBLIC_HEADERS")
        self.check("src/new/a.cpp", "", "belongs to no layer")

    def test_third_party(self):
        self.check("src/base/a.cpp", "#include <spdlog/spdlog.h>", None)
        self.check("src/cache/a.cpp", "#include <spdlog/spdlog.h>", "spdlog::spdlog is not among")
        self.check("src/cache/a.cpp", "#include <fmt/format.h>", None)
        self.check("src/cache/a_test.cpp", "#include <nlohmann/json.hpp>", None)

    def test_table_order(self):
        cyclic = "egptc_library(a DEPS egptc_b)\negptc_library(b DEPS egptc_a)\n"
        self.check("src/a/a.cpp", "", "a depends on b", cyclic)


class Tidy(unittest.TestCase):
    def check(self, name: str, text: str, expected: str | None, readme: str = "What it does.\n") -> None:
        files = {"src/base/README.md": readme, "src/base/a.h": "#pragma once\n", name: text}
        status, output = Tree(files).run("tidy.py")
        if expected is None:
            self.assertEqual(status, 0, output)
        else:
            self.assertEqual(status, 1, output)
            self.assertIn(expected, output)

    def test_lengths(self):
        body = "".join(f"  count += {n};\n" for n in range(67))
        self.check("src/base/a.cpp", "int f(int count) {\n" + body + "  return count;\n}\n", None)
        body += "  count += 1;\n"
        self.check("src/base/a.cpp", "int f(int count) {\n" + body + "  return count;\n}\n", "function of 71")
        inside = "namespace a {\nclass B {\n void f() const noexcept {\n" + "  g();\n" * 80 + " }\n};\n}\n"
        self.check("src/base/a.cpp", inside, "function of 82")
        self.check("src/base/a.cpp", "int a;\n" * 401, "401 lines")
        self.check("src/base/a.cpp", "int a;" + " " * 100 + "// b\n", None)
        self.check("src/base/a.cpp", "int a;" + " " * 101 + "// b\n", "111 columns")
        self.check("tools/a.py", "def f():\n" + "    pass\n" * 70, "function of 71")

    def test_braces_in_text_do_not_count(self):
        text = 'const char* a = "{{{";\n// {{{\nint f() {\n  return \'{\';\n}\n' + "int a;\n" * 80
        self.check("src/base/a.cpp", text, None)

    def test_marks_and_paths(self):
        self.check("src/base/a.cpp", "// TO" + "DO later\n", "without an owner")
        self.check("src/base/a.cpp", "// TO" + "DO(mila): see the issue\n", None)
        self.check("docs/a.md", "see /ho" + "me/mila/notes\n", "path of one machine")
        self.check("docs/a.md", "a socket in /run/x, a page at https://example.org/home/x\n", None)
        self.check("src/base/a.cpp", "int a; \n", "trailing white space")
        self.check("src/base/README.md", "line\n" * 31, "more than 30 lines")


if __name__ == "__main__":
    unittest.main()

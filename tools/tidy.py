#!/usr/bin/env python3
"""House rules that no compiler checks, on every file git tracks (and new ones it does not ignore).

  - C++ and Python functions of at most 70 lines; source files of at most 400;
    lines of at most 110 columns; no trailing white space, no tab in C++ and Python.
  - No marker of unfinished work without an owner: "TODO(name): ...".
  - A README.md of at most 30 lines in every folder of src/.
  - No path of somebody's machine (home, root, scratch folders) in anything that is committed.

usage: tidy.py [--sizes] [ROOT]     --sizes prints the distribution of file and function lengths
"""

import argparse
import ast
import pathlib
import re
import subprocess
import sys

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
COLUMNS_MAX = 110
README_LINES_MAX = 30
CODE = {".cpp", ".h", ".c", ".py", ".mjs", ".js", ".jsx", ".sh"}
# Tables that tools write: rows, not code.
GENERATED = re.compile(r"(^|/)(generated|data|golden|corpus|fixtures)/|\.inc$|package-lock\.json$")
MARKER = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!\([a-z][\w.-]*\):)")
MACHINE_PATH = re.compile(
    r"(?<![\w./~$}-])/(?:root|home|work|mnt|srv|scratch|Users|tmp/(?!\$)[a-z])(?=[/\w])[\w./-]*")
MACHINE_PATH_ALLOWED = re.compile(r"^/(?:workspace|home/gptcache|srv/www|rootfs|workers?\b|tmp/x\b)")


def tracked_files(root: pathlib.Path) -> list[pathlib.Path]:
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    return sorted(root / name for name in set(names) if name and (root / name).is_file())


COMMENT = r"//[^\n]*|/\*.*?\*/"
STRING = r'R"(\w*)\((?:.*?)\)\1"|"(?:\\.|[^"\\\n])*"'
CHARACTER = r"(?<!\w)'(?:\\.|[^'\\\n])+'"
NOT_CODE = re.compile(f"{COMMENT}|{STRING}|{CHARACTER}", re.S)


def blank_out(text: str) -> str:
    """C++ source with comments, strings and character literals replaced by spaces, lines kept."""
    return NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


# A head that ends in ")" plus qualifiers, an initialiser list or a trailing return type opens a function.
FUNCTION_HEAD = re.compile(
    r"\)(?:\s*(?:const|noexcept|override|final|mutable|&&?|->[^;(){}]*))*\s*(?::(?!:).*)?$", re.S)
NOT_FUNCTION = re.compile(
    r"^\s*(?:if|for|while|switch|catch|else|do|namespace|struct|class|union|enum|extern)\b")


def cpp_functions(text: str) -> list[tuple[int, int]]:
    """(first line, length) of each outermost function body. By brace matching, so roughly right."""
    clean = re.sub(r"^[ \t]*#.*$", "", blank_out(text), flags=re.M)
    functions, stack, head_start, line = [], [], 0, 1
    depth_of_function = None
    for position, character in enumerate(clean):
        if character == "\n":
            line += 1
        elif character in ";}" or character == "{":
            head = clean[head_start:position]
            if character == "{":
                if depth_of_function is None and FUNCTION_HEAD.search(head) and not NOT_FUNCTION.match(head):
                    first = line - head.lstrip().count("\n")
                    depth_of_function = len(stack)
                    stack.append(first)
                else:
                    stack.append(None)
            elif character == "}" and stack:
                first = stack.pop()
                if depth_of_function == len(stack):
                    functions.append((first, line - first + 1))
                    depth_of_function = None
            head_start = position + 1
    return functions


def python_functions(text: str) -> list[tuple[int, int]]:
    tree = ast.parse(text)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(n.lineno, n.end_lineno - n.lineno + 1) for n in ast.walk(tree) if isinstance(n, kinds)]


def functions_of(suffix: str, text: str) -> list[tuple[int, int]]:
    if suffix == ".py":
        return python_functions(text)
    return cpp_functions(text) if suffix in (".cpp", ".h", ".c") else []


def check_text(name: str, text: str) -> list[str]:
    """Rules for every text file."""
    breaches = []
    for number, line in enumerate(text.splitlines(), 1):
        for found in MACHINE_PATH.finditer(line):
            if not MACHINE_PATH_ALLOWED.match(found[0]):
                breaches.append(f"{name}:{number}: path of one machine: {found[0]}")
    return breaches


def check_code(name: str, suffix: str, text: str, sizes: dict) -> list[str]:
    """Rules for source files."""
    breaches = []
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        breaches.append(f"{name}: {len(lines)} lines, at most {FILE_LINES_MAX}")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            breaches.append(f"{name}:{number}: {len(line)} columns, at most {COLUMNS_MAX}")
        if line != line.rstrip():
            breaches.append(f"{name}:{number}: trailing white space")
        if "\t" in line and suffix != ".sh":
            breaches.append(f"{name}:{number}: tab")
        if MARKER.search(line) and "MARKER" not in line and not name.endswith("tools/tidy.py"):
            breaches.append(f"{name}:{number}: unfinished work without an owner")
    sizes["files"].append(len(lines))
    for first, length in functions_of(suffix, text):
        sizes["functions"].append(length)
        if length > FUNCTION_LINES_MAX:
            breaches.append(f"{name}:{first}: function of {length} lines, at most {FUNCTION_LINES_MAX}")
    return breaches


def check_readmes(root: pathlib.Path) -> list[str]:
    breaches = []
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir() and any(p.glob("*.[ch]*"))):
        readme = folder / "README.md"
        if not readme.exists():
            breaches.append(f"src/{folder.name}: no README.md")
        elif len(readme.read_text().splitlines()) > README_LINES_MAX:
            breaches.append(f"src/{folder.name}/README.md: more than {README_LINES_MAX} lines")
    return breaches


def print_sizes(sizes: dict) -> None:
    for kind, values in sizes.items():
        ordered = sorted(values) or [0]
        at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]
        print(f"tidy: {len(values)} {kind}, lines: median {at(.5)}, p90 {at(.9)}, longest {ordered[-1]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", action="store_true")
    here = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=here)
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    breaches, sizes = check_readmes(root), {"files": [], "functions": []}
    for path in tracked_files(root):
        name = str(path.relative_to(root))
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a binary fixture
        breaches += check_text(name, text)
        if path.suffix in CODE and not GENERATED.search(name):
            breaches += check_code(name, path.suffix, text, sizes)
    for breach in breaches:
        print(breach)
    if arguments.sizes:
        print_sizes(sizes)
    print(f"tidy: {len(sizes['files'])} source files, {len(breaches)} breaches")
    return 1 if breaches or not sizes["files"] else 0


if __name__ == "__main__":
    sys.exit(main())

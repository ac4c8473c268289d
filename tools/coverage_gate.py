#!/usr/bin/env python3
"""Runs the unit tests of some folders in a coverage build and holds their line coverage to a minimum.

usage: coverage_gate.py BUILD_DIR --minimum PERCENT FOLDER...

Every test program of the folders runs first, then gcovr counts the lines of src/FOLDER (tests
excluded). Each folder is gated alone, so a well tested one cannot hide a badly tested one.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_tests(build: pathlib.Path, folders: list[str]) -> None:
    """Fresh counters first: results of an earlier run must not count."""
    for stale in build.rglob("*.gcda"):
        stale.unlink()
    for folder in folders:
        program = build / f"egptc_{folder}_test"
        if not program.exists():
            sys.exit(f"coverage_gate: {program} is not built")
        done = subprocess.run([program, "--gtest_brief=1"], cwd=ROOT, timeout=600)
        if done.returncode != 0:
            sys.exit(f"coverage_gate: {program.name} failed with status {done.returncode}")


def measure(build: pathlib.Path, folders: list[str]) -> dict:
    command = ["gcovr", "--root", str(ROOT), "--object-directory", str(build), "--json"]
    command += ["--exclude", ".*_test\\.cpp"]
    for folder in folders:
        command += ["--filter", f"{ROOT}/src/{folder}/"]
    command.append(str(build))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"coverage_gate: gcovr failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def lines_of(file: dict) -> tuple[int, int]:
    """Covered and countable lines; a line instantiated several times counts once."""
    hits: dict[int, int] = {}
    for line in file["lines"]:
        if not line.get("gcovr/noncode"):
            number = line["line_number"]
            hits[number] = max(hits.get(number, 0), line["count"])
    return sum(1 for count in hits.values() if count > 0), len(hits)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--minimum", type=float, required=True)
    parser.add_argument("folders", nargs="+")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    run_tests(build, arguments.folders)
    report = measure(build, arguments.folders)
    failed = False
    for folder in arguments.folders:
        prefix = f"src/{folder}/"
        rows = [(f["file"], *lines_of(f)) for f in report["files"] if f["file"].startswith(prefix)]
        covered, total = sum(r[1] for r in rows), sum(r[2] for r in rows)
        if total == 0:
            print(f"src/{folder}: no line was measured")
            failed = True
            continue
        percent = 100.0 * covered / total
        verdict = "ok" if percent >= arguments.minimum else f"below {arguments.minimum:g} %"
        failed |= percent < arguments.minimum
        print(f"src/{folder}: {percent:.1f} % of {total} lines ({verdict})")
        for name, file_covered, file_total in sorted(rows, key=lambda r: r[1] / max(1, r[2])):
            if file_total and 100.0 * file_covered / file_total < arguments.minimum:
                print(f"    {name}: {100.0 * file_covered / file_total:.1f} % of {file_total}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

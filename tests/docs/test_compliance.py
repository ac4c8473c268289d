"""docs/compliance.md: every row names evidence, and every piece of evidence is there."""

import re

import pytest

import harness

PAGE = harness.ROOT / "docs/compliance.md"
TABLES = ("GDPR", "CCPA", "SOC 2 (trust services criteria)", "ISO/IEC 27001:2022, annex A")
TEST = re.compile(r"\b((?:tests|src)/[\w/]+\.(?:py|cpp))(?:::(\w+))?")
PAGES = re.compile(r"\b(docs/[\w-]+\.md)\b")
COMMAND = re.compile(r"`enhanced-gptcache ([a-z-]+)[^`]*`")
SETTING = re.compile(r"`([a-z]+\.[a-z0-9_]+)`")


def rows() -> list[list[str]]:
    found = []
    for table in TABLES:
        text = PAGE.read_text().partition(f"## {table}\n")[2].partition("\n## ")[0]
        lines = [line for line in text.splitlines() if line.startswith("|")][2:]
        assert len(lines) > 3, f"{table} has no rows"
        found += [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return found


def settings() -> set[str]:
    text = (harness.ROOT / "src/config/settings.def").read_text()
    return {f"{section}.{key}" for section, key in re.findall(r"^EGPTC_KEY\((\w+), (\w+),", text, re.M)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_row_has_evidence_that_exists(row):
    assert len(row) == 4, row
    evidence = row[2]
    tests, pages = TEST.findall(evidence), PAGES.findall(evidence)
    named = SETTING.findall(evidence)
    assert tests or pages or named or COMMAND.search(evidence), f"{row[0]} has no evidence"
    for path, name in tests:
        text = (harness.ROOT / path).read_text()
        assert not name or f"\ndef {name}(" in text, f"{row[0]}: {path} has no {name}"
    for path in pages:
        assert (harness.ROOT / path).exists(), path
    unknown = set(named) - settings()
    assert not unknown, f"{row[0]} names settings that do not exist: {unknown}"


def test_settings_and_commands_of_the_whole_page_exist():
    text = PAGE.read_text()
    assert set(SETTING.findall(text)) - settings() == set()
    known = harness.run_binary("--help").stdout
    for command in set(COMMAND.findall(text)):
        assert re.search(rf"^ +{command}\b", known, re.M), command


def test_the_check_finds_a_dead_link():
    """A checker that cannot fail shows nothing."""
    dead = ["x", "does", "tests/wire/test_erasure.py::test_that_is_not_there", ""]
    with pytest.raises(AssertionError):
        test_every_row_has_evidence_that_exists(dead)
    with pytest.raises(AssertionError):
        test_every_row_has_evidence_that_exists(["x", "does", "`storage.unheard_of`", ""])
    with pytest.raises(AssertionError):
        test_every_row_has_evidence_that_exists(["x", "does", "nothing at all", ""])

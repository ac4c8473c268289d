"""docs/deployment-guide.md and its neighbours: a row for every code block of the production guide, no path or
command that does not exist, and the blocks that say so are run against a real server."""

import json
import os
import pathlib
import re
import subprocess

import pytest

import harness
import transcript
import transcript_plan

ROOT = harness.ROOT
GUIDE = ROOT / "docs/deployment-guide.md"
PAGES = [GUIDE, ROOT / "docs/troubleshooting.md", ROOT / "docs/maintenance.md",
         ROOT / "deploy/alerting/README.md"]
# Named where the text says that a release may not have them yet.
AWAITED: set[str] = set()
FOLDERS = "bench|cmake|deploy|docs|include|kubernetes|scripts|src|tests|tools"
RUN_BLOCK = re.compile(r"<!-- run -->\n```sh\n(.*?)```", re.S)


def rows() -> list[list[str]]:
    table = GUIDE.read_text().partition("## Every block of the guide")[2]
    cells = [line.strip("|").split("|") for line in table.splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in row] for row in cells]


def test_every_block_of_the_guide_has_a_row():
    blocks = json.loads((ROOT / "tests/docs/guide_blocks.json").read_text())
    assert len(blocks) == 24
    assert [(str(block["block"]), block["heading"]) for block in blocks] == [tuple(row[:2]) for row in rows()]
    for row in rows():
        assert len(row[2]) > 15, f"block {row[0]} has no answer"


def named_paths(text: str) -> set[str]:
    """Files and folders of the repository that a page names, as links or in code."""
    found = set(re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./@+-]*\w)", text))
    found |= set(re.findall(r"(?<![\w/.-])((?:Dockerfile|docker-compose|config)\.[\w.]*\w)", text))
    return {path for path in found if not path.endswith((".backup", ".rolled_back", ".new"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_is_named_exists(page):
    text = re.sub(r"/(?:opt|usr|etc|var|app)/[\w./-]*", " ", page.read_text())
    text = re.sub(r"build/release/[\w./*-]*", " ", text)
    missing = {path for path in named_paths(text) if not (ROOT / path).exists()
               and not list(ROOT.glob(path.rstrip("*.") + "*"))} - AWAITED
    assert not missing, f"{page.name} names {sorted(missing)}"
    for link in re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]*)?\)", text):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_subcommand_that_is_named_exists(page):
    text = page.read_text()
    words = set(re.findall(r"(?<![/\w-])enhanced-gptcache ([a-z][a-z-]+)\b(?!\.)", "\n".join(
        re.findall(r"`([^`\n]+)`", text) + re.findall(r"```sh\n(.*?)```", text, re.S))))
    for word in words - {"query", "for"}:
        assert harness.run_binary(word, "--help").returncode == 0, f"{page.name}: enhanced-gptcache {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page):
    table = {f"{row['section']}.{row['key']}" if "section" in row else row["name"]
             for row in json.loads(harness.run_binary("validate-config", "--table").stdout)}
    sections = {name.partition(".")[0] for name in table}
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)(?:: [^`]*)?`", page.read_text()))
    later = {"storage.encryption"}
    unknown = {name for name in named if name.partition(".")[0] in sections} - table - later
    assert not unknown, f"{page.name} names settings that are none: {sorted(unknown)}"


@pytest.fixture(scope="module")
def operator(standin_process, tmp_path_factory):
    """A shell in the repository, with the binary on PATH and a server that this shell's settings describe."""
    folder = tmp_path_factory.mktemp("operator")
    server = harness.Server(folder / "server", standin_process.base_url).start()
    (folder / "bin").mkdir()
    (folder / "bin/enhanced-gptcache").symlink_to(pathlib.Path(harness.BINARY).resolve())
    server.shell = {**server.environment, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    yield server
    assert server.stop() == 0


def blocks_to_run() -> list[tuple[str, str]]:
    return [(f"{page.name}-{number}", text) for page in PAGES
            for number, text in enumerate(RUN_BLOCK.findall(page.read_text()), 1)]


@pytest.mark.parametrize("name, text", blocks_to_run(), ids=lambda value: value if len(value) < 40 else "sh")
def test_the_commands_run(operator, name, text):
    script = text.replace("localhost:8080", f"localhost:{operator.port}")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=operator.shell, text=True,
                          capture_output=True, timeout=120 * harness.SLOWNESS, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr}"
    assert done.stdout.strip()


def test_some_blocks_are_run():
    assert len(blocks_to_run()) >= 6


def guide_lines() -> list[str]:
    return [transcript.code(line) for _, lines in transcript.blocks(GUIDE.read_text()) for line in lines]


def test_the_plan_of_the_transcript_names_lines_of_the_guide():
    lines = guide_lines()
    assert len(lines) > 50
    planned = set(transcript_plan.INSTEAD) | set(transcript_plan.BEFORE)
    assert not planned - set(lines), sorted(planned - set(lines))


def test_the_transcript_is_of_this_guide_and_ended_well():
    """Whoever changes a line runs tests/docs/transcript.py again."""
    text = (ROOT / "docs/deployment-transcript.md").read_text()
    told = set(re.findall(r"^(?:\$|# the guide:) (.*)$", text, re.M))
    missing = [line for line in guide_lines() if line not in told]
    assert not missing, missing
    assert "All of them ended as they should." in text

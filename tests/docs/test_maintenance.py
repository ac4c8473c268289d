"""docs/maintenance.md: every command of its tables is run against a real server, every timer is one that
systemd accepts and starts a round of deploy/maintenance/maintenance.sh that exists."""

import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import harness

ROOT = harness.ROOT
PAGE = ROOT / "docs/maintenance.md"
ROUNDS = ("daily", "weekly", "monthly", "quarterly")
# Named in a table, and not run here.
ELSEWHERE = {
    "enhanced-gptcache tune": "tests/wire/test_eval.py",
    "enhanced-gptcache replay": "tests/wire/test_eval.py",
    "deploy/rollback/deploy.sh": "tests/deploy/test_rollback.py",
}


def commands() -> list[tuple[str, str]]:
    """Round and command, of the second column of each table."""
    found = []
    for name in ROUNDS:
        section = PAGE.read_text().partition(f"\n## {name.capitalize()}\n")[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("|")][2:]
        assert len(rows) == 5, f"{name}: the guide has five tasks"
        for row in rows:
            cell = re.split(r"(?<!\\)\|", row)[2].replace(r"\|", "|")
            found += [(name, code) for code in re.findall(r"`([^`]+)`", cell)]
    return found


def is_command(code: str) -> bool:
    return (
        re.match(r"(curl|sudo|df|systemd-analyze|enhanced-gptcache|maintenance\.sh|deploy/) ?", code)
        is not None
    )


def to_run() -> list[tuple[str, str]]:
    return [(name, code) for name, code in commands() if is_command(code) and code not in ELSEWHERE]


@pytest.fixture(scope="module")
def site(standin_process, tmp_path_factory):
    """A server as the page supposes it: settings, log and backups below one folder, which is /opt here."""
    folder = tmp_path_factory.mktemp("maintenance")
    for name in ("logs", "bin", "backups"):
        (folder / name).mkdir()
    (folder / "bin/enhanced-gptcache").symlink_to(pathlib.Path(harness.BINARY).resolve())
    (folder / "bin/sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (folder / "bin/sudo").chmod(0o755)
    (folder / "backups/backup_20260101_000000.tar.gz").write_bytes(gzip.compress(b"x"))
    log = folder / "logs/application.log"
    settings = {"EGPTC_MONITORING__LOG_FILE": str(log), "ENV": "staging"}
    server = harness.Server(
        folder / "server", standin_process.base_url, settings, config=harness.REQUIRED_SECTIONS
    ).start()
    question, key = "Is maintenance due?", harness.fresh_key()
    server.chat(question, key)
    hit = server.post("/cache/lookup", {"query": question, "model": "stand-in-1"}, key).json()
    server.post("/cache/feedback", {"request_id": hit["request_id"], "correct": True}, key)
    with open(log, "a") as file:
        file.write("2026-01-01T00:00:00.000+00:00 error something was broken\n")
        file.write("2026-01-01T00:00:00.000+00:00 info access method=GET route=/admin/config status=403\n")
    server.root = folder
    yield server
    assert server.stop() == 0


def run(site, command: str) -> subprocess.CompletedProcess:
    for theirs, ours in (
        ("localhost:8080", f"localhost:{site.port}"),
        ("/opt/enhanced-gptcache", str(site.root)),
        ("--env production", "--env staging"),
        (
            "systemd-analyze security enhanced-gptcache",
            "systemd-analyze security --offline=true "
            "--threshold=30 deploy/systemd/enhanced-gptcache.service",
        ),
    ):
        command = command.replace(theirs, ours)
    command = re.sub(r"^maintenance\.sh", "deploy/maintenance/maintenance.sh", command)
    environment = {
        **site.environment,
        "PATH": f"{site.root}/bin:{os.environ['PATH']}",
        "ENHANCED_GPTCACHE_CONFIG": str(site.config_path),
        "GPTCACHE_URL": site.url,
        "GPTCACHE_BACKUPS": str(site.root / "backups"),
        "GPTCACHE_LOG_DIR": str(site.root / "logs"),
    }
    return subprocess.run(
        ["bash", "-uo", "pipefail", "-c", command],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        timeout=120 * harness.SLOWNESS,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("name, command", to_run(), ids=lambda value: value[:50])
def test_the_commands_run(site, name, command):
    done = run(site, command)
    # A round ends with 1 where somebody should look, such as at updates of this machine.
    allowed = {0, 1} if command.startswith("maintenance.sh") else {0}
    assert done.returncode in allowed, done.stdout + done.stderr
    assert len(done.stdout.strip()) > 2 and "null" not in done.stdout.split(), done.stdout + done.stderr


def test_what_is_not_run_here_is_run_elsewhere():
    named = {code for _, code in commands()}
    for command, path in ELSEWHERE.items():
        assert command in named, f"{command} is not on the page any more"
        word = command.split("/")[-1].split()[-1]
        assert word in (ROOT / path).read_text(), f"{path} does not run {word}"
    assert len(to_run()) >= 13


@pytest.mark.parametrize("name", ROUNDS)
def test_each_timer_starts_a_round(name):
    units = ROOT / "deploy/systemd"
    timer = (units / "enhanced-gptcache-maintenance@.timer").read_text()
    when = re.search(r"^OnCalendar=(\S+)$", timer, re.M)[1].replace("%i", name)
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is not installed; run scripts/bootstrap.sh --test"
    done = subprocess.run([analyze, "calendar", when], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Normalized form" in done.stdout, done.stderr
    service = (units / "enhanced-gptcache-maintenance@.service").read_text()
    start = re.search(r"^ExecStart=\S+/share/enhanced-gptcache/(\S+) (\S+)$", service, re.M)
    assert (ROOT / start[1]).exists() and start[2] == "%i"
    assert f"enhanced-gptcache-maintenance@{name}.timer" in PAGE.read_text()
    # The variables of the unit are ones that the script knows, and it takes the round's name.
    script = (ROOT / start[1]).read_text()
    for variable in re.findall(r"^Environment=(GPTCACHE_\w+)=", service, re.M):
        assert variable in script, variable
    assert re.search(rf"^  daily .*\b{name}\b|^  {name} ", script, re.M)


@pytest.mark.parametrize(
    "page",
    [
        "deploy/maintenance/maintenance.sh",
        "docs/maintenance.md",
        "docs/troubleshooting.md",
        "docs/operating.md",
        "deploy/alerting/README.md",
    ],
)
def test_every_series_that_is_named_exists(site, page):
    text = (ROOT / page).read_text()
    series = {name.partition("{")[0] for name in site.metrics()}
    ends = "_total|_bytes|_seconds|_percent|_entries|_state|_failing"
    prefixes = (
        "cache|storage|upstream|http|process|errors|requests|response|tls|config|memory|cpu|limit|probe"
    )
    named = set(re.findall(rf"\b((?:{prefixes})_\w*(?:{ends}))\b", text))
    # With TLS, with a failed call, and settings of the same form.
    others = {"tls_certificate_expiry_timestamp_seconds", "tls_reload_total", "upstream_failures_total"}
    table = {
        row.get("key", row.get("name", "").partition(".")[2])
        for row in json.loads(harness.run_binary("validate-config", "--table").stdout)
    }
    assert not named - series - others - table, sorted(named - series - others - table)
    assert not re.search(r"\b(redis|postgres)_\w+_(total|seconds|bytes)\b", text)

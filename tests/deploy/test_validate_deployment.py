"""validate-deployment: a good deployment passes, and each check has a case in which it alone fails."""

import gzip
import json
import os
import pathlib
import shutil
import time

import pytest

import harness
import machine

CONFIG = harness.REQUIRED_SECTIONS


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployment")
    server = harness.Server(folder / "server", "http://127.0.0.1:9/v1", config=CONFIG).start()
    (folder / "backups").mkdir()
    (folder / "backups/backup_20260101_000000.tar.gz").write_bytes(gzip.compress(b"a backup"))
    server.backups = folder / "backups"
    yield server
    assert server.stop() == 0


class Findings:
    def __init__(self, process):
        self.status = process.returncode
        self.output = process.stdout + process.stderr
        body = json.loads(process.stdout)
        self.environment = body["environment"]
        self.ok = body["ok"]
        self.by_name = {check["check"]: check for check in body["checks"]}

    def failed(self) -> set[str]:
        return {name for name, check in self.by_name.items() if check["status"] == "FAILED"}


def validate(server, *arguments, environment=None, backups=None, expected=None) -> Findings:
    process = harness.run_binary(
        "validate-deployment", "--json", "--server", server.url, "--config", str(server.config_path),
        "--backups", str(backups or server.backups), *arguments,
        environment={**server.environment, **(environment or {})}, folder=server.folder, seconds=120)
    findings = Findings(process)
    assert findings.ok == (process.returncode == 0), findings.output
    if expected is not None:
        assert findings.failed() == expected, findings.output
    return findings


@pytest.mark.timing
def test_a_good_deployment_passes(running):
    findings = validate(running, "--env", "production", expected=set())
    assert findings.status == 0 and findings.environment == "production"
    assert set(findings.by_name) == {"configuration", "live", "ready", "health", "metrics", "round_trip",
                                     "latency", "transport", "permissions", "storage", "model", "backups"}


def test_it_leaves_nothing_behind(running):
    before = running.metrics()["cache_entries"]
    validate(running, "--env", "staging")
    assert running.metrics()["cache_entries"] == before


def test_the_table_for_people(running):
    process = harness.run_binary("validate-deployment", "--server", running.url, "--config",
                                 str(running.config_path), "--backups", str(running.backups),
                                 environment=running.environment, folder=running.folder)
    lines = process.stdout.splitlines()
    assert len(lines) == 12 and all(line.split()[0] in ("ok", "warning", "FAILED") for line in lines)


def test_remote_leaves_out_this_machine(running):
    findings = validate(running, "--remote", "--env", "staging")
    assert set(findings.by_name) == {"live", "ready", "health", "metrics", "round_trip", "latency"}


def test_the_script_runs_it(running):
    script = machine.ROOT / "scripts/deployment_validation.sh"
    environment = {**running.environment, "GPTCACHE_BINARY": str(harness.BINARY)}
    done = machine.run(script, "--remote", "--server", running.url, "--env", "staging", env=environment,
                       cwd=running.folder)
    assert done.returncode == 0 and "round_trip" in done.stdout, done.stderr


@pytest.mark.parametrize("environment, check", [
    ({"EGPTC_MONITORING__DEBUG_MODE": "true"}, "configuration"),
    ({"EGPTC_CACHE__GUARDS_OFF": "[numbers]"}, "configuration"),
    ({"EGPTC_UPSTREAM__BASE_URL": "http://provider.example.org/v1"}, "transport"),
    ({"EGPTC_SECURITY__INSECURE_LISTEN": "true"}, "transport"),
], ids=lambda value: value if isinstance(value, str) else None)
def test_settings_unfit_for_production(running, environment, check):
    findings = validate(running, "--env", "production", environment=environment)
    assert check in findings.failed()
    # Where nobody is harmed the same is a warning.
    findings = validate(running, "--env", "development", environment=environment)
    assert findings.by_name[check]["status"] == "warning" and check not in findings.failed()


def test_an_invalid_configuration_is_all_it_says(running, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("cache: {similarity_threshold: 2}\n")
    process = harness.run_binary("validate-deployment", "--json", "--config", str(bad),
                                 environment=running.environment)
    body = json.loads(process.stdout)
    assert process.returncode == 1 and body["ok"] is False
    assert "similarity_threshold" in body["checks"][0]["detail"]


def test_nobody_answers(running):
    url = f"http://127.0.0.1:{harness.free_port()}"
    process = harness.run_binary("validate-deployment", "--json", "--remote", "--server", url,
                                 environment=running.environment)
    findings = Findings(process)
    assert findings.failed() == {"live", "ready", "health", "metrics", "round_trip", "latency"}


class Impostor:
    """Answers like a server of ours, except where it is told to be wrong."""

    def __init__(self, answers: dict):
        import http.server
        import threading
        outer = self
        self.answers = answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length).decode()
                status, text = outer.answers.get(self.path.partition("?")[0], (404, "{}"))
                text = text(body) if callable(text) else text
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


HIT = '{"hit": true, "response": "%s", "latency_ms": %s}'


@pytest.mark.parametrize("answers, checks", [
    ({"/ready": (503, "{}")}, {"ready"}),
    ({"/live": (500, "{}")}, {"live"}),
    ({"/health": (503, '{"overall_status": "unhealthy", "checks": {}}')}, {"health"}),
    ({"/health": (200, "hello")}, {"health"}),
    ({"/metrics": (404, "{}")}, {"metrics"}),
    ({"/metrics": (200, "# TYPE up gauge\nup 1\n")}, {"metrics"}),
    ({"/cache/lookup": (200, '{"hit": false, "reason": "empty"}')}, {"round_trip", "latency"}),
    ({"/cache/lookup": (200, HIT % ("Another.", "0.01"))}, {"round_trip"}),
    ({"/cache/lookup": (200, HIT % ("It is.", "0.01"))}, {"round_trip"}),  # the deleted one, too
    ({"/cache/lookup": (401, "{}")}, {"round_trip", "latency"}),
    ({"/cache/entries": (200, "{}")}, {"round_trip", "latency"}),
    ({"/cache/entries": (201, "{}")}, {"round_trip", "latency"}),
    ({"/cache/lookup": (200, HIT % ("It is.", "7.5"))}, {"round_trip", "latency"}),
], ids=str)
def test_each_check_of_the_server_can_fail(running, answers, checks):
    metrics = "".join(f"# TYPE {name} counter\n{name} 1\n" for name in (
        "cache_requests_total", "cache_hits_total", "cache_misses_total", "requests_total", "errors_total",
        "memory_usage_percent", "cpu_usage_percent", "config_reload_total", "deployment_info"))
    stored = {}

    def store(body):
        stored["question"] = json.loads(body)["query"]
        return '{"ids": ["e1"], "semantic": [true]}'

    def remove(_):
        stored.clear()
        return '{"removed": 1}'

    def look(body):
        hit = json.loads(body)["query"] == stored.get("question")
        return HIT % ("It is.", "0.02") if hit else '{"hit": false, "reason": "empty"}'

    good = {"/live": (200, "{}"), "/ready": (200, "{}"), "/metrics": (200, metrics),
            "/health": (200, '{"overall_status": "healthy", "checks": {}}'),
            "/cache/entries": (201, store), "/cache/entries/e1": (200, remove), "/cache/lookup": (200, look)}
    impostor = Impostor({**good, **answers})
    process = harness.run_binary("validate-deployment", "--json", "--remote", "--server", impostor.url,
                                 environment=running.environment)
    impostor.server.shutdown()
    assert process.returncode == 1 and Findings(process).failed() == checks, process.stdout


def test_permissions(running, tmp_path):
    key = pathlib.Path(running.environment["EGPTC_STORAGE__PATH"]) / "instance.key"
    key.chmod(0o644)
    try:
        findings = validate(running, "--env", "staging", expected={"permissions"})
        assert "0644" in findings.by_name["permissions"]["detail"]
    finally:
        key.chmod(0o600)


def test_a_storage_folder_that_is_not_there(running, tmp_path):
    findings = validate(running, "--env", "staging",
                        environment={"EGPTC_STORAGE__PATH": str(tmp_path / "none")})
    assert {"storage", "permissions"} == findings.failed()


def test_a_damaged_model(running, tmp_path):
    model = harness.copy_model(tmp_path / "all-MiniLM-L6-v2")
    with open(model / "model.safetensors", "r+b") as file:
        file.seek(1_000_000)
        file.write(b"\0\1\2\3")
    environment = {"EGPTC_EMBEDDER__MODEL_DIR": str(model)}
    findings = validate(running, "--env", "staging", environment=environment, expected={"model"})
    assert "damaged" in findings.by_name["model"]["detail"]
    mine = model.rename(tmp_path / "mine")
    environment["EGPTC_EMBEDDER__MODEL_DIR"] = str(mine)
    findings = validate(running, "--env", "staging", environment=environment, expected=set())
    assert findings.by_name["model"]["status"] == "warning"


def test_backups(running, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    validate(running, "--env", "production", backups=empty, expected={"backups"})
    validate(running, "--env", "production", backups=tmp_path / "none", expected={"backups"})
    old = tmp_path / "old"
    shutil.copytree(running.backups, old)
    late = time.time() - 30 * 3600
    os.utime(next(old.iterdir()), (late, late))
    findings = validate(running, "--env", "production", backups=old, expected={"backups"})
    assert "30.0 hours" in findings.by_name["backups"]["detail"]
    validate(running, "--env", "production", "--backup-hours", "31", backups=old, expected=set())
    next(old.iterdir()).write_bytes(b"")
    validate(running, "--env", "production", backups=old, expected={"backups"})


def test_the_sum_is_the_one_the_model_is_fetched_by():
    text = (machine.ROOT / "src/cli/deployment_checks.h").read_text()
    line = next(line for line in (machine.ROOT / "scripts/fetch_model.sh").read_text().splitlines()
                if line.endswith("  model.safetensors"))
    assert line.split()[0].removeprefix("sums='") in text


@pytest.mark.parametrize("arguments", [("--env", "prod"), ("--backup-hours", "-1"), ("--what",),
                                       ("--api-key-env", "NOT_SET")], ids=str)
def test_usage(running, arguments):
    done = harness.run_binary("validate-deployment", *arguments, environment=running.environment)
    assert done.returncode == 2


def test_the_environment_is_held_against_the_server(running, tmp_path):
    """--env says what it is meant for; the server says what it runs as."""
    assert running.get("/health").json()["checks"]["configuration"]["environment"] == "production"
    findings = validate(running, "--env", "staging")
    assert findings.by_name["health"]["status"] == "warning", findings.output
    assert "runs with ENV=production" in findings.by_name["health"]["detail"]
    other = harness.Server(tmp_path, "http://127.0.0.1:9/v1", {"ENV": "development"}, config=CONFIG).start()
    try:
        other.backups = running.backups
        findings = validate(other, "--env", "production")
        assert "health" in findings.failed(), findings.output
        assert "ENV=development: it was to be checked as production" in findings.by_name["health"]["detail"]
    finally:
        assert other.stop() == 0

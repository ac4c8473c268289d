"""What a round of maintenance tells again and what it does not, old copies of the data, the nightly backup.
A stand-in answers for the server, so that its counters are what the test says."""

import datetime
import http.server
import json
import os
import re
import shutil
import threading

import pytest

import harness
import machine

SCRIPT = machine.DEPLOY / "maintenance/maintenance.sh"


class Counters(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path.startswith("/health"):
            self.wfile.write(b'{"overall_status": "healthy"}')
        elif self.path.endswith("json"):
            self.wfile.write(b"{}")
        else:
            self.wfile.write("".join(f"{k} {v}\n" for k, v in self.server.series.items()).encode())

    def log_message(self, *_):
        pass


class Installation:
    def __init__(self, folder, server):
        self.folder, self.series = folder, server.series
        for name in ("logs", "data/cache", "backups", "state"):
            (folder / name).mkdir(parents=True)
        (folder / "config.yaml").write_text(harness.REQUIRED_SECTIONS)
        self.log = folder / "logs/application.log"
        self.log.write_text("")
        self.environment = {
            "PATH": os.environ["PATH"],
            "GPTCACHE_STATE": str(folder / "state"),
            "GPTCACHE_URL": f"http://127.0.0.1:{server.server_port}",
            "ENHANCED_GPTCACHE_CONFIG": str(folder / "config.yaml"),
            "EGPTC_STORAGE__PATH": "data/cache",
            "GPTCACHE_BINARY": str(harness.BINARY),
            "GPTCACHE_LOG_DIR": str(folder / "logs"),
            "GPTCACHE_BACKUPS": str(folder / "backups"),
        }

    def daily(self, **more) -> dict[str, str]:
        done = machine.run(SCRIPT, "daily", env={**self.environment, **more}, cwd=self.folder)
        assert done.stderr == "", done.stderr
        found = re.findall(r"^(ok|LOOK) +(\w+) +(.*)", done.stdout, re.M)
        self.all = {name: f"{word} {text}" for word, name, text in found}
        return self.all


@pytest.fixture
def site(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counters)
    server.series = {"cache_requests_total": 1}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Installation(tmp_path, server)
    server.shutdown()
    thread.join()
    server.server_close()


def stamp(**ago) -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**ago)
    return moment.isoformat(timespec="milliseconds")


def test_errors_are_told_once(site):
    site.series['errors_total{kind="overloaded"}'] = 3
    site.series['config_reload_total{result="rejected"}'] = 2
    first = site.daily()
    assert (
        first["errors"].startswith("LOOK")
        and "overloaded" in first["errors"]
        and "2 settings" in first["settings"]
    )
    second = site.daily()
    assert second["errors"].startswith("ok none since 20") and "settings" not in second
    site.series['errors_total{kind="overloaded"}'] = 7
    assert re.search(r'overloaded"} 4\b', site.daily()["errors"])
    # The server was started anew and counts from nought.
    site.series['errors_total{kind="overloaded"}'] = 2
    assert re.search(r'overloaded"} 2\b', site.daily()["errors"])
    assert site.daily(GPTCACHE_STATE="")["errors"].startswith("LOOK since the start")


def test_yesterdays_errors_and_rotated_files_are_seen_once(site):
    rotated = site.log.with_name("application.1.log")
    rotated.write_text(f"{stamp(hours=20)} error of yesterday\n{stamp(hours=30)} error too old\n")
    line = {"time": stamp(hours=1), "level": "error", "message": "as json"}
    site.log.write_text(json.dumps(line, separators=(",", ":")) + f"\n{stamp(hours=1)} info not an error\n")
    assert site.daily()["log"].startswith("LOOK 2 errors") and "as json" in site.all["log"]
    assert site.daily()["log"].startswith("ok")
    with open(site.log, "a") as log:
        log.write(f"{stamp(seconds=-1)} error of now\n")
    assert "LOOK 1 errors" in site.daily()["log"] and "of now" in site.all["log"]


def test_old_copies_of_the_data_go(site):
    names = ("cache.before", "cache.from-2.0.0-20260101_000000", "cache", "other")
    for name in names:
        (site.folder / "data" / name).mkdir(exist_ok=True)
        os.utime(site.folder / "data" / name, (1, 1))
    (site.folder / "data/cache.from-3").mkdir()
    assert "is removed" in site.daily()["copies"]
    left = {path.name for path in (site.folder / "data").iterdir()}
    assert left == {"cache", "other", "cache.from-3"}
    site.daily(GPTCACHE_KEEP_COPIES_DAYS="9999")
    assert (site.folder / "data/cache.from-3").exists()
    done = machine.run(SCRIPT, "daily", env={**site.environment, "GPTCACHE_KEEP_COPIES_DAYS": "soon"})
    assert done.returncode == 2 and "soon" in done.stderr


def test_the_nightly_backup_is_what_the_daily_round_asks_for(site):
    units = machine.DEPLOY / "systemd"
    timer = (units / "enhanced-gptcache-backup.timer").read_text()
    at = re.search(r"^OnCalendar=\*-\*-\* (\d\d):", timer, re.M)[1]
    assert int(at) >= 20, "shortly before the daily round"
    machine.succeed(machine.program("systemd-analyze"), "calendar", f"*-*-* {at}:30:00")
    unit = (units / "enhanced-gptcache-backup.service").read_text()
    start = re.search(r"^ExecStart=\S+/share/enhanced-gptcache/(\S+)$", unit, re.M)[1]
    (site.folder / "c").mkdir()
    shutil.move(site.folder / "config.yaml", site.folder / "c/config.prod.yaml")
    environment = {"PATH": os.environ["PATH"]}
    for name, value in re.findall(r"^Environment=(\w+)=(.*)$", unit, re.M):
        here = value.replace("/opt/enhanced-gptcache/config", f"{site.folder}/c/config")
        here = here.replace("/opt/enhanced-gptcache/current/bin/enhanced-gptcache", str(harness.BINARY))
        here = here.replace("/opt/enhanced-gptcache", str(site.folder))
        environment[name] = here.replace("/opt/backups/enhanced-gptcache", str(site.folder / "backups"))
    environment["EGPTC_EMBEDDER__ENABLED"] = "false"
    assert site.daily()["backup"].startswith("LOOK")
    machine.succeed(machine.ROOT / start, env=environment)
    config = str(site.folder / "c/config.prod.yaml")
    assert re.search("^ok .* is whole", site.daily(ENHANCED_GPTCACHE_CONFIG=config)["backup"])

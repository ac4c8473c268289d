"""Deploy and roll back in a scratch root, with the real server, a service command that is no systemd, and
releases that work, fail, or leave data behind that the old one cannot read."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

import harness
import machine

SCRIPTS = machine.DEPLOY / "rollback"
CONFIG = harness.REQUIRED_SECTIONS + "embedder: {enabled: false}\nserver: {drain_timeout_seconds: 0}\n"

# What systemctl would do, for one server without systemd.
SERVICE = """#!/bin/sh
cd "{root}" || exit 1
case "$1" in
  start) setsid env ENHANCED_GPTCACHE_CONFIG="{root}/config.prod.yaml" EGPTC_SERVER__PORT={port} \\
    current/bin/enhanced-gptcache serve >> logs/application.log 2>&1 < /dev/null & echo $! > service.pid ;;
  stop) [ ! -f service.pid ] || {{ pid=$(cat service.pid); kill "$pid" 2> /dev/null
    while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done; rm -f service.pid; }} ;;
esac
"""
RELEASE = """#!/bin/sh
# {name}
if [ "$1" = serve ]; then
  {serve}
fi
exec "{binary}" "$@"
"""
# Marks its data as of a format that the version before refuses, as a real change of format would.
NEW_FORMAT = "mkdir -p data/cache && echo 3 > data/cache/FORMAT"
OLD_FORMAT = 'if [ -f data/cache/FORMAT ]; then echo "format 3 is newer than this" >&2; exit 1; fi'


class Site:
    """/opt/enhanced-gptcache in small."""

    def __init__(self, folder: pathlib.Path):
        self.root = folder / "opt"
        (self.root / "logs").mkdir(parents=True)
        self.releases = folder / "new"
        self.port = harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        service = folder / "service"
        service.write_text(SERVICE.format(root=self.root, port=self.port))
        service.chmod(0o755)
        self.told = folder / "told"
        tell = folder / "tell"
        tell.write_text(f'#!/bin/sh\necho "$1" >> {self.told}\n')
        tell.chmod(0o755)
        self.environment = {"PATH": os.environ["PATH"], "GPTCACHE_ROOT": str(self.root),
                            "GPTCACHE_URL": self.url, "GPTCACHE_SERVICE": str(service),
                            "GPTCACHE_NOTIFY": str(tell),
                            "GPTCACHE_WAIT": str(int(20 * harness.SLOWNESS))}
        self.service = service
        (self.root / "config.prod.yaml").write_text(CONFIG)

    def release(self, name: str, serve: str = ":") -> pathlib.Path:
        program = self.releases / name / "bin/enhanced-gptcache"
        program.parent.mkdir(parents=True)
        program.write_text(RELEASE.format(name=name, serve=serve, binary=harness.BINARY))
        program.chmod(0o755)
        return self.releases / name

    def run(self, script: str, *arguments, **environment) -> subprocess.CompletedProcess:
        return machine.run(SCRIPTS / script, *arguments, seconds=120 * harness.SLOWNESS,
                           env={**self.environment, **environment})

    def deploy(self, release: pathlib.Path, *arguments, **environment) -> subprocess.CompletedProcess:
        return self.run("deploy.sh", *arguments, release, **environment)

    def links(self) -> tuple[str, str]:
        paths = [self.root / link for link in ("current", "previous")]
        return tuple(os.path.basename(os.readlink(path)) if path.is_symlink() else "" for path in paths)

    def serves(self) -> bool:
        return machine.run("curl", "-fsS", self.url + "/health").returncode == 0

    def stop(self) -> None:
        machine.run(self.service, "stop", env=self.environment)


@pytest.fixture
def site(tmp_path):
    one = Site(tmp_path)
    yield one
    one.stop()


def done(process: subprocess.CompletedProcess, status: int = 0) -> str:
    assert process.returncode == status, process.stdout + process.stderr
    return process.stdout + process.stderr


def test_deploy_twice_roll_back_and_validate(site):
    done(site.deploy(site.release("1.0.0")))
    assert site.links() == ("1.0.0", "") and site.serves()
    changed = site.releases / "new.yaml"
    changed.write_text(CONFIG + "monitoring: {access_log: false}\n")
    output = done(site.deploy(site.release("1.1.0"), "--config", changed))
    assert "1.1.0 is in service" in output and site.links() == ("1.1.0", "1.0.0") and site.serves()
    assert (site.root / "config.prod.yaml.backup").read_text() == CONFIG
    assert "access_log" in (site.root / "config.prod.yaml").read_text()

    output = done(site.run("emergency_rollback.sh"))
    assert "1.0.0 serves" in output and site.links()[0] == "1.0.0" and site.serves()
    assert (site.root / "config.prod.yaml").read_text() == CONFIG
    assert "access_log" in (site.root / "config.prod.yaml.rolled_back").read_text()
    assert site.told.read_text().splitlines()[-1] == "Enhanced GPTCache: rolled back from 1.1.0 to 1.0.0"
    output = done(site.run("validate_rollback.sh"))
    assert output.count("OK  ") == 5 and "an entry was stored and found" in output

    # Once more would go nowhere, and says so; the version that was left is still there to go to.
    assert "no previous version" in done(site.run("emergency_rollback.sh"), 1)
    assert "1.0.0 serves already" in done(site.run("emergency_rollback.sh", "--to", "1.0.0"), 1)
    done(site.run("emergency_rollback.sh", "--to", "1.1.0", "--keep-config"))
    assert site.links()[0] == "1.1.0" and site.serves()


def test_what_root_makes_belongs_to_the_owner_of_the_layout(site):
    owner = 4242 if os.geteuid() == 0 else os.geteuid()
    os.chown(site.root, owner, -1)
    (site.root / "config.prod.yaml").unlink()
    given = site.releases / "first.yaml"
    site.releases.mkdir()
    given.write_text(CONFIG)
    done(site.deploy(site.release("1.0.0"), "--config", os.path.relpath(given)))
    for path in ("config.prod.yaml", "data", "data/cache"):
        assert (site.root / path).stat().st_uid == owner, path
    assert (site.root / "config.prod.yaml").stat().st_mode & 0o777 == 0o640


def test_a_version_that_does_not_start_takes_itself_back(site):
    done(site.deploy(site.release("1.0.0")))
    broken = site.release("2.0.0", 'echo "cannot start" >&2; exit 1')
    changed = site.releases / "new.yaml"
    changed.write_text(CONFIG + "monitoring: {access_log: false}\n")
    output = done(site.deploy(broken, "--config", changed, GPTCACHE_WAIT="8"), 1)
    assert "2.0.0 did not become healthy" in output and "1.0.0 serves again" in output
    assert site.links()[0] == "1.0.0" and site.serves()
    assert (site.root / "config.prod.yaml").read_text() == CONFIG
    done(site.run("validate_rollback.sh"))


def test_settings_the_new_version_refuses_change_nothing(site):
    done(site.deploy(site.release("1.0.0")))
    before = (site.root / "service.pid").read_text()
    wrong = site.releases / "wrong.yaml"
    wrong.write_text(CONFIG + "cache: {similarity_threshold: 7}\n".replace("cache:", "partition:"))
    output = done(site.deploy(site.release("1.1.0"), "--config", wrong), 1)
    assert "nothing was changed" in output and "partition" in output
    assert site.links() == ("1.0.0", "") and not (site.root / "releases/1.1.0").exists()
    assert (site.root / "service.pid").read_text() == before and site.serves()


def test_data_the_old_version_cannot_read_is_kept_and_its_own_comes_back(site):
    done(site.deploy(site.release("1.0.0", OLD_FORMAT)))
    (site.root / "data/cache/mine").write_text("kept")
    done(site.deploy(site.release("2.0.0", NEW_FORMAT)))
    assert (site.root / "data/cache/FORMAT").exists() and site.serves()
    output = done(site.run("emergency_rollback.sh", GPTCACHE_WAIT="8"))
    assert "giving it the copy from before" in output and site.serves()
    assert not (site.root / "data/cache/FORMAT").exists()
    assert (site.root / "data/cache/mine").read_text() == "kept"
    aside = list((site.root / "data").glob("cache.from-2.0.0-*"))
    assert len(aside) == 1 and (aside[0] / "FORMAT").read_text() == "3\n"


def test_a_share_of_the_hits_first(site):
    done(site.deploy(site.release("1.0.0")))
    output = done(site.deploy(site.release("1.1.0"), "--serve-percent", "5"))
    assert "cache.serve_percent is 5" in output
    settings = machine.succeed("curl", "-fsS", site.url + "/admin/config")
    assert '"serve_percent":{"origin":"admin"' in settings.replace(" ", "").replace("\n", "") \
        or '"value":5' in settings.replace(" ", "")
    # The version before served everything, and does so again.
    done(site.run("emergency_rollback.sh"))
    share = json.loads(machine.succeed("curl", "-fsS", site.url + "/admin/config"))
    assert share["sections"]["cache"]["serve_percent"]["value"] == 100
    assert (site.root / "data/admin_config.json.rolled_back").exists()


def test_old_releases_go_current_and_previous_stay(site):
    for number in range(4):
        done(site.deploy(site.release(f"1.{number}.0"), "--keep", "1"))
        time.sleep(0.02)
    assert sorted(path.name for path in (site.root / "releases").iterdir()) == ["1.1.0", "1.2.0", "1.3.0"]
    assert site.links() == ("1.3.0", "1.2.0")


def test_one_at_a_time(site):
    done(site.deploy(site.release("1.0.0")))
    holder = subprocess.Popen(["flock", str(site.root / ".deploy.lock"), "sleep", "60"])
    try:
        file = site.root / ".deploy.lock"
        harness.wait_until(lambda: machine.run("flock", "-n", file, "true").returncode, 10)
        assert "another deployment" in done(site.run("emergency_rollback.sh"), 1)
    finally:
        holder.send_signal(signal.SIGTERM)
        holder.wait()


@pytest.mark.parametrize("script, arguments, words", [
    ("deploy.sh", [], "name one release"), ("deploy.sh", ["/nonexistent/x"], "does not exist"),
    ("deploy.sh", ["--serve-percent", "101", "x"], "101"), ("deploy.sh", ["--keep", "many", "x"], "--keep"),
    ("deploy.sh", ["--config", "/nonexistent/x", "y"], "--config"), ("deploy.sh", ["--what"], "--what"),
    ("emergency_rollback.sh", ["--to"], "--to"), ("emergency_rollback.sh", ["now"], "now")], ids=str)
def test_usage(site, script, arguments, words):
    assert words in done(site.run(script, *arguments), 2)


def test_a_rollback_without_a_previous_version_says_so(site):
    done(site.deploy(site.release("1.0.0")))
    assert "no previous version" in done(site.run("emergency_rollback.sh"), 1)
    assert site.serves()


def test_validation_finds_what_is_wrong(site):
    done(site.deploy(site.release("1.0.0")))
    (site.root / "config.prod.yaml").write_text("cache: [\n")
    output = done(site.run("validate_rollback.sh"), 1)
    assert "CRITICAL settings" in output and "OK       cache" in output
    site.stop()
    assert "CRITICAL health" in done(site.run("validate_rollback.sh"), 1)

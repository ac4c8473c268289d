"""What a rollback must never bring back, and steps of a deployment that fail, stop or are cut short."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import harness
import machine
from test_rollback import CONFIG, NEW_FORMAT, OLD_FORMAT, SCRIPTS, Site, done
from vaults import encrypted, files_with, fresh_key, write_keys

SECURE = CONFIG.replace("server: {", 'server: {host: "127.0.0.1", ') + "security: {enabled: true}\n"
TEXT = "Xylophone-text of Anna Musterfrau"


@pytest.fixture
def site(tmp_path):
    one = Site(tmp_path)
    yield one
    one.stop()


def call(site, method: str, path: str, body: dict | None = None, key: str = "") -> tuple[int, dict]:
    request = urllib.request.Request(site.url + path, method=method, data=json.dumps(body or {}).encode())
    request.add_header("Content-Type", "application/json")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, {}


def share_of(site) -> float:
    return call(site, "GET", "/admin/config")[1]["sections"]["cache"]["serve_percent"]["value"]


def hit(site, question: str, key: str) -> bool:
    status, body = call(site, "POST", "/cache/lookup", {"query": question}, key)
    assert status == 200
    return body["hit"]


def test_nothing_erased_or_revoked_comes_back_with_the_data(site):
    (site.root / "config.prod.yaml").write_text(SECURE)
    done(site.deploy(site.release("1.0.0", OLD_FORMAT)))
    data = site.root / "data/cache"
    admin = (data / "admin.key").read_text().strip()

    def make() -> dict:
        status, made = call(site, "POST", "/admin/keys", {"role": "operator", "tenant": "one"}, admin)
        assert status == 201
        return made

    key, revoked = make(), make()
    for question, subject in ((f"{TEXT}?", {"subject": "anna"}), ("Common question?", {})):
        entry = {"query": question, "response": f"Answer to {question}", **subject}
        assert call(site, "POST", "/cache/entries", entry, key["key"])[0] == 201
    done(site.deploy(site.release("2.0.0", NEW_FORMAT)))
    before = data.with_name("cache.before")
    for name in ("keystore", "api_keys.json", "audit", "instance.key", "admin.key"):
        assert (data / name).exists() and not (before / name).exists(), name
    assert files_with(before, TEXT) != [], "the copy is one of before"
    assert call(site, "POST", "/cache/erase", {"subject": "anna"}, key["key"])[0] == 200
    assert call(site, "DELETE", f"/admin/keys/{revoked['prefix']}", None, admin)[0] in (200, 204)
    later = make()
    assert call(site, "PUT", "/admin/config", {"cache": {"ttl_seconds": 4321}}, admin)[0] == 200

    output = done(site.run("emergency_rollback.sh", GPTCACHE_WAIT="8"))
    assert "giving it the copy from before" in output and not (data / "FORMAT").exists()
    assert hit(site, "Common question?", key["key"]) and not hit(site, f"{TEXT}?", key["key"])
    assert files_with(data, TEXT) == [], "nor is it in a file"
    status, _ = call(site, "POST", "/cache/lookup", {"query": "x"}, revoked["key"])
    assert status == 401
    assert hit(site, "Common question?", key["key"]) and not hit(site, "Unknown?", later["key"])
    settings = call(site, "GET", "/admin/config", None, admin)[1]
    assert settings["sections"]["cache"]["ttl_seconds"]["value"] == 4321
    audit = machine.run(harness.BINARY, "audit", "verify", "--storage.path", data, cwd=site.root)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert not list(data.parent.glob("cache.from-*/keystore"))
    site.stop()
    done(machine.run(site.service, "start", env=site.environment))
    harness.wait_until(site.serves, 20)
    assert not hit(site, f"{TEXT}?", key["key"])


def test_a_keystore_that_lies_apart_and_encrypted_data(site, tmp_path):
    """The ledger is found where the settings say; the copy holds no key that an erasure has destroyed."""
    (tmp_path / "keystore").mkdir(mode=0o700)
    variables = {
        "EGPTC_STORAGE__KEYSTORE_PATH": tmp_path / "keystore",
        **encrypted(write_keys(tmp_path / "master.keys", fresh_key())),
    }
    file = tmp_path / "default"
    file.write_text("".join(f'{name}="{value}"\n' for name, value in variables.items()))
    site.environment.update({name: str(value) for name, value in variables.items()})
    site.environment["GPTCACHE_ENVIRONMENT"] = str(file)
    done(site.deploy(site.release("1.0.0", OLD_FORMAT)))
    for question, subject in ((f"{TEXT}?", {"subject": "anna"}), ("Common question?", {})):
        entry = {"query": question, "response": f"Answer to {question}", **subject}
        assert call(site, "POST", "/cache/entries", entry, "sk-1")[0] == 201
    done(site.deploy(site.release("2.0.0", NEW_FORMAT)))
    assert call(site, "POST", "/cache/erase", {"subject": "anna"}, "sk-1")[0] == 200
    assert " done " in (tmp_path / "keystore/erasures.ledger").read_text()
    output = done(site.run("emergency_rollback.sh", GPTCACHE_WAIT="8"))
    assert "giving it the copy from before" in output
    assert hit(site, "Common question?", "sk-1") and not hit(site, f"{TEXT}?", "sk-1")
    # Taken out of the copy's files, and noted as done again.
    assert (tmp_path / "keystore/erasures.ledger").read_text().splitlines()[-1].split()[3] == "done"


def assert_as_before(site, config: str = CONFIG) -> None:
    assert site.links()[0] == "1.0.0" and site.serves()
    assert (site.root / "config.prod.yaml").read_text() == config


def test_a_full_disk_is_found_before_the_stop_or_taken_back(site, tmp_path):
    done(site.deploy(site.release("1.0.0")))
    before = (site.root / "service.pid").read_text()
    programs = tmp_path / "programs"
    programs.mkdir()
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    (programs / "df").write_text("#!/bin/sh\necho head\necho disk 100 90 10 90% /\n")
    (programs / "df").chmod(0o755)
    output = done(site.deploy(site.release("1.1.0"), **path), 1)
    assert "only 10 KB are free" in output and "nothing was changed" in output
    assert (site.root / "service.pid").read_text() == before
    assert_as_before(site)
    # It fills while the copy is made.
    (programs / "df").unlink()
    (programs / "cp").write_text(
        f'#!/bin/sh\ncase "$*" in *reflink*) echo full >&2; exit 1 ;; esac\n'
        f'exec {shutil.which("cp")} "$@"\n'
    )
    (programs / "cp").chmod(0o755)
    (site.root / "data/cache/mine").write_text("x")
    output = done(site.deploy(site.releases / "1.1.0", **path), 1)
    assert "cut short" in output and "1.0.0 serves again" in output
    assert_as_before(site)
    assert site.links() == ("1.0.0", "")
    done(site.deploy(site.releases / "1.1.0"))
    # A rollback goes on without the settings that it cannot put back.
    (site.root / "config.prod.yaml").write_text(CONFIG + "# edited\n")
    (programs / "cp").write_text("#!/bin/sh\necho full >&2; exit 1\n")
    output = done(site.run("emergency_rollback.sh", **path))
    assert "going on with the present settings" in output
    assert_as_before(site, CONFIG + "# edited\n")


def test_a_current_that_is_a_folder_is_refused_before_the_stop(site):
    done(site.deploy(site.release("1.0.0")))
    current = site.root / "current"
    current.unlink()
    shutil.copytree(site.root / "releases/1.0.0", current, symlinks=True)
    assert "is no link" in done(site.deploy(site.release("1.1.0")), 1)
    assert site.serves() and not (site.root / "releases/1.1.0").exists()
    assert "is no link" in done(site.run("emergency_rollback.sh"), 1)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM", "SIGINT"])
def test_a_signal_in_the_middle_takes_it_back(site, name):
    done(site.deploy(site.release("1.0.0")))
    slow = site.release("4.0.0", "exec sleep 1000")
    with open(site.root / "output", "w") as output:
        process = subprocess.Popen(
            [SCRIPTS / "deploy.sh", slow],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=site.environment,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        harness.wait_until(lambda: site.links()[0] == "4.0.0" and not site.serves(), 20)
        time.sleep(0.3)
        os.killpg(process.pid, getattr(signal, name))
        assert process.wait(60 * harness.SLOWNESS) == 1
    assert "1.0.0 serves again" in (site.root / "output").read_text()
    assert_as_before(site)
    assert "did not become healthy" in done(site.deploy(slow, GPTCACHE_WAIT="8"), 1), "it can be tried again"
    assert_as_before(site)


def test_a_share_holds_from_the_first_answer_without_a_key(site):
    (site.root / "config.prod.yaml").write_text(SECURE)
    done(site.deploy(site.release("1.0.0")))
    # What the server finds at its start is all there is.
    started = 'cp data/cache/admin_config.json at_start'
    done(site.deploy(site.release("1.1.0", started), "--serve-percent", "5"))
    assert json.loads((site.root / "at_start").read_text()) == {"cache.serve_percent": "5"}
    wins = site.root / "default"
    wins.write_text("EGPTC_CACHE__SERVE_PERCENT=100\n")
    output = done(
        site.deploy(site.release("1.2.0"), "--serve-percent", "5", GPTCACHE_ENVIRONMENT=str(wins)), 1
    )
    assert "would win over it" in output and site.links()[0] == "1.1.0"
    done(site.run("emergency_rollback.sh"))
    assert not (site.root / "data/cache/admin_config.json").exists()


def test_the_share_of_before_comes_back_and_other_changes_stay(site):
    done(site.deploy(site.release("1.0.0")))
    assert call(site, "PUT", "/admin/config", {"cache": {"serve_percent": 60}})[0] == 200
    done(site.deploy(site.release("1.1.0"), "--serve-percent", "5"))
    assert share_of(site) == 5
    assert call(site, "PUT", "/admin/config", {"cache": {"ttl_seconds": 99}})[0] == 200
    done(site.run("emergency_rollback.sh"))
    assert share_of(site) == 60
    assert call(site, "GET", "/admin/config")[1]["sections"]["cache"]["ttl_seconds"]["value"] == 99


def test_there_is_still_something_to_go_back_to(site):
    for number in range(3):
        (site.root / "config.prod.yaml").write_text(CONFIG + f"# of 1.{number}.0\n")
        done(site.deploy(site.release(f"1.{number}.0")))
    assert site.links() == ("1.2.0", "1.1.0")
    broken = site.release("2.0.0", "exit 1")
    done(site.deploy(broken, GPTCACHE_WAIT="8"), 1)
    assert site.links() == ("1.2.0", "1.1.0"), "as it was"
    done(site.run("emergency_rollback.sh"))
    assert site.links() == ("1.1.0", "1.0.0") and site.serves()
    done(site.run("emergency_rollback.sh"))
    assert site.links() == ("1.0.0", "") and site.serves()
    done(site.run("emergency_rollback.sh", "--to", "1.2.0"))
    assert site.links() == ("1.2.0", "1.1.0")


def test_the_services_variables_count(site):
    done(site.deploy(site.release("1.0.0")))
    variables = site.root / "default"
    variables.write_text(
        '# site\n\nEGPTC_PARTITION__NONSENSE="1"\n$(touch executed)=1\nX=$(touch executed)\n'
    )
    output = done(site.deploy(site.release("1.1.0"), GPTCACHE_ENVIRONMENT=str(variables)), 1)
    assert "nothing was changed" in output and "NONSENSE" in output.upper()
    assert "CRITICAL settings" in done(
        site.run("validate_rollback.sh", GPTCACHE_ENVIRONMENT=str(variables)), 1
    )
    assert not (site.root / "executed").exists()
    # The storage folder is where the variables say.
    elsewhere = site.root / "elsewhere/cache"
    elsewhere.mkdir(parents=True)
    (elsewhere / "mine").write_text("x")
    variables.write_text(f"EGPTC_STORAGE__PATH='{elsewhere}'\n")
    done(site.deploy(site.releases / "1.1.0", GPTCACHE_ENVIRONMENT=str(variables)))
    assert (elsewhere.parent / "cache.before/mine").exists()


def test_another_storage_folder_is_refused(site):
    done(site.deploy(site.release("1.0.0")))
    moved = site.releases / "moved.yaml"
    moved.write_text(CONFIG + "storage: {path: data/moved}\n")
    assert "lose keys and erasures" in done(site.deploy(site.release("1.1.0"), "--config", moved), 1)
    assert_as_before(site)


def test_a_callers_umask_shuts_nobody_out(site):
    release = site.release("1.0.0")
    release.chmod(0o700)
    script = f"umask 077; exec '{SCRIPTS}/deploy.sh' '{release}'"
    done(machine.run("bash", "-c", script, env=site.environment))
    for path in ("releases", "releases/1.0.0", "releases/1.0.0/bin", "releases/1.0.0/bin/enhanced-gptcache"):
        assert (site.root / path).stat().st_mode & 0o005 == 0o005, path


def test_a_service_command_may_have_spaces_in_its_path(site):
    spaced = site.root / "my tools/service one"
    spaced.parent.mkdir()
    shutil.copy(site.service, spaced)
    done(site.deploy(site.release("1.0.0"), GPTCACHE_SERVICE=str(spaced)))
    assert site.serves()
    done(site.deploy(site.release("1.1.0"), GPTCACHE_SERVICE=f"sh {site.service}"))
    assert site.links()[0] == "1.1.0" and site.serves()

"""Encryption at rest: nothing in clear on disk; keys that are missing, wrong, rotated or open to others."""

import os
import random
import stat
import tarfile

import pytest

import harness
from settings_walk import changes
from test_backup import backup, only_backup
from test_storage import QUESTION, crash_and_restart, kill, lookup, store
from vaults import (NO_MODEL, encrypted, encryption, files_with, fresh_key, wait_resealed, write_keys)

SECRET_QUESTION = "Zebra-question about the merger of Quagga and Okapi?"
SECRET_ANSWER = "Xylophone-answer: the price is 4711 ducats."


@pytest.fixture
def key_file(tmp_path):
    return write_keys(tmp_path / "master.keys", fresh_key())


def plain_files(server, *more):
    return files_with(server.folder / "storage", SECRET_QUESTION, SECRET_ANSWER, "Xylophone", "Quagga", *more)


@changes("storage.encryption", "storage.encryption_key_file")
def test_nothing_in_clear_and_a_warm_start(start_server, key_file, key):
    server = start_server(encrypted(key_file))
    store(server, key, SECRET_QUESTION, SECRET_ANSWER, tags=["Xylophone-tag"], subject="Quagga-subject")
    store(server, key, QUESTION, "Click forgot.", namespace="Quagga-namespace")
    for _ in range(2):
        answer = server.chat(SECRET_QUESTION + " again", key=key)
        assert answer.status_code == 200
    harness.wait_until(lambda: server.metrics()["storage_stored_total"] == 3, 10, "three on disk")
    assert plain_files(server) == []
    crash_and_restart(server)
    found = lookup(server, key, SECRET_QUESTION)
    assert found["hit"] and found["response"] == SECRET_ANSWER
    assert server.stop() == 0
    assert plain_files(server) == []
    assert files_with(server.folder, SECRET_ANSWER) == [], "nor in the log"
    folder = server.folder / "storage"
    assert (folder / "instance.key").read_text().startswith("sealed ")
    assert stat.S_IMODE((folder / "keystore").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "keystore/subjects.keys").stat().st_mode) == 0o600
    master = key_file.read_text().strip()
    assert files_with(server.folder, master, bytes.fromhex(master)) == []
    server.start()
    semantic = lookup(server, key, "How can I reset my password?")
    assert not semantic["hit"], "another namespace"
    state = encryption(server)
    assert state["encryption"] and state["keys"] == [state["current_key"]] == state["keys_in_use"]
    assert state["data_keys"] == 1


def test_without_encryption_the_same_search_finds_it(start_server, key):
    """The search itself works."""
    server = start_server(NO_MODEL)
    store(server, key, SECRET_QUESTION, SECRET_ANSWER)
    harness.wait_until(lambda: server.metrics()["storage_stored_total"] == 1, 10, "on disk")
    assert plain_files(server) != []


@pytest.mark.parametrize("case", ["other", "none", "off"])
def test_a_missing_key_is_an_error_and_costs_nothing(start_server, key_file, tmp_path, key, case):
    server = start_server({**NO_MODEL, **encrypted(key_file)})
    store(server, key, QUESTION, "Click forgot.", subject="anna")
    assert server.stop() == 0
    before = {path: path.read_bytes() for path in (server.folder / "storage").rglob("*")
              if path.is_file() and path.name != "LOCK" and "audit" not in str(path)}
    good = dict(server.environment)
    if case == "other":
        bad = {"EGPTC_STORAGE__ENCRYPTION_KEY_FILE": str(write_keys(tmp_path / "other", fresh_key()))}
    elif case == "none":
        bad = {"EGPTC_STORAGE__ENCRYPTION_KEY_FILE": str(tmp_path / "nowhere")}
    else:
        bad = {"EGPTC_STORAGE__ENCRYPTION": "off", "EGPTC_STORAGE__ENCRYPTION_KEY_FILE": ""}
    server.environment.update(bad)
    server.start(wait=False)
    assert server.process.wait(30) == 1
    server.process = None
    message = server.log().splitlines()[-1]
    expected = {"other": "not among the configured", "none": "cannot read", "off": "name the master key"}
    assert expected[case] in message, message
    after = {path: path.read_bytes() for path in before}
    assert after == before, "nothing was changed"
    server.environment = good
    server.start()
    assert lookup(server, key, QUESTION)["hit"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_key_files_others_can_use_are_refused(start_server, key_file, mode):
    os.chmod(key_file, mode)
    server = start_server({**NO_MODEL, **encrypted(key_file)}, wait=False)
    assert server.process.wait(30) == 1
    server.process = None
    assert f"mode 0{mode:o}" in server.log() and str(key_file) in server.log()


@changes("storage.encryption_keys", "storage.encryption_key_command")
def test_keys_from_the_environment_and_a_command(start_server, tmp_path, key):
    one = fresh_key()
    base = {**NO_MODEL, "EGPTC_STORAGE__ENCRYPTION": "aes-256-gcm"}
    server = start_server({**base, "EGPTC_STORAGE__ENCRYPTION_KEYS": one})
    store(server, key, QUESTION, SECRET_ANSWER)
    assert server.get("/admin/config").text.count(one) == 0
    assert server.stop() == 0
    del server.environment["EGPTC_STORAGE__ENCRYPTION_KEYS"]
    path = write_keys(tmp_path / "kms", one)
    server.environment["EGPTC_STORAGE__ENCRYPTION_KEY_COMMAND"] = f"cat {path}"
    server.start()
    assert lookup(server, key, QUESTION)["hit"] and plain_files(server) == []
    assert server.stop() == 0
    server.environment["EGPTC_STORAGE__ENCRYPTION_KEY_COMMAND"] = "echo broken >&2; exit 7"
    server.start(wait=False)
    assert server.process.wait(30) == 1
    server.process = None
    assert "status 7" in server.log()


def test_key_sources_cannot_be_set_over_the_network(start_server, key_file):
    server = start_server({**NO_MODEL})
    sources = {"encryption_key_command": "touch owned", "encryption_key_file": str(key_file),
               "encryption_keys": fresh_key()}
    for name, value in sources.items():
        done = server.request("PUT", "/admin/config", json={f"storage.{name}": value})
        assert done.status_code == 400 and "cannot be set through /admin/config" in done.text, done.text


def test_two_sources_or_none_are_refused(tmp_path, key_file):
    environment = encrypted(key_file, EGPTC_STORAGE__ENCRYPTION_KEYS=fresh_key())
    done = harness.run_binary("validate-config", environment=environment, folder=tmp_path)
    assert done.returncode == 1 and "give one of" in done.stderr
    done = harness.run_binary("validate-config", environment={"EGPTC_STORAGE__ENCRYPTION": "aes-256-gcm"},
                              folder=tmp_path)
    assert done.returncode == 1 and "needs a key" in done.stderr


def test_rotation_while_serving(start_server, key_file, tmp_path, key):
    old = key_file.read_text().strip()
    server = start_server({**NO_MODEL, **encrypted(key_file)})
    for n in range(500):
        store(server, key, f"Question {n}?", f"{SECRET_ANSWER} {n}", **({"subject": "anna"} if n % 2 else {}))
    first = encryption(server)["current_key"]
    new = fresh_key()
    write_keys(key_file, new, old)
    done = harness.run_binary("encryption", "rotate", environment=server.environment, folder=server.folder)
    assert done.returncode == 0, done.stderr
    store(server, key, "Asked meanwhile?", "Answered.")
    state = wait_resealed(server)
    assert state["current_key"] != first and state["keys_in_use"] == [state["current_key"]]
    assert first in state["keys"], "old ids stay readable"
    write_keys(key_file, new)
    crash_and_restart(server)
    for n in range(500):
        assert lookup(server, key, f"Question {n}?")["hit"], n
    assert lookup(server, key, "Asked meanwhile?")["hit"]
    assert plain_files(server) == []
    assert "storage_loaded_entries{outcome=\"damaged\"}" not in server.metrics() or \
        server.metrics()["storage_loaded_entries{outcome=\"damaged\"}"] == 0


def test_a_key_in_use_cannot_be_dropped_by_a_rotation(start_server, key_file, key):
    server = start_server({**NO_MODEL, **encrypted(key_file)})
    store(server, key, QUESTION, "Click forgot.")
    old = key_file.read_text().strip()
    write_keys(key_file, fresh_key())
    done = server.post("/admin/encryption/rotate")
    assert done.status_code == 400 and "not among the configured" in done.text
    write_keys(key_file, old)
    crash_and_restart(server)
    assert lookup(server, key, QUESTION)["hit"]


def test_killed_in_the_middle_of_a_rotation(start_server, key_file, key):
    old, new = key_file.read_text().strip(), fresh_key()
    server = start_server({**NO_MODEL, **encrypted(key_file)})
    bulk = [{"query": f"Question {n}?", "response": SECRET_ANSWER + "x" * 2000} for n in range(1000)]
    assert server.post("/cache/entries", {"entries": bulk}, key).status_code == 201
    write_keys(key_file, new, old)
    assert server.post("/admin/encryption/rotate").status_code == 202
    crash_and_restart(server)
    state = wait_resealed(server)
    assert state["keys_in_use"] == [state["current_key"]]
    for n in range(0, 1000, 50):
        assert lookup(server, key, f"Question {n}?")["hit"]


def test_switched_on_and_off_again(start_server, key_file, key):
    server = start_server(NO_MODEL)
    store(server, key, SECRET_QUESTION, SECRET_ANSWER, subject="anna")
    assert server.stop() == 0
    plain = dict(server.environment)
    server.environment.update(encrypted(key_file))
    server.start()
    assert lookup(server, key, SECRET_QUESTION)["hit"]
    wait_resealed(server)
    assert plain_files(server) == [], "what was plain is sealed and its old files are gone"
    crash_and_restart(server)
    assert lookup(server, key, SECRET_QUESTION)["hit"]
    assert server.stop() == 0
    server.environment["EGPTC_STORAGE__ENCRYPTION"] = "off"
    server.start()
    assert lookup(server, key, SECRET_QUESTION)["hit"]
    wait_resealed(server)
    assert server.stop() == 0
    server.environment = plain
    server.start()
    assert lookup(server, key, SECRET_QUESTION)["hit"] and plain_files(server) != []


def test_tampered_bytes_are_refused_counted_and_named(start_server, key_file, key):
    """RocksDB's own checksums would find a flipped bit; an attacker writes a valid table. Flips all over the
    files: never another answer, never a crash, always counted."""
    server = start_server({**NO_MODEL, **encrypted(key_file)})
    expected = {f"Question {n}?": f"{SECRET_ANSWER} {n}" for n in range(60)}
    for query, answer in expected.items():
        store(server, key, query, answer)
    assert server.stop() == 0
    table = max((server.folder / "storage/entries").glob("*.sst"), key=lambda path: path.stat().st_size)
    content = bytearray(table.read_bytes())
    for _ in range(3):
        content[random.randrange(len(content) // 2)] ^= 1 << random.randrange(8)
    table.write_bytes(content)
    server.start()
    hits = 0
    for query, answer in expected.items():
        found = lookup(server, key, query)
        assert not found["hit"] or found["response"] == answer
        hits += found["hit"]
    assert hits < 60 and ("damaged" in server.log() or "rebuilt" in server.log())


def test_backups_hold_nothing_in_clear_and_no_keys(start_server, key_file, tmp_path, key):
    server = start_server({**NO_MODEL, **encrypted(key_file)}, config=harness.REQUIRED_SECTIONS)
    store(server, key, SECRET_QUESTION, SECRET_ANSWER, subject="anna")
    assert backup(server, tmp_path / "backups").returncode == 0
    folder = tmp_path / "unpacked"
    with tarfile.open(only_backup(tmp_path / "backups")) as tar:
        tar.extractall(folder)
    master = key_file.read_text().strip()
    assert files_with(folder, SECRET_ANSWER, "Xylophone", "Quagga", master, bytes.fromhex(master)) == []
    names = [str(path) for path in folder.rglob("*")]
    assert not any("subjects.keys" in name or "admin.key" in name for name in names)


@changes("storage.keystore_path")
def test_the_keystore_elsewhere_and_missing(start_server, key_file, tmp_path, key):
    elsewhere = tmp_path / "elsewhere"
    environment = {**NO_MODEL, **encrypted(key_file), "EGPTC_STORAGE__KEYSTORE_PATH": elsewhere}
    server = start_server(environment)
    store(server, key, QUESTION, "Click forgot.", subject="anna")
    assert (elsewhere / "subjects.keys").exists() and not (server.folder / "storage/keystore").exists()
    kill(server)
    moved = elsewhere.rename(tmp_path / "moved")
    server.start(wait=False)
    assert server.process.wait(30) == 1
    server.process = None
    assert "belongs to the keystore" in server.log()
    assert not elsewhere.exists(), "none is begun in its place"
    moved.rename(elsewhere)
    server.start()
    assert lookup(server, key, QUESTION)["hit"]

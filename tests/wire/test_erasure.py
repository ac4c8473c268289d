"""Erasing a subject: memory, disk, write-ahead log, backups, crashes in the middle, receipts, exports."""

import json
import random
import shutil
import threading
import time

import pytest

import harness
import secure
from test_backup import backup, only_backup
from test_storage import QUESTION, crash_and_restart, kill, lookup, store
from vaults import NO_MODEL, encrypted, files_with, fresh_key, write_keys

TEXT = "Xylophone-text of Anna Musterfrau"


@pytest.fixture(params=["plain", "encrypted"])
def server(request, start_server, tmp_path):
    """A server with and without encryption, laid out as an installation."""
    root = tmp_path / "root"
    environment = {**NO_MODEL, "EGPTC_STORAGE__PATH": root / "data/cache"}
    if request.param == "encrypted":
        environment.update(encrypted(write_keys(tmp_path / "master.keys", fresh_key())))
    one = start_server(environment, config=harness.REQUIRED_SECTIONS, folder=root)
    one.is_encrypted = request.param == "encrypted"
    return one


def data(server):
    return server.folder / "data/cache"


def erase(server, key, subject, **more):
    done = server.post("/cache/erase", {"subject": subject, **more}, key)
    assert done.status_code == 200, done.text
    return done.json()


def fill(server, key, count=20):
    for n in range(count):
        store(server, key, f"{TEXT}, question {n}?", f"{TEXT}, answer {n}", subject="anna")
        store(server, key, f"Common question {n}?", f"Common answer {n}")


def assert_gone(server, key, count=20):
    for n in range(count):
        assert not lookup(server, key, f"{TEXT}, question {n}?")["hit"], n
        assert lookup(server, key, f"Common question {n}?")["hit"], n
    assert files_with(data(server), TEXT, "anna") == []


def run(server, *arguments, **more):
    return harness.run_binary(*arguments, environment={**server.environment, **more}, folder=server.folder)


def test_no_byte_is_left(server, key):
    """Current entries, replaced and expired ones, those in old files and those in the log."""
    store(server, key, f"{TEXT}, replaced?", f"{TEXT}, first version", subject="anna")
    store(server, key, f"{TEXT}, expired?", f"{TEXT}, expired", subject="anna", ttl_seconds=1)
    fill(server, key)
    crash_and_restart(server)
    store(server, key, f"{TEXT}, replaced?", f"{TEXT}, second version", subject="anna")
    if not server.is_encrypted:
        assert files_with(data(server), TEXT) != [], "the search works"
    time.sleep(1.1)
    receipt = erase(server, key, "anna")["receipt"]
    assert receipt["removed"]["entries"] >= 21 and receipt["files_rewritten"]
    assert receipt["removed"]["data_keys"] == (1 if server.is_encrypted else 0)
    assert_gone(server, key)
    crash_and_restart(server)
    assert_gone(server, key)
    assert files_with(server.folder, TEXT) == [], "nor in the server's log"
    again = erase(server, key, "anna")["receipt"]
    assert again["removed"] == {"entries": 0, "learned_thresholds": 0, "data_keys": 0}
    assert again["ledger_sequence"] == receipt["ledger_sequence"] + 1


def test_who_comes_back_is_kept(server, key):
    fill(server, key, 2)
    erase(server, key, "anna")
    store(server, key, "A new question?", "A new answer.", subject="anna")
    crash_and_restart(server)
    assert lookup(server, key, "A new question?")["hit"]
    assert not lookup(server, key, f"{TEXT}, question 0?")["hit"]


def test_tenants_and_namespaces_of_others(server, key):
    other = harness.fresh_key()
    store(server, key, QUESTION, "mine", subject="anna")
    store(server, other, QUESTION, "theirs", subject="anna")
    store(server, key, "Here?", "here", subject="anna", namespace="here")
    store(server, key, "There?", "there", subject="anna", namespace="there")

    def hit(key, query, namespace=None):
        body = {"query": query, **({"namespace": namespace} if namespace else {})}
        return server.post("/cache/lookup", body, key).json()["hit"]

    receipt = erase(server, key, "anna", namespace="here")["receipt"]
    assert receipt["removed"]["entries"] == 1 and receipt["namespace"] == "here"
    assert not hit(key, "Here?", "here") and hit(key, "There?", "there") and hit(key, QUESTION)
    erase(server, key, "anna")
    crash_and_restart(server)
    assert not hit(key, "There?", "there") and not hit(key, QUESTION)
    assert hit(other, QUESTION), "another tenant's subject of the same name"


def test_users_and_writers_count(server, key):
    """A body's user and X-Cache-Subject make a subject, too."""
    assert server.chat(f"{TEXT}?", key=key, user="anna").status_code == 200
    assert server.chat(f"{TEXT} again?", key=key, headers={"X-Cache-Subject": "anna"}).status_code == 200
    done = server.post("/cache/entries", {"query": f"{TEXT} native?", "response": TEXT}, key,
                       {"X-Cache-Subject": "anna"})
    assert done.status_code == 201
    harness.wait_until(lambda: server.metrics()["storage_stored_total"] == 3, 10, "three on disk")
    receipt = erase(server, key, "anna")["receipt"]
    assert receipt["removed"]["entries"] == 3
    assert receipt["entries_without_data_key"] == (0 if server.is_encrypted else 3)
    assert files_with(data(server), TEXT) == []


def test_an_answer_under_way_is_not_kept(server, standin, key):
    standin.rule("slow one", gate="later")
    asking = threading.Thread(target=lambda: server.chat(f"{TEXT}, the slow one?", key=key, user="anna"))
    asking.start()
    harness.wait_until(lambda: standin.calls() >= 1, 10, "the call upstream")
    erase(server, key, "anna")
    standin.open("later")
    asking.join()
    assert server.chat(f"{TEXT}, the slow one?", key=key, user="anna").headers["X-Cache"] == "MISS"


def test_what_was_learned_of_the_user_goes(server, key):
    user = {"X-Cache-Subject": "anna"}
    server.post("/cache/entries", {"query": QUESTION, "response": "Click forgot."}, key, user)
    hit = server.post("/cache/lookup", {"query": QUESTION}, key, user).json()
    body = {"request_id": hit["request_id"], "correct": False}
    assert server.post("/cache/feedback", body, key, user).status_code == 200
    assert server.post("/cache/export", {"subject": "anna"}, key).json()["learned_threshold"] is not None
    receipt = erase(server, key, "anna")["receipt"]
    assert receipt["removed"]["learned_thresholds"] == 1
    crash_and_restart(server)
    assert server.post("/cache/export", {"subject": "anna"}, key).json()["learned_threshold"] is None


@pytest.mark.parametrize("destroyed", [False, True], ids=["folder kept", "folder destroyed"])
def test_an_older_backup_does_not_bring_the_subject_back(server, tmp_path, key, destroyed):
    fill(server, key)
    assert backup(server, tmp_path / "backups").returncode == 0
    archive = only_backup(tmp_path / "backups")
    erase(server, key, "anna")
    if destroyed:
        # What an operator keeps apart, because backups leave it out.
        shutil.copy(data(server) / "keystore/erasures.ledger", tmp_path / "ledger")
    assert server.stop() == 0
    if destroyed:
        shutil.rmtree(data(server))
    arguments = ["--ledger", str(tmp_path / "ledger")] if destroyed else []
    done = run(server, "restore", str(archive), "--root", str(server.folder), *arguments)
    assert done.returncode == 0, done.stderr
    assert "20 entries left out" in done.stdout, done.stdout
    assert files_with(data(server), TEXT, "anna") == []
    assert not list(server.folder.glob("before_restore_*/cache/keystore")), "no second copy of the keys"
    server.start()
    assert_gone(server, key)
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(archive, unpacked)
    left = files_with(unpacked, TEXT)
    assert (left == []) == server.is_encrypted, "said plainly: without encryption the file still holds it"


def test_a_restore_without_the_keystore_loses_subjects_and_nothing_else(server, tmp_path, key):
    fill(server, key)
    assert backup(server, tmp_path / "backups").returncode == 0
    assert server.stop() == 0
    shutil.rmtree(data(server))
    done = run(server, "restore", str(only_backup(tmp_path / "backups")), "--root", str(server.folder))
    assert done.returncode == 0, done.stderr
    assert ("left out" in done.stdout) == server.is_encrypted
    server.start()
    for n in range(20):
        assert lookup(server, key, f"Common question {n}?")["hit"]
        assert lookup(server, key, f"{TEXT}, question {n}?")["hit"] != server.is_encrypted


def test_the_same_backup_restores_everything_while_nothing_was_erased(server, tmp_path, key):
    fill(server, key)
    assert backup(server, tmp_path / "backups").returncode == 0
    assert server.post("/cache/flush", {"confirm": "flush"}, key).status_code == 200
    assert server.stop() == 0
    done = run(server, "restore", str(only_backup(tmp_path / "backups")), "--root", str(server.folder))
    assert done.returncode == 0 and "left out" not in done.stdout, done.stdout + done.stderr
    server.start()
    for n in range(20):
        assert lookup(server, key, f"{TEXT}, question {n}?")["hit"]


@pytest.mark.parametrize("destroyed", [False, True], ids=["host kept", "fresh host"])
def test_a_restore_puts_back_a_keystore_that_lies_apart(start_server, tmp_path, key, destroyed):
    """Its files are replaced one by one: merged ledger, destroyed keys and id are there after."""
    root, apart = tmp_path / "root", tmp_path / "apart"
    environment = {**NO_MODEL, "EGPTC_STORAGE__PATH": root / "data/cache",
                   "EGPTC_STORAGE__KEYSTORE_PATH": apart,
                   **encrypted(write_keys(tmp_path / "master.keys", fresh_key()))}
    server = start_server(environment, config=harness.REQUIRED_SECTIONS, folder=root)
    fill(server, key)
    store(server, key, "Ben's?", "Ben's.", subject="ben")
    assert backup(server, tmp_path / "backups").returncode == 0
    erase(server, key, "anna")
    ledger = shutil.copy(apart / "erasures.ledger", tmp_path / "ledger")
    archive = only_backup(tmp_path / "backups")
    busy = run(server, "restore", str(archive), "--root", str(server.folder))
    assert busy.returncode == 1 and "in use" in busy.stderr, busy.stderr
    assert server.stop() == 0
    if destroyed:
        shutil.rmtree(data(server))
        shutil.rmtree(apart)
    arguments = ["--ledger", str(ledger)]
    dry = run(server, "restore", str(archive), "--root", str(server.folder), "--dry-run", *arguments)
    assert dry.returncode == 0 and apart.exists() != destroyed, "a dry run makes nothing"
    done = run(server, "restore", str(archive), "--root", str(server.folder), *arguments)
    assert done.returncode == 0, done.stderr
    assert (apart / "subjects.keys").stat().st_mode & 0o777 == 0o600
    assert (apart / "erasures.ledger").read_bytes().count(b" begin ") == 1, "what was erased is known"
    assert b" restored " in (apart / "erasures.ledger").read_bytes()
    server.start()
    assert_gone(server, key)
    assert lookup(server, key, "Ben's?")["hit"] != destroyed, "a fresh host has no key of his"
    store(server, key, "Anna again?", "Yes.", subject="anna")
    crash_and_restart(server)
    assert lookup(server, key, "Anna again?")["hit"]


def test_a_damaged_ledger_stops_a_restore(server, tmp_path, key):
    fill(server, key, 3)
    assert backup(server, tmp_path / "backups").returncode == 0
    for subject in ("anna", "ben", "carl"):
        erase(server, key, subject)
    assert server.stop() == 0
    ledger = data(server) / "keystore/erasures.ledger"
    text = ledger.read_bytes()
    ledger.write_bytes(text[:40] + bytes([text[40] ^ 1]) + text[41:])
    archive = only_backup(tmp_path / "backups")
    done = run(server, "restore", str(archive), "--root", str(server.folder))
    assert done.returncode == 1 and "ledger" in done.stderr and "damaged" in done.stderr
    server.start()
    assert "damaged in line 1" in server.log()


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.01, 0.05])
def test_killed_in_the_middle_of_an_erase(server, key, pause):
    bulk = [{"query": f"{TEXT} {n}?", "response": f"{TEXT} " + "x" * 1000, "subject": "anna"}
            for n in range(1000)]
    assert server.post("/cache/entries", {"entries": bulk}, key).status_code == 201
    outcome = []

    def ask():
        try:
            outcome.append(server.post("/cache/erase", {"subject": "anna"}, key).status_code)
        except Exception:  # noqa: BLE001 the server is killed
            outcome.append(0)

    asking = threading.Thread(target=ask)
    asking.start()
    ledger = data(server) / "keystore/erasures.ledger"
    harness.wait_until(lambda: b"begin" in ledger.read_bytes(), 10, "the erasure is noted")
    time.sleep(pause + random.random() * 0.01)
    kill(server)
    asking.join()
    server.session.close()
    server.start()
    assert b" done " in ledger.read_bytes(), "finished at the start"
    for n in range(0, 1000, 25):
        assert not lookup(server, key, f"{TEXT} {n}?")["hit"]
    assert files_with(data(server), TEXT) == []


def test_receipts(server, tmp_path, key):
    fill(server, key, 2)
    variable = {"THE_KEY": key}
    done = run(server, "erase", "--subject", "anna", "--api-key-env", "THE_KEY", **variable)
    assert done.returncode == 0, done.stderr
    receipt = tmp_path / "receipt.json"
    receipt.write_text(done.stdout)
    content = json.loads(done.stdout)["receipt"]
    assert content["subject"] == "anna" and content["removed"]["entries"] == 2
    assert content["encryption"] == server.is_encrypted
    assert ("destroyed" in content["older_backups"]) == server.is_encrypted
    holds = run(server, "erase", "--verify-receipt", str(receipt))
    assert holds.returncode == 0 and "of this installation" in holds.stderr, holds.stderr
    forged = json.loads(done.stdout)
    forged["receipt"]["removed"]["entries"] = 3
    receipt.write_text(json.dumps(forged))
    assert run(server, "erase", "--verify-receipt", str(receipt)).returncode == 1
    receipt.write_text(json.dumps({**json.loads(done.stdout), "public_key": "0" * 64}))
    assert run(server, "erase", "--verify-receipt", str(receipt)).returncode == 1
    receipt.write_text("{}")
    assert run(server, "erase", "--verify-receipt", str(receipt)).returncode == 2
    receipt.write_text(done.stdout)
    anywhere = harness.run_binary("erase", "--verify-receipt", str(receipt), folder=tmp_path)
    assert anywhere.returncode == 0 and "not checked" in anywhere.stderr
    other = harness.run_binary("erase", "--verify-receipt", str(receipt), "--public-key", "1" * 64,
                               folder=tmp_path)
    assert other.returncode == 1


def test_export(server, key):
    for n in range(7):
        store(server, key, f"Question {n}?", {"n": n}, subject="anna")
    store(server, key, "Of somebody else?", "no", subject="ben")
    page = server.post("/cache/export", {"subject": "anna", "limit": 5}, key).json()
    assert len(page["entries"]) == 5 and page["next_cursor"]
    done = run(server, "export", "--subject", "anna", "--api-key-env", "THE_KEY", THE_KEY=key)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(line["response"]["n"] for line in lines) == list(range(7))


def test_an_export_goes_on_when_the_entry_of_its_cursor_has_left(server, key):
    for n in range(6):
        store(server, key, f"Question {n}?", {"n": n}, subject="anna")

    def page(**more):
        return server.post("/cache/export", {"subject": "anna", "limit": 3, **more}, key)

    first = page().json()
    gone = first["entries"][-1]["id"]
    authorization = {"Authorization": f"Bearer {key}"}
    assert server.request("DELETE", f"/cache/entries/{gone}", headers=authorization).status_code < 300
    rest = page(cursor=first["next_cursor"]).json()
    assert [one["response"]["n"] for one in rest["entries"]] == [2, 1, 0]
    wrong = page(cursor="somewhere")
    assert wrong.status_code == 400 and "cursor" in wrong.json()["error"]["message"]
    crash_and_restart(server)
    late = page(cursor=first["next_cursor"])
    assert late.status_code == 410 and "begin again" in late.json()["error"]["message"]


@pytest.mark.parametrize("body, field", [
    ({}, "subject"), ({"subject": ""}, "subject"), ({"subject": 7}, "subject"),
    ({"subject": "x" * 257}, "subject"), ({"subject": "a", "all": 1}, "all"),
    ({"subject": "a", "namespace": 1}, "namespace")])
def test_bad_input(server, key, body, field):
    for path in ("/cache/erase", "/cache/export"):
        done = server.post(path, body, key)
        assert done.status_code == 400 and field in done.json()["error"]["message"], done.text


def test_roles_and_the_audit_log(standin, tmp_path):
    server = secure.start(tmp_path / "secure", standin.base_url, **NO_MODEL)
    try:
        admin = server.create(role="admin", tenant="acme")["key"]
        client = server.create(role="client", tenant="acme")["key"]
        store(server, client, "Whose?", "Anna's.", subject="Anna-Musterfrau")
        for path in ("/cache/erase", "/cache/export"):
            assert server.post(path, {"subject": "Anna-Musterfrau"}, client).status_code == 403
        receipt = erase(server, admin, "Anna-Musterfrau")["receipt"]
        assert receipt["removed"]["entries"] == 1 and receipt["tenant"].endswith("acme")
        assert not lookup(server, client, "Whose?")["hit"]
        lines = server.get_as("/admin/audit", server.admin).json()["entries"]
        assert any("a subject was erased: 1 entries" in line["detail"] for line in lines)
        assert files_with(server.folder, "Anna-Musterfrau") == [], "not even in the audit log"
    finally:
        assert server.stop() == 0

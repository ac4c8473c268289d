"""Entries outlive the process: warm starts, kill -9, removals that stay removed, damage, a full disk."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import threading
import time

import pytest
import requests

import harness
from settings_walk import changes, setting

QUESTION = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"
KILL_ROUNDS = int(os.environ.get("EGPTC_KILL_ROUNDS", "5"))
NO_MODEL = {"EGPTC_EMBEDDER__ENABLED": "false", "EGPTC_MONITORING__ACCESS_LOG": "false"}


def kill(server) -> None:
    server.process.kill()
    server.process.wait()
    server.process = None


def crash_and_restart(server):
    kill(server)
    server.session.close()
    return server.start()


def store(server, key, query, response, **more):
    done = server.post("/cache/entries", {"query": query, "response": response, **more}, key)
    assert done.status_code == 201, done.text
    return done.json()["ids"][0]


def lookup(server, key, query):
    done = server.post("/cache/lookup", {"query": query}, key)
    assert done.status_code == 200, done.text
    return done.json()


def storage_check(server) -> dict:
    return server.get("/health").json()["checks"]["components"]["storage"]


# --- warm starts -------------------------------------------------------------------------------
def test_a_killed_server_starts_warm(start_server, key):
    server = start_server()
    entry = store(server, key, QUESTION, {"steps": ["a", "b"]}, tags=["help"], ttl_seconds=3600)
    server.chat("What does the gold plan cost?", key=key)
    harness.wait_until(lambda: server.metrics()["storage_stored_total"] == 2, 10, "both on disk")
    crash_and_restart(server)
    exact = lookup(server, key, QUESTION)
    assert exact["hit"] and exact["entry_id"] == entry and exact["response"] == {"steps": ["a", "b"]}
    semantic = lookup(server, key, PARAPHRASE)
    assert semantic["hit"] and semantic["layer"] == "semantic" and semantic["entry_id"] == entry
    again = server.chat("What does the gold plan cost?", key=key)
    assert again.headers["X-Cache"] == "HIT" and again.json()["choices"][0]["message"]["content"]
    assert not lookup(server, harness.fresh_key(), QUESTION)["hit"], "another tenant sees none of it"
    assert "2 entries loaded" in storage_check(server)["detail"]
    listed = server.get("/cache/entries", headers={"Authorization": f"Bearer {key}"}).json()["entries"]
    assert len(listed) == 2 and listed[0]["id"] != entry, "newest first, as before"


@pytest.mark.parametrize("how", ["flush", "delete", "invalidate", "feedback"])
def test_what_was_removed_stays_removed(start_server, key, how):
    server = start_server(NO_MODEL)
    entry = store(server, key, QUESTION, "old", tags=["t"])
    kept = store(server, key, "Who wrote Faust?", "Goethe.", namespace="kept")
    if how == "flush":
        assert server.post("/cache/flush", {"namespace": "", "confirm": "flush"}, key).json()["removed"] == 1
    elif how == "delete":
        done = server.request("DELETE", f"/cache/entries/{entry}", headers={"Authorization": f"Bearer {key}"})
        assert done.json()["removed"] == 1
    elif how == "invalidate":
        assert server.post("/cache/invalidate", {"tags": ["t"]}, key).json()["removed"] == 1
    else:
        done = server.post("/cache/feedback", {"entry_id": entry, "correct": False}, key)
        assert done.json()["action"] == "removed"
    crash_and_restart(server)
    assert not lookup(server, key, QUESTION)["hit"]
    found = server.post("/cache/lookup", {"query": "Who wrote Faust?", "namespace": "kept"}, key).json()
    assert found["hit"] and found["entry_id"] == kept


def test_a_replaced_answer_stays_replaced(start_server, key):
    server = start_server(NO_MODEL)
    for version in range(5):
        store(server, key, QUESTION, f"version {version}")
        crash_and_restart(server)
    assert lookup(server, key, QUESTION)["response"] == "version 4"


# --- kill -9 under load ------------------------------------------------------------------------
class Writer(threading.Thread):
    """Stores until the server is gone; `acknowledged` holds what was answered with 201."""

    def __init__(self, url: str, key: str, number: int, generation: int):
        super().__init__()
        self.url, self.key, self.prefix = url, key, f"{generation}.{number}"
        self.acknowledged: dict[str, str] = {}

    def run(self):
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.key}"
        for count in range(1_000_000):
            query = f"Question {self.prefix}.{count}?"
            response = f"answer to {query} " * random.randint(1, 60) + "end"
            try:
                done = session.post(self.url + "/cache/entries", timeout=10,
                                    json={"query": query, "response": response})
            except requests.RequestException:
                return
            if done.status_code == 201:
                self.acknowledged[query] = response


def test_kill_9_under_load_loses_nothing_acknowledged(start_server, key, capsys):
    server = start_server({**NO_MODEL, "EGPTC_CACHE__SIZE_MB": "1000"})
    everything: dict[str, str] = {}
    restarts = []
    for generation in range(KILL_ROUNDS):
        writers = [Writer(server.url, key, number, generation) for number in range(3)]
        for writer in writers:
            writer.start()
        time.sleep(random.uniform(0.05, 0.4))
        kill(server)
        for writer in writers:
            writer.join()
        fresh = {query: text for writer in writers for query, text in writer.acknowledged.items()}
        everything.update(fresh)
        began = time.monotonic()
        server.start()
        restarts.append(time.monotonic() - began)
        older = random.sample(sorted(everything), min(50, len(everything)))
        for query in [*fresh, *older]:
            found = lookup(server, key, query)
            assert found["hit"] and found["response"] == everything[query], (generation, query)
    metrics = server.metrics()
    assert metrics['storage_loaded_entries{outcome="damaged"}'] == 0
    assert metrics['storage_loaded_entries{outcome="loaded"}'] >= len(everything)
    with capsys.disabled():
        print(f"\n{KILL_ROUNDS} kills, {len(everything)} acknowledged entries, all served; restart "
              f"{min(restarts):.2f} to {max(restarts):.2f} s")


# --- damage ------------------------------------------------------------------------------------
def test_a_damaged_file_costs_its_entries_only(start_server, key):
    server = start_server(NO_MODEL)
    for number in range(400):
        store(server, key, f"Question {number}?", f"answer {number} " + os.urandom(400).hex())
    folder = server.folder / "storage/entries"
    assert server.stop() == 0
    tables = sorted(folder.glob("*.sst"), key=lambda path: path.stat().st_size)
    content = bytearray(tables[-1].read_bytes())
    content[len(content) // 2] ^= 1
    tables[-1].write_bytes(content)
    server.start()
    health = storage_check(server)
    assert health["status"] == "warning" and "damaged" in health["detail"]
    metrics = server.metrics()
    damaged = metrics['storage_loaded_entries{outcome="damaged"}']
    assert 0 < damaged < 100
    hits = [number for number in range(400) if lookup(server, key, f"Question {number}?")["hit"]]
    assert len(hits) == 400 - damaged
    assert server.log().count("is damaged and left out") == damaged, "every one is named"
    harness.wait_until(lambda: server.metrics()["storage_rebuilds_total"] == 1, 10, "the rebuilt table")
    crash_and_restart(server)
    assert server.metrics()['storage_loaded_entries{outcome="loaded"}'] == len(hits)
    assert storage_check(server)["status"] == "healthy"


def test_a_flush_clears_what_was_put_aside(start_server, key):
    server = start_server(NO_MODEL)
    store(server, key, QUESTION, "Click forgot.")
    assert server.stop() == 0
    # With its copy, or it would be put right.
    shutil.rmtree(server.folder / "storage/entries.spare")
    for manifest in (server.folder / "storage/entries").glob("MANIFEST-*"):
        manifest.write_text("nonsense\n")
    server.start()
    aside = server.folder / "storage/quarantine"
    assert aside.is_dir() and storage_check(server)["status"] == "warning"
    assert server.post("/cache/flush", {"confirm": "flush"}, key).status_code == 200
    assert not aside.exists()


def test_a_foreign_instance_key_is_explained(start_server, tmp_path, key):
    server = start_server(NO_MODEL)
    store(server, key, QUESTION, "Click forgot.")
    assert server.stop() == 0
    (server.folder / "storage/instance.key").unlink()
    server.start(wait=False)
    assert server.process.wait(harness.START_SECONDS) == 1
    assert "instance key" in server.log()
    server.process = None


# --- a full disk -------------------------------------------------------------------------------
@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)],
                             capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting needs root; unit tests of EntryLog and the cache cover a full disk too")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_storing_and_recovers(start_server, small_disk, key):
    server = start_server({**NO_MODEL, "EGPTC_STORAGE__PATH": small_disk / "storage",
                           "EGPTC_STORAGE__SYNC": "always"})
    store(server, key, QUESTION, "Click forgot.")
    assert re.search(r"has only \d+ MB free", storage_check(server)["detail"]), "told before it is full"
    filler = small_disk / "filler"
    # Unbuffered: closing would write what is left, and fail again.
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    refused = None
    for number in range(200):
        done = server.post("/cache/entries", {"query": f"Question {number}?",
                                               "response": os.urandom(50_000).hex()}, key)
        if done.status_code != 201:
            refused = done
            break
    assert refused is not None and refused.status_code == 503, "a store cannot be durable on a full disk"
    assert "storage" in refused.json()["error"]["message"]
    health = storage_check(server)
    assert health["status"] == "warning" and "none is stored" in health["detail"]
    metrics = server.metrics()
    assert metrics["storage_failing"] == 1 and metrics["storage_errors_total"] >= 1
    assert lookup(server, key, QUESTION)["response"] == "Click forgot.", "it serves"
    assert server.chat("Is the proxy alive?", key=key).status_code == 200
    failed = 'cache_fail_open_total{stage="store"}'
    harness.wait_until(lambda: server.metrics()[failed] == metrics[failed] + 1, 10, "the answer not learned")
    assert server.metrics()["storage_refused_total"] == metrics["storage_refused_total"] + 1
    filler.unlink()
    harness.wait_until(lambda: server.metrics()["storage_failing"] == 0, 15, "recovery by itself")
    store(server, key, "Who wrote Faust?", "Goethe.")
    crash_and_restart(server)
    assert lookup(server, key, "Who wrote Faust?")["response"] == "Goethe."
    assert lookup(server, key, QUESTION)["response"] == "Click forgot."


@pytest.mark.slow
def test_a_compaction_without_room_refuses_no_store_later(start_server, small_disk, key):
    """The storage engine keeps such an error for its next flush, which comes when there is room again."""
    server = start_server({**NO_MODEL, "EGPTC_STORAGE__PATH": small_disk / "storage",
                           "EGPTC_CACHE__SIZE_MB": "4"})

    def put(number, size):
        body = {"query": f"Question {number}?", "response": os.urandom(size // 2).hex()}
        return server.post("/cache/entries", body, key).status_code

    for number in range(250):
        assert put(number, 30_000) == 201
    filler, number = small_disk / "filler", 250
    with open(filler, "wb") as file:
        while os.statvfs(small_disk).f_bavail * 4096 > 1_500_000:
            file.write(bytes(4096))
            file.flush()
    deadline = time.monotonic() + 60 * harness.SLOWNESS
    while "Compaction error" not in server.log() and time.monotonic() < deadline:
        number += 1
        put(number, 2_000)
        time.sleep(0.02)
    filler.unlink()
    if "Compaction error" not in server.log():
        pytest.skip("the engine found room for every compaction")
    harness.wait_until(lambda: server.metrics()["storage_failing"] == 0, 15, "recovery by itself")
    refused = []
    until = time.monotonic() + 12  # a flush comes every ten seconds at least
    while time.monotonic() < until:
        number += 1
        refused += [number] if put(number, 300) != 201 else []
        time.sleep(0.02)
    assert not refused, "there is room"
    crash_and_restart(server)
    assert lookup(server, key, f"Question {number}?")["hit"]


# --- settings ----------------------------------------------------------------------------------
@changes("storage.enabled")
def test_storage_can_be_off(start_server, key):
    server = start_server({**NO_MODEL, "EGPTC_STORAGE__ENABLED": "false"})
    store(server, key, QUESTION, "Click forgot.")
    assert lookup(server, key, QUESTION)["hit"]
    assert storage_check(server)["enabled"] is False
    crash_and_restart(server)
    assert not lookup(server, key, QUESTION)["hit"]
    assert not (pathlib.Path(server.folder) / "storage/entries").exists()


@changes("storage.sync")
def test_sync_always_and_os(start_server, key):
    syncs = {}
    for mode in ("always", "os"):
        server = start_server({**NO_MODEL, "EGPTC_STORAGE__SYNC": mode})
        for number in range(5):
            store(server, key, f"Question {number}?", "answer")
        syncs[mode] = server.metrics()["storage_syncs_total"]
    assert syncs == {"always": 5, "os": 0}


@changes("storage.sync_interval_ms")
def test_sync_interval(start_server, key):
    hourly = start_server({**NO_MODEL, "EGPTC_STORAGE__SYNC_INTERVAL_MS": "3600000"})
    store(hourly, key, QUESTION, "answer")
    often = start_server({**NO_MODEL, "EGPTC_STORAGE__SYNC_INTERVAL_MS": "20"})
    store(often, key, QUESTION, "answer")
    harness.wait_until(lambda: often.metrics()["storage_syncs_total"] == 1, 10, "the sync after an interval")
    assert hourly.metrics()["storage_syncs_total"] == 0


@changes("storage.size_mb")
def test_size_on_disk(start_server, key):
    server = start_server({**NO_MODEL, "EGPTC_CACHE__SIZE_MB": "500"},
                          config=harness.REQUIRED_SECTIONS + "storage: {size_mb: 64}\n")
    for number in range(60):
        store(server, key, f"Question {number}?", os.urandom(250_000).hex())
    assert server.metrics()["cache_entries"] == 60
    with setting(server, storage__size_mb=16):
        entries = server.metrics()["cache_entries"]
        assert 0 < entries < 30, "the oldest have gone from memory and disk"
        assert lookup(server, key, "Question 59?")["hit"] and not lookup(server, key, "Question 0?")["hit"]
    assert server.metrics()["cache_entries"] == entries
    crash_and_restart(server)
    assert server.metrics()["cache_entries"] == entries

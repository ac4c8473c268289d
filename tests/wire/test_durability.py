"""kill -9 while the disk is busiest: during compactions, during backups; and what a backup taken under load
holds, by id. EGPTC_KILL_ROUNDS says how many rounds each, the figures are printed."""

import http.client
import json
import os
import random
import statistics
import subprocess
import threading
import time

import pytest

import harness
from test_storage import NO_MODEL, kill, lookup

ROUNDS = int(os.environ.get("EGPTC_KILL_ROUNDS", "3"))
BATCH = 50
LIST_MAX = 1000
# Write buffers are a 32nd of the size on disk: 4 MiB, so that RocksDB compacts every few seconds.
STORAGE_MB = 128
SMALL_BUFFERS = {**NO_MODEL, "EGPTC_CACHE__SIZE_MB": "2000", "EGPTC_STORAGE__SIZE_MB": str(STORAGE_MB)}
ROUNDS_A_FOLDER = 2
RATE_MAX = 3000
# An evicted entry would look as if it were lost. So what is written stays far below what is kept (check()
# measures it), and the server must have evicted none.
ENTRIES_MAX = 38_000
ENTRY_BYTES_MAX = 0.8 * STORAGE_MB * 2**20  # the engine's own needs take the rest


class BatchWriter(threading.Thread):
    """Stores batches until the server is gone or `stop`; `acknowledged` is (id, question, answer) of what
    was answered with 201. `most`: entries a second it does not go above."""

    def __init__(self, server, key: str, name: str, stop: threading.Event, most: float = 0):
        super().__init__()
        self.port, self.key, self.prefix, self.stop, self.most = server.port, key, name, stop, most
        self.acknowledged: list[tuple[str, str, str]] = []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.CALL_SECONDS)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        began = time.monotonic()
        for batch in range(1_000_000):
            pairs = [self._pair(batch, number) for number in range(BATCH)]
            body = json.dumps({"entries": [{"query": q, "response": a} for q, a in pairs]})
            try:
                connection.request("POST", "/cache/entries", body, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                return
            assert answer.status == 201, text
            ids = json.loads(text)["ids"]
            self.acknowledged += [(entry, *pair) for entry, pair in zip(ids, pairs, strict=True)]
            ahead = 0.0
            if self.most:
                ahead = len(self.acknowledged) / self.most - (time.monotonic() - began)
            if self.stop.wait(max(0.0, ahead)):
                return

    def _pair(self, batch: int, number: int) -> tuple[str, str]:
        question = f"Question {self.prefix}.{batch}.{number}?"
        return question, f"{question} {random.getrandbits(2400):x} end"


def write(server, key, name, most: float = 0, writers: int = 2):
    stop = threading.Event()
    made = [BatchWriter(server, key, f"{name}.{n}", stop, most / writers) for n in range(writers)]
    for writer in made:
        writer.start()
    return made, stop


def join(writers) -> list[tuple[str, str, str]]:
    for writer in writers:
        writer.join()
    return [one for writer in writers for one in writer.acknowledged]


def all_ids(server, key) -> set[str]:
    found, cursor = set(), ""
    while True:
        query = f"/cache/entries?limit={LIST_MAX}" + (f"&cursor={cursor}" if cursor else "")
        page = server.get(query, headers={"Authorization": f"Bearer {key}"}).json()
        found |= {entry["id"] for entry in page["entries"]}
        cursor = page["next_cursor"]
        if not cursor:
            return found


def evictions(server) -> dict[str, float]:
    metrics = server.metrics()
    return {
        cause: metrics[f'cache_evictions_total{{cause="{cause}"}}'] for cause in ("size", "quota", "expired")
    }


def check(server, key, acknowledged) -> None:
    """Every id is there, none was or could have been evicted, and a sample of the answers byte by byte."""
    found = all_ids(server, key)
    missing = {entry for entry, _, _ in acknowledged} - found
    evicted = evictions(server)
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged entries are gone; {evicted=}"
    assert set(evicted.values()) == {0}, evicted
    # Eviction stops as soon as the entries fit again, so below this there was none before the kill either.
    held = server.metrics()["cache_bytes"]
    assert held < 0.75 * ENTRY_BYTES_MAX, f"{held} bytes in {len(found)} entries: near the limit"
    for entry, question, answer in random.sample(acknowledged, min(40, len(acknowledged))):
        found = lookup(server, key, question)
        assert found["hit"] and found["entry_id"] == entry and found["response"] == answer, question
    assert server.metrics()['storage_loaded_entries{outcome="damaged"}'] == 0


def wait_for_compaction(server) -> bool:
    """True as soon as one runs; False when none came in time, which is a round like any other."""
    end = time.monotonic() + 6
    while time.monotonic() < end:
        if server.metrics()["storage_compactions_running"] > 0:
            return True
        time.sleep(0.01)
    return False


def rounds(start_server, tmp_path, during):
    """Rounds of `during(server, key, writers)`, each ended by kill -9 and a check of all of its folder."""
    rates, restarts, total = [], [], 0
    server, key, kept = None, "", []
    for number in range(ROUNDS):
        if number % ROUNDS_A_FOLDER == 0:
            if server is not None:
                server.stop()
            server = start_server(SMALL_BUFFERS, folder=tmp_path / f"folder{number}")
            key, kept = harness.fresh_key(), []
        writers, _ = write(server, key, f"{number}", most=RATE_MAX, writers=3)
        began = time.monotonic()
        during(server, key)
        rate_seconds = time.monotonic() - began
        kill(server)
        fresh = join(writers)
        kept += fresh
        assert len(kept) < ENTRIES_MAX, "more than fits would be evicted, and nothing be shown"
        total += len(fresh)
        rates.append(len(fresh) / rate_seconds)
        server.session.close()
        began = time.monotonic()
        server.start()
        restarts.append(time.monotonic() - began)
        check(server, key, kept)
    return (
        f"{ROUNDS} kills at {statistics.median(rates):,.0f} stores/s (median; {min(rates):,.0f} to "
        f"{max(rates):,.0f}), {total} acknowledged entries, none lost; restart {min(restarts):.2f} to "
        f"{max(restarts):.2f} s"
    )


@pytest.mark.slow
def test_kill_9_during_compactions(start_server, tmp_path, capsys):
    hit = []

    def during(server, _key):
        hit.append(wait_for_compaction(server))
        time.sleep(random.uniform(0, 0.02))

    figures = rounds(start_server, tmp_path, during)
    with capsys.disabled():
        print(f"\nduring compactions ({sum(hit)} of {ROUNDS} with one under way): {figures}")
    assert any(hit)


@pytest.mark.slow
def test_kill_9_during_backups(start_server, tmp_path, capsys):
    """The backup may fail; what it leaves is whole or nothing, and the server's own data loses nothing."""
    ended = {"made": 0, "failed": 0}

    def during(server, _key):
        time.sleep(random.uniform(0.5, 1))
        output = tmp_path / "backups"
        command = [str(harness.BINARY), "backup", "--output", str(output), "--without-models"]
        backup = subprocess.Popen(
            command,
            env=server.environment,
            cwd=server.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        time.sleep(random.uniform(0, 0.6))
        server.process.kill()
        text = backup.communicate(timeout=harness.CALL_SECONDS)[0]
        ended["made" if backup.returncode == 0 else "failed"] += 1
        assert backup.returncode in (0, 1), text
        for made in output.glob("*") if output.exists() else ():
            assert made.name.endswith(".tar.gz"), f"{made} was left half written"
            verified = harness.run_binary("backup", "--verify", str(made))
            assert verified.returncode == 0, verified.stderr
            made.unlink()

    figures = rounds(start_server, tmp_path, during)
    for folder in tmp_path.glob("folder*/storage/checkpoints"):
        assert list(folder.iterdir()) == [], "a start clears what a killed backup left"
    with capsys.disabled():
        print(f"\nduring backups ({ended['made']} whole, {ended['failed']} failed): {figures}")


@pytest.mark.slow
def test_a_backup_under_load_holds_all_that_was_acknowledged(start_server, tmp_path, capsys):
    rates, counts = [], []
    for number in range(max(1, ROUNDS // 3)):
        key = harness.fresh_key()
        root = tmp_path / f"root{number}"
        server = start_server({**SMALL_BUFFERS, "EGPTC_STORAGE__PATH": str(root / "data/cache")}, folder=root)
        began = time.monotonic()
        writers, stop = write(server, key, f"{number}", most=1200)
        time.sleep(random.uniform(1.5, 2.5))
        before = [one for writer in writers for one in list(writer.acknowledged)]
        output = tmp_path / f"out{number}"
        done = harness.run_binary(
            "backup",
            "--output",
            str(output),
            "--without-models",
            environment=server.environment,
            folder=server.folder,
        )
        stop.set()
        everything = join(writers)
        rates.append(len(everything) / (time.monotonic() - began))
        assert done.returncode == 0 and "while the server ran" in done.stdout, done.stdout + done.stderr
        assert len(everything) > len(before), "it was written to meanwhile"
        assert server.stop() == 0
        (archive,) = output.glob("backup_*.tar.gz")
        other = tmp_path / f"restored{number}"
        done = harness.run_binary("restore", str(archive), "--root", str(other), folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        restored = start_server(
            {**SMALL_BUFFERS, "EGPTC_STORAGE__PATH": str(other / "data/cache")}, folder=other
        )
        check(restored, key, before)
        counts.append(len(before))
        assert restored.stop() == 0
    with capsys.disabled():
        print(
            f"\nbackups under {statistics.median(rates):,.0f} stores/s: {len(counts)} restored, all "
            f"{sum(counts)} entries acknowledged before they began are in them, by id"
        )

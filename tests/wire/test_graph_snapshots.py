"""Graphs of large partitions over a restart: from their snapshot or built anew, with the same answers."""

import harness
from settings_walk import changes

ENTRIES = 120
ITEMS = (
    "password invoice router passport mortgage bicycle keyboard garden violin printer kitchen contract "
    "camera boat subscription"
).split()
TASKS = "renew repair cancel insure clean paint sell replace".split()
QUESTIONS = [
    (f"How do I {task} the {item}?", f"How can I {task} the {item}?") for task in TASKS for item in ITEMS
][:ENTRIES]
# By cosine alone: what is measured here is whether an entry is found, not whether it may answer.
STATIC = {
    "EGPTC_CACHE__DECISION": "static",
    "EGPTC_CACHE__SIMILARITY_THRESHOLD": "0.9",
    "EGPTC_CACHE__GRAPH_FROM": "64",
    "EGPTC_MONITORING__ACCESS_LOG": "false",
}


def fill(server, key):
    rows = [{"query": asked, "response": f"answer {number}"} for number, (asked, _) in enumerate(QUESTIONS)]
    done = server.post("/cache/entries", {"entries": rows}, key)
    assert done.status_code == 201, done.text


def answers(server, key) -> list[str]:
    """What is served for other words, in order."""
    found = [server.post("/cache/lookup", {"query": other}, key).json() for _, other in QUESTIONS]
    assert all(one["layer"] == "semantic" for one in found if one["hit"])
    return [one.get("response") if one["hit"] else "" for one in found]


def snapshots(server, outcome: str) -> float:
    return server.metrics()[f'storage_graph_snapshots_total{{outcome="{outcome}"}}']


def health(server) -> str:
    return server.get("/health").json()["checks"]["components"]["storage"]["detail"]


def files(server, suffix: str) -> list:
    return sorted((server.folder / "storage/index").glob(f"*{suffix}"))


@changes("cache.graph_from")
def test_a_restart_takes_the_graph_from_its_snapshot(start_server, key):
    server = start_server(STATIC)
    fill(server, key)
    before = answers(server, key)
    assert sum(text == f"answer {number}" for number, text in enumerate(before)) >= ENTRIES * 0.9
    assert server.stop() == 0
    (snapshot,) = files(server, ".graph")
    assert snapshot.stat().st_mode & 0o777 == 0o600
    assert b"password" not in snapshot.read_bytes() and b"answer" not in snapshot.read_bytes()
    server.start()
    assert snapshots(server, "restored") == 1 and snapshots(server, "put_aside") == 0
    assert "1 graphs of" in health(server)
    assert answers(server, key) == before
    assert server.stop() == 0
    good = snapshot.read_bytes()
    for damaged in (good[: len(good) // 2], good[:100] + bytes([good[100] ^ 1]) + good[101:], b""):
        snapshot.write_bytes(damaged)
        server.start()
        assert snapshots(server, "restored") == 0 and snapshots(server, "put_aside") == 1
        assert "put aside" in health(server) and len(files(server, ".aside")) == 1
        assert answers(server, key) == before
        harness.wait_until(
            lambda: server.metrics()["storage_graph_rows_waiting"] == 0, 30, "a graph is built"
        )
        harness.wait_until(lambda: snapshots(server, "saved") >= 1, 30, "and saved")
        assert answers(server, key) == before
        assert server.stop() == 0
    server.start()
    assert snapshots(server, "restored") == 1
    assert answers(server, key) == before


def test_without_a_graph_there_is_no_snapshot(start_server, key):
    server = start_server({**STATIC, "EGPTC_CACHE__GRAPH_FROM": "1000"})
    fill(server, key)
    assert server.stop() == 0
    assert not (server.folder / "storage/index").exists()


def test_what_was_removed_or_killed_since_is_made_good(start_server, key):
    server = start_server(STATIC)
    fill(server, key)
    assert server.stop() == 0
    server.start()
    asked, other = QUESTIONS[7]
    entry = server.post("/cache/lookup", {"query": asked}, key).json()["entry_id"]
    done = server.request("DELETE", f"/cache/entries/{entry}", headers={"Authorization": f"Bearer {key}"})
    assert done.json()["removed"] == 1
    new = "Which train goes from Bern to Basel?"
    assert server.post("/cache/entries", {"query": new, "response": "IC 61"}, key).status_code == 201
    server.process.kill()
    server.process.wait()
    server.process = None
    server.start()
    assert snapshots(server, "restored") == 1
    assert server.post("/cache/lookup", {"query": other}, key).json().get("response") != "answer 7"
    found = server.post("/cache/lookup", {"query": "Which train goes from Bern to Basel please?"}, key).json()
    assert found["hit"] and found["layer"] == "semantic" and found["response"] == "IC 61"

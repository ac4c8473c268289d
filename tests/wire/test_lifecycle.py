"""Start, drain, restart, memory."""

import asyncio
import json
import os
import signal
import time

import pytest

import harness
import rawhttp
import sse
from streams import Stream, run


def test_drain_finishes_running_answers(start_server, standin, key):
    server = start_server()
    standin.rule("while it stops", gate="drain", gate_events=2)

    def is_open() -> bool:
        try:
            rawhttp.Connection(server).close()
            return True
        except OSError:
            return False

    async def program():
        stream = await Stream.open(server, "Say it while it stops", key)
        await stream.first_event()
        server.process.send_signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(
            None, lambda: harness.wait_until(lambda: not is_open(), 5, "a closed port"))
        await loop.run_in_executor(None, standin.open, "drain")
        return await stream.rest()

    events = run(program())
    assert events[-1] == "[DONE]"
    assert sse.reassemble(events)["choices"][0]["finish_reason"] == "stop"
    assert server.stop(signalled=True) == 0


def test_not_ready_before_it_drains(start_server, key):
    server = start_server({"EGPTC_SERVER__DRAIN_DELAY_SECONDS": 3 * harness.SLOWNESS})
    assert server.get("/ready").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    harness.wait_until(lambda: server.get("/ready").status_code == 503, 2, "not ready")
    # Callers that were not yet sent elsewhere are served as before.
    assert server.get("/live").status_code == 200
    stored = server.post("/cache/entries", {"query": "Who comes late?", "response": "You"}, key)
    assert stored.status_code == 201
    assert server.stop(signalled=True) == 0


def test_drain_is_bounded(start_server, standin, key):
    server = start_server({"EGPTC_SERVER__DRAIN_TIMEOUT_SECONDS": 1})
    standin.rule("never ends", gate="never", gate_events=2)

    async def program():
        stream = await Stream.open(server, "What never ends?", key)
        await stream.first_event()
        begun = time.monotonic()
        status = await asyncio.get_running_loop().run_in_executor(None, server.stop)
        return status, time.monotonic() - begun

    status, seconds = run(program())
    assert status == 0 and seconds < 10 * harness.SLOWNESS


QUEUED = {
    "/v1/chat/completions": lambda text: {"model": "m", "messages": [{"role": "user", "content": text}]},
    "/v1/embeddings": lambda text: {"model": "all-MiniLM-L6-v2", "input": text},
    "/cache/entries": lambda text: {"query": text, "response": "x", "model": "m"},
    "/cache/lookup": lambda text: {"query": text, "model": "m"},
}


@pytest.mark.parametrize("clients", ["leave", "stay"])
@pytest.mark.parametrize("path", QUEUED)
def test_stopping_while_embeddings_are_queued(start_server, key, path, clients):
    """Callbacks of the embedder come from its own threads; none may meet what is gone already."""
    server = start_server({"EGPTC_SERVER__DRAIN_TIMEOUT_SECONDS": 0.05,
                           "EGPTC_MONITORING__ACCESS_LOG": "false"})
    # Something of the same partition, so that look-ups have to embed.
    server.post("/cache/entries", {"query": "Something else", "response": "x", "model": "m"}, key)
    server.chat("Something else", key, model="m")
    words = "house river green apple window music table garden stone paper cloud forest".split()
    connections = []
    for number in range(120):
        text = " ".join(words[(number * step + step) % len(words)] for step in range(1, 200)) + f" {number}"
        body = json.dumps(QUEUED[path](text)).encode()
        connections.append(rawhttp.Connection(server).send(
            rawhttp.request("POST", path, body, f"Authorization: Bearer {key}")))
    time.sleep(0.1)
    if clients == "leave":
        for connection in connections:
            connection.close()
    assert server.stop() == 0, server.log()[-2000:]
    for connection in connections:
        connection.close()


def test_sigint_stops_too(start_server):
    server = start_server()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(harness.STOP_SECONDS) == 0


def test_second_server_on_one_folder_is_refused(start_server, tmp_path):
    first = start_server(folder=tmp_path / "one")
    second = harness.Server(tmp_path / "two", None, {"EGPTC_STORAGE__PATH": str(tmp_path / "one/storage")})
    second.start(wait=False)
    assert second.process.wait(harness.START_SECONDS) == 1
    assert "storage" in second.log() and str(first.folder / "storage") in second.log()


def test_port_in_use_is_explained(start_server, tmp_path):
    first = start_server()
    second = harness.Server(tmp_path / "two", None, {"EGPTC_SERVER__PORT": first.port})
    second.start(wait=False)
    assert second.process.wait(harness.START_SECONDS) == 1
    assert str(first.port) in second.log()


def test_instance_key_is_private_and_kept(start_server, tmp_path, key):
    server = start_server(folder=tmp_path / "one")
    path = tmp_path / "one/storage/instance.key"
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    assert server.stop() == 0
    start_server(folder=tmp_path / "one")
    assert path.read_bytes() == content


def test_listening_beyond_loopback_needs_a_decision(tmp_path):
    server = harness.Server(tmp_path / "open", None, {"EGPTC_SERVER__HOST": "0.0.0.0"})
    server.start(wait=False)
    assert server.process.wait(harness.START_SECONDS) != 0
    assert "server.host" in server.log() and "insecure_listen" in server.log()


DAMAGE = {
    "missing weights": lambda folder: (folder / "model.safetensors").unlink(),
    "truncated weights": lambda folder: os.truncate(folder / "model.safetensors", 1_000_000),
    "foreign weights": lambda folder: (folder / "model.safetensors").write_bytes(b"\x89PNG" * 1000),
    "missing vocabulary": lambda folder: [(folder / name).unlink(missing_ok=True)
                                          for name in ("vocab.txt", "tokenizer.json")],
    "broken config": lambda folder: (folder / "config.json").write_text("{"),
    "no BERT": lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2"}'),
    "empty folder": lambda folder: [path.unlink() for path in folder.rglob("*") if path.is_file()],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_unreadable_model_is_explained(tmp_path, damage):
    model = harness.copy_model(tmp_path / "model")
    damage(model)
    server = harness.Server(tmp_path / "server", None, {"EGPTC_EMBEDDER__MODEL_DIR": model})
    server.start(wait=False)
    assert server.process.wait(harness.START_SECONDS) == 1
    assert str(model) in server.log()


def test_damaged_packed_file_is_made_anew(start_server, tmp_path, key):
    model = harness.copy_model(tmp_path / "model")
    first = start_server({"EGPTC_EMBEDDER__MODEL_DIR": model})
    assert first.stop() == 0
    packed = [path for path in model.rglob("*packed*") if path.is_file()]
    assert packed
    os.truncate(packed[0], packed[0].stat().st_size // 2)
    second = start_server({"EGPTC_EMBEDDER__MODEL_DIR": model})
    vector = second.post("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": "still the same?"}, key)
    assert len(vector.json()["data"][0]["embedding"]) == 384


@pytest.mark.slow
@pytest.mark.timing
def test_memory_stays_within_size_mb(start_server, key):
    """Ten times size_mb of answers: the resident growth is at most 1.3 x size_mb."""
    size_mb = 100
    server = start_server({"EGPTC_CACHE__SIZE_MB": size_mb})
    text = "An answer that takes some room. " * 3200
    for question in ("warm up", "warm up again"):
        server.post("/cache/lookup", {"query": question}, key)
    before = server.resident_bytes()
    for start in range(0, 10 * size_mb * 10, 8):
        rows = [{"query": f"Filling question number {n}", "response": text + str(n)}
                for n in range(start, start + 8)]
        assert server.post("/cache/entries", {"entries": rows}, key).status_code == 201
    # What waits for a busy disk comes on top, within its own limit.
    deadline = time.monotonic() + 20 * harness.SLOWNESS
    while server.metrics()["storage_queue_bytes"] > 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    growth = min(server.resident_bytes() for _ in range(50) if time.sleep(0.1) is None) - before
    held = server.metrics()["cache_bytes"]
    figures = [f"{value / 2**20:.1f} MiB" for value in (held, growth, before)]
    print("size_mb {}: {} held, {} resident growth from {}".format(size_mb, *figures))
    assert 0.8 * size_mb * 2**20 < held <= size_mb * 2**20
    assert growth <= 1.3 * size_mb * 2**20
    assert sum(value for name, value in server.metrics().items() if "evict" in name) > 0


@pytest.mark.slow
@pytest.mark.timing
def test_memory_is_stable_over_many_requests(start_server, key):
    server = start_server()
    server.post("/cache/entries", {"query": "Asked over and over?", "response": "Yes."}, key)

    def hammer(count):
        for number in range(count):
            server.post(
                "/cache/lookup",
                {"query": "Asked over and over?" if number % 2 else "Asked again and again?"},
                key)

    hammer(2000)
    before = server.resident_bytes()
    hammer(8000)
    assert server.resident_bytes() - before < 6 << 20

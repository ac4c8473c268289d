"""`enhanced-gptcache bench`: what it asks, what it counts, what it leaves behind, what it refuses."""

import json

import harness


def bench(server, *more):
    return harness.run_binary("bench", "--server", server.url, *more, seconds=60)


def test_its_own_questions(server, standin):
    done = bench(
        server,
        "--json",
        "--entries",
        "50",
        "--requests",
        "200",
        "--semantic-percent",
        "20",
        "--connections",
        "4",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["requests"] == 200 and found["failed"] == 0
    layers = {name: layer["count"] for name, layer in found["layers"].items()}
    assert layers["exact"] == 160 and sum(layers.values()) == 200, layers
    assert layers["semantic"] > 20, "most of the others are found by meaning"
    for times in found["layers"].values():
        assert 0 < times["p50_ms"] <= times["p95_ms"] <= times["p99_ms"] <= times["p999_ms"]
    assert not [
        seen for seen in standin.requests() if "chat/completions" in seen["target"]
    ], "the model is not asked"
    answer = server.post("/cache/lookup", {"query": "How do I renew a password?", "namespace": "bench"})
    assert answer.json()["hit"] is False, "what it stored is gone"


def test_open_loop_counts_from_when_a_request_was_due(server):
    done = bench(
        server, "--json", "--entries", "20", "--seconds", "1", "--rate", "100", "--semantic-percent", "0"
    )
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["wanted_per_second"] == 100
    assert 40 < found["requests"] < 180, "about a hundred, at random times"


def test_bodies_of_a_file_and_what_is_refused(server, tmp_path):
    bodies = tmp_path / "bodies"
    bodies.write_text('{"query": "What is a lighthouse?"}\nnot JSON\n')
    done = bench(server, "--bodies", str(bodies), "--path", "/cache/lookup", "--requests", "4")
    assert done.returncode == 1
    assert '"200":2' in done.stdout and '"400":2' in done.stdout, done.stdout
    assert "first refusal" in done.stdout and "JSON" in done.stdout


def test_nobody_there():
    port = harness.free_port()
    done = harness.run_binary("bench", "--server", f"http://127.0.0.1:{port}", "--requests", "1")
    assert done.returncode == 1 and f"cannot connect to 127.0.0.1:{port}" in done.stderr


def test_usage(server):
    for flags, word in (
        (["--rate", "0"], "--rate"),
        (["--entries", "5000"], "4000"),
        (["--seconds", "4000"], "3600"),
        (["--bodies", "/nowhere"], "/nowhere"),
    ):
        done = bench(server, *flags)
        assert done.returncode == 2 and word in done.stderr, (flags, done.stderr)

"""Every key of monitoring, resources, server, upstream, embedder, security and storage changes what it
says it changes."""

import concurrent.futures
import json
import threading

import pytest

import harness
import rawhttp
from settings_walk import changes, claim, setting

QUESTION = "How do I change my email address?"

# Shown by tests that are about the thing itself.
ELSEWHERE = {
    "monitoring.metrics_enabled": "test_health_metrics.test_metrics_can_be_off",
    "resources.max_memory_mb": "test_health_metrics.test_unhealthy_is_503",
    "server.max_connections": "test_protocol.test_connection_limit",
    "server.header_timeout_seconds": "test_protocol.test_slow_clients_are_let_go",
    "server.body_timeout_seconds": "test_protocol.test_slow_clients_are_let_go",
    "server.idle_timeout_seconds": "test_protocol.test_slow_clients_are_let_go",
    "server.write_timeout_seconds": "test_protocol.test_client_that_does_not_read_is_let_go",
    "server.drain_timeout_seconds": "test_lifecycle.test_drain_is_bounded",
    "server.drain_delay_seconds": "test_lifecycle.test_not_ready_before_it_drains",
    "server.allowed_hosts": "test_access.test_listed_hosts_and_origins",
    "server.allowed_origins": "test_access.test_listed_hosts_and_origins",
    "security.insecure_listen": "test_lifecycle.test_listening_beyond_loopback_needs_a_decision",
}
for name, where in ELSEWHERE.items():
    claim(name, where)


# --- monitoring --------------------------------------------------------------------------------
@changes("monitoring.log_level", "monitoring.detailed_logging", "monitoring.access_log")
def test_logging(start_server, key):
    server = start_server({"LOG_LEVEL": None})

    def lines_of(action) -> list[str]:
        before = len(server.log())
        action()
        harness.wait_until(lambda: server.get("/live").status_code == 200, 5, "an answer")
        return server.log()[before:].splitlines()

    lookup = lambda: server.post("/cache/lookup", {"query": "Is this logged?"}, key)
    plain = [line for line in lines_of(lookup) if "/cache/lookup" in line]
    assert len(plain) == 1
    assert "Is this" not in server.log() and key not in server.log()
    chat = lambda: server.chat("Is this decision logged?", key=key)
    assert not [line for line in lines_of(chat) if " decision " in line]
    with setting(server, monitoring__detailed_logging=True):
        decisions = [line for line in lines_of(chat) if " decision " in line]
        assert len(decisions) == 1 and "layer=exact" in decisions[0]
    with setting(server, monitoring__access_log=False):
        assert not [line for line in lines_of(lookup) if "/cache/lookup" in line]
    with setting(server, monitoring__log_level="ERROR"):
        assert lines_of(lookup) == []


@changes("monitoring.log_format")
def test_log_format(start_server, key):
    server = start_server({"EGPTC_MONITORING__DETAILED_LOGGING": "true"})
    body = {"model": 'a "model"\nof {mine}', "messages": [{"role": "user", "content": "Is it a box?"}]}
    with setting(server, monitoring__log_format="json"):
        before = len(server.log())
        answer = server.post("/v1/chat/completions", body, key)
        server.get("/live")
        lines = [json.loads(line) for line in server.log()[before:].splitlines()]
    assert lines and all({"time", "level"} < set(line) for line in lines)
    access = next(line for line in lines if line.get("route") == "/v1/chat/completions" and "bytes" in line)
    assert access["event"] == "access" and access["model"] == body["model"] and access["status"] == 200
    assert access["id"] == answer.headers["X-Cache-Request-Id"] and access["ms"] > 0
    assert [line["outcome"] for line in lines if line.get("event") == "decision"] == ["miss"]
    before = len(server.log())
    server.get("/live")
    assert " info access method=GET route=/live status=200 " in server.log()[before:]


def test_log_in_json_from_the_first_line_on(start_server):
    server = start_server({"EGPTC_MONITORING__LOG_FORMAT": "json"})
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log().splitlines()]
    assert any("listens on" in line.get("message", "") for line in lines) and lines[-1]["level"] == "info"


@changes("monitoring.log_file")
def test_log_file(start_server, tmp_path):
    path = tmp_path / "application.log"
    server = start_server({"EGPTC_MONITORING__LOG_FILE": path})
    server.get("/live")
    assert server.stop() == 0
    assert "/live" in path.read_text() and path.stat().st_mode & 0o007 == 0


@changes("monitoring.performance_tracking")
def test_performance_tracking(server, key):
    count = lambda: sum(v for n, v in server.metrics().items() if n.startswith("stage_time_count"))
    before = count()
    server.chat("Is this timed?", key=key)
    assert count() > before
    with setting(server, monitoring__performance_tracking=False):
        before = count()
        server.chat("Is that timed?", key=key)
        assert count() == before


@changes("monitoring.export_metrics")
def test_export_metrics_warns(start_server):
    server = start_server({"EGPTC_MONITORING__EXPORT_METRICS": "true"})
    assert "monitoring.export_metrics" in server.log()


@changes("monitoring.debug_mode")
def test_debug_mode(server, key):
    server.chat(QUESTION, key=key)
    plain = server.chat(QUESTION, key=key).headers
    assert "x-cache-similarity" not in plain and "x-cache-entry" not in plain
    with setting(server, monitoring__debug_mode=True):
        shown = server.chat(QUESTION, key=key).headers
        assert float(shown["x-cache-similarity"]) == 1 and shown["x-cache-entry"]


# --- resources ---------------------------------------------------------------------------------
@changes("resources.max_cpu_cores", "server.threads", "embedder.threads")
def test_threads(start_server):
    def budget(**settings) -> dict:
        return find(start_server(settings).get("/health").json(), "server_threads")

    one = budget(EGPTC_RESOURCES__MAX_CPU_CORES=1)
    assert one["cores"] == 1
    asked = budget(EGPTC_SERVER__THREADS=3, EGPTC_EMBEDDER__THREADS=2)
    assert asked["server_threads"] == 3 and asked["embed_threads"] == 2
    assert one["server_threads"] < 3


def find(value, name: str):
    """The object that holds `name`, wherever it is."""
    if isinstance(value, dict):
        if name in value:
            return value
        return next((found for one in value.values() if (found := find(one, name))), None)
    return None


@changes("resources.connection_pool_size")
def test_connection_pool(server, standin, key):
    opened = lambda: sum(v for n, v in server.metrics().items()
                         if n.startswith("upstream_connections_opened"))
    with setting(server, resources__connection_pool_size=0):
        server.chat("The connection that is idle already is used up by this", key=key)
        before = opened()
        for number in range(4):
            server.chat(f"Pool question {number}, please", key=key)
        assert opened() - before == 4
    before = opened()
    for number in range(4):
        server.chat(f"Pooled question {number}, please", key=key)
    assert opened() - before <= 2


# --- server ------------------------------------------------------------------------------------
@changes("server.host", "server.port")
def test_address(start_server):
    server = start_server({"EGPTC_SERVER__HOST": "127.0.0.1"})
    assert server.get("/live").status_code == 200
    other = harness.Server(server.folder / "other", None, {"EGPTC_SERVER__HOST": "127.0.0.2"})
    other.url = f"http://127.0.0.2:{other.port}"
    other.start()
    try:
        with pytest.raises(OSError):
            rawhttp.Connection(other)  # 127.0.0.1
    finally:
        assert other.stop() == 0


@changes("server.header_kb_max", "server.body_mb_max")
def test_request_limits(start_server, key):
    server = start_server({"EGPTC_SERVER__HEADER_KB_MAX": 4, "EGPTC_SERVER__BODY_MB_MAX": 1})
    assert server.get("/live", headers={"X-Long": "a" * 3000}).status_code == 200
    assert server.get("/live", headers={"X-Long": "a" * 6000}).status_code == 431
    assert server.post("/cache/lookup", {"query": "a" * 500_000}, key).status_code in (200, 400)
    with rawhttp.Connection(server) as connection:
        connection.send(b"POST /cache/lookup HTTP/1.1\r\nHost: t\r\nContent-Length: 2000000\r\n\r\n")
        assert connection.read_response()[0] == 413


# --- embedder ----------------------------------------------------------------------------------
@changes("embedder.enabled", "embedder.model_dir")
def test_embedder_off(start_server, key):
    server = start_server({"EGPTC_EMBEDDER__ENABLED": "false", "EGPTC_EMBEDDER__MODEL_DIR": "/nonexistent"})
    stored = server.post("/cache/entries", {"query": QUESTION, "response": "x"}, key).json()
    assert stored["semantic"] == [False]
    assert server.post("/cache/lookup", {"query": QUESTION}, key).json()["layer"] == "exact"
    broken = harness.Server(server.folder / "broken", None, {"EGPTC_EMBEDDER__MODEL_DIR": "/nonexistent"})
    broken.start(wait=False)
    assert broken.process.wait(harness.START_SECONDS) == 1 and "/nonexistent" in broken.log()


def vector(server, key) -> list[float]:
    body = {"model": "all-MiniLM-L6-v2", "input": "A cat sits on the warm stone wall."}
    return server.post("/v1/embeddings", body, key).json()["data"][0]["embedding"]


@changes("embedder.precision", "embedder.kernel")
def test_precision_and_kernel(start_server, tmp_path, key):
    exact = vector(start_server({"EGPTC_EMBEDDER__PRECISION": "fp32"}), key)
    for kernel in ("scalar", "avx2", "avx512vnni"):
        server = harness.Server(tmp_path / kernel, None, {"EGPTC_EMBEDDER__KERNEL": kernel})
        try:
            server.start()
        except AssertionError:
            # A processor without it: the refusal must name what was asked for.
            assert kernel != "scalar" and kernel in server.log(), server.log()
            continue
        assert f"kernel {kernel}" in server.get("/health").text
        packed = vector(server, key)
        cosine = sum(a * b for a, b in zip(exact, packed))
        assert 0.99 < cosine < 0.999999, kernel
        assert server.stop() == 0


@pytest.mark.timing
@changes("embedder.queue_max")
def test_queue(start_server, key):
    """With one place in the queue, some of many requests at once go without the semantic layer."""
    server = start_server({"EGPTC_EMBEDDER__QUEUE_MAX": 1, "EGPTC_EMBEDDER__THREADS": 1,
                           "EGPTC_EMBEDDER__PRECISION": "fp32", "EGPTC_EMBEDDER__KERNEL": "scalar"})
    text = "a long question about many different things " * 20
    # An empty partition is answered without an embedding.
    server.post("/cache/entries", {"query": "Is anybody there?", "response": "Yes."}, key)
    answers = []

    def ask(number):
        answers.append(harness.requests.post(server.url + "/cache/lookup", timeout=60, json={
            "query": f"{text}{number}"}, headers={"Authorization": f"Bearer {key}"}))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert "embedder_overloaded" in {answer.json().get("reason") for answer in answers}
    metrics = server.metrics()
    assert metrics["embed_overloads_total"] > 0 and metrics["embed_failures_total"] == 0
    assert metrics['cache_decisions_total{reason="embedder_overloaded"}'] > 0


def at_once(server, key, path, bodies):
    """The answers to requests that are sent together."""

    def ask(body):
        bearer = {"Authorization": f"Bearer {key}"}
        return harness.requests.post(server.url + path, timeout=60, json=body, headers=bearer)

    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(ask, bodies))


@pytest.mark.timing
@changes("embedder.overload")
def test_overload(start_server, key, standin):
    """With the embedder far behind, questions go upstream or are shed; exact hits are served either way."""
    server = start_server({"EGPTC_EMBEDDER__QUEUE_MAX": 1, "EGPTC_EMBEDDER__THREADS": 1,
                           "EGPTC_EMBEDDER__PRECISION": "fp32", "EGPTC_EMBEDDER__KERNEL": "scalar"})
    known = "Which bird is the fastest?"
    assert server.chat(known, key).status_code == 200
    text = "a long question about many different things " * 20

    def rush(name):
        questions = [f"{text}{name} {number}" for number in range(24)] + [known]
        bodies = [{"model": "stand-in-1", "messages": [{"role": "user", "content": q}]} for q in questions]
        before = len(standin.requests())
        *answers, exact = at_once(server, key, "/v1/chat/completions", bodies)
        assert exact.status_code == 200 and exact.headers["X-Cache"] == "HIT"
        return answers, len(standin.requests()) - before

    answers, calls = rush("upstream")
    assert {answer.status_code for answer in answers} == {200} and calls == len(answers)
    overloaded = [a for a in answers if a.headers["X-Cache-Reason"] == "embedder_overloaded"]
    assert overloaded
    # What was learned meanwhile is there for who asks the same.
    assert server.chat(f"{text}upstream 0", key).headers["X-Cache"] == "HIT"

    with setting(server, embedder__overload="shed"):
        answers, calls = rush("shed")
        shed = [answer for answer in answers if answer.status_code == 503]
        assert shed and calls == len(answers) - len(shed)
        for answer in shed:
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["X-Cache-Reason"] == "embedder_overloaded"
            error = answer.json()["error"]
            assert (error["type"], error["code"]) == ("server_error", "embedder_overloaded")
        lookups = [{"query": f"{text}native {number}"} for number in range(24)]
        server.post("/cache/entries", {"query": "Is anybody there?", "response": "Yes."}, key)
        shed = [a for a in at_once(server, key, "/cache/lookup", lookups) if a.status_code != 200]
        assert shed and {(a.status_code, a.headers["Retry-After"]) for a in shed} == {(503, "1")}
    assert server.metrics()["embed_failures_total"] == 0


# --- security and storage ----------------------------------------------------------------------
@changes("security.instance_key_file", "storage.path")
def test_instance_key_file(start_server, tmp_path):
    path = tmp_path / "shared.key"
    server = start_server({"EGPTC_SECURITY__INSTANCE_KEY_FILE": path}, folder=tmp_path / "a")
    assert server.stop() == 0
    made = path.exists()
    if not made:
        path.write_bytes((tmp_path / "a/storage/instance.key").read_bytes())
    other = start_server({"EGPTC_SECURITY__INSTANCE_KEY_FILE": path}, folder=tmp_path / "b")
    assert not (tmp_path / "b/storage/instance.key").exists()
    assert (tmp_path / "b/storage").is_dir()
    assert other.get("/ready").status_code == 200

"""Each series of /metrics changes by exactly what a call should change, and nothing else changes with it."""

import concurrent.futures
import re
import time

import pytest

import harness
import rawhttp

QUESTION = "How do I water a cactus?"
# What depends on the clock, the machine or this test's own connections; each has a test of its own below or
# where the last test of this file finds it.
BY_CLOCK = re.compile(
    r"\w+_(bucket|sum)(\{|$)|process_|cpu_usage|memory_usage|uptime|http_connections|storage_syncs"
    r"|cache_bytes|storage_(bytes|files|queue|compaction|written)|cache_false_hit_rate"
    r"|health_status|\w+\{route=\"/metrics\""
)


@pytest.fixture(scope="module")
def counted(standin_process, tmp_path_factory):
    one = harness.Server(tmp_path_factory.mktemp("series"), standin_process.base_url).start()
    yield one
    assert one.stop() == 0, one.log()[-3000:]


def settled(server) -> dict[str, float]:
    harness.wait_until(lambda: server.metrics()["storage_queue_changes"] == 0, 10, "everything on disk")
    return server.metrics()


def changed(server, action) -> dict[str, float]:
    before = settled(server)
    action()
    after = settled(server)
    assert set(before) <= set(after), "no series goes away"
    return {
        name: round(value - before.get(name, 0), 9)
        for name, value in after.items()
        if value != before.get(name, 0) and not BY_CLOCK.match(name)
    }


CHAT = {'requests_total{route="/v1/chat/completions",status="200"}': 1, 'stage_time_count{stage="parse"}': 1}
LOOKED = {'cache_misses_total{layer="exact"}': 1, 'stage_time_count{stage="lookup"}': 1}
STORED = {"cache_stores_total": 1, "storage_batches_total": 1, "storage_stored_total": 1}
ANOTHER = {"cache_entries": 1, "cache_semantic_entries": 1}
ASKED = {
    'stage_time_count{stage="upstream_head"}': 1,
    'stage_time_count{stage="upstream_body"}': 1,
    'upstream_requests_total{upstream="default"}': 1,
}
REUSED = {'upstream_connections_reused_total{upstream="default"}': 1}
LEARNED = {'cache_learned_total{result="stored"}': 1, 'stage_time_count{stage="store"}': 1, **STORED}
VERIFIED = {"cache_verified_decisions_total": 1}


def outcome(name: str, layer: str = "none") -> dict:
    return {
        f'cache_requests_total{{outcome="{name}"}}': 1,
        f'response_time_count{{layer="{layer}",outcome="{name}"}}': 1,
        f'time_to_first_token_count{{outcome="{name}"}}': 1,
    }


def looked_up(name: str, layer: str = "none") -> dict:
    found = {"requests_total{route=\"/cache/lookup\",status=\"200\"}": 1, **outcome(name, layer)}
    return {series: by for series, by in found.items() if not series.startswith("time_to_first")}


def miss(reason: str) -> dict:
    return {
        **LOOKED,
        'cache_misses_total{layer="semantic"}': 1,
        f'cache_decisions_total{{reason="{reason}"}}': 1,
    }


def candidate(name: str) -> dict:
    return {f'cache_{what}_count{{outcome="{name}"}}': 1 for what in ("similarity", "probability")}


def tokens(answer, use: str) -> dict:
    usage = answer.json()["usage"]
    by_kind = {kind: usage[f"{kind}_tokens"] for kind in ("prompt", "completion")}
    rows = {f'model_tokens_total{{model="unpriced",use="{use}",kind="{k}"}}': n for k, n in by_kind.items()}
    return {**rows, f"tokens_{use}_total": sum(by_kind.values())}


def test_a_scripted_scenario(counted, standin, key):
    """One conversation through every outcome a question can have."""
    answers = []

    def ask(question, **more):
        return changed(counted, lambda: answers.append(counted.chat(question, key, **more)))

    seen = ask(QUESTION)
    opened = {'upstream_connections_opened_total{upstream="default"}': 1}
    spent = tokens(answers[0], "spent")
    first = {**CHAT, **miss("empty"), **ASKED, **opened, **LEARNED, **ANOTHER, **outcome("miss")}
    assert seen == {**first, **spent, "cache_partitions": 1}
    saved = tokens(answers[0], "saved")
    hit = {**CHAT, 'cache_hits_total{layer="exact"}': 1, **outcome("hit", "exact")}
    assert ask(QUESTION) == {**hit, **saved}
    seen = ask("How can I water a cactus?")
    encoder = {
        name: seen.pop(name, 0) for name in ("cache_grey_zone_decisions_total", "pair_encoder_time_count")
    }
    assert len(set(encoder.values())) == 1, encoder
    near = {'cache_decisions_total{reason="hit"}': 1, 'cache_hits_total{layer="semantic"}': 1, **VERIFIED}
    semantic = {**CHAT, **LOOKED, **near, **candidate("hit"), **outcome("hit", "semantic")}
    assert seen == {**semantic, **saved}
    seen = ask("How do I not water a cactus?")
    veto = {'cache_guard_vetoes_total{guard="negation"}': 1, **VERIFIED, **candidate("miss")}
    asked = {**CHAT, **ASKED, **REUSED, **tokens(answers[-1], "spent")}
    assert seen == {**asked, **miss("guard"), **veto, **LEARNED, **ANOTHER, **outcome("miss")}
    seen = ask(QUESTION, temperature=1.9)
    assert seen == {**CHAT, **ASKED, **REUSED, **tokens(answers[-1], "spent"), **outcome("bypass")}
    seen = ask(QUESTION, headers={"X-Cache-Control": "no-cache"})
    asked = {**CHAT, **ASKED, **REUSED, **tokens(answers[-1], "spent")}
    assert seen == {**asked, **LEARNED, **outcome("refresh")}


def test_the_cache_s_own_calls(counted, standin, key):
    entry, found = [], []
    body = {"query": "Who wrote Faust?", "response": "Goethe."}

    def route(path: str, status: int = 200) -> dict:
        return {f'requests_total{{route="{path}",status="{status}"}}': 1}

    seen = changed(counted, lambda: entry.append(counted.post("/cache/entries", body, key).json()["ids"][0]))
    assert seen == {**route("/cache/entries", 201), **STORED, **ANOTHER, "cache_partitions": 1}
    seen = changed(counted, lambda: found.append(counted.post("/cache/lookup", body | {}, key)))
    assert found.pop().status_code == 400 and seen == {
        **route("/cache/lookup", 400),
        'errors_total{kind="invalid_argument"}': 1,
    }
    seen = changed(
        counted, lambda: found.append(counted.post("/cache/lookup", {"query": body["query"]}, key))
    )
    assert seen == {**looked_up("hit", "exact"), 'cache_hits_total{layer="exact"}': 1}
    verdict = {"request_id": found[0].json()["request_id"], "correct": True}
    seen = changed(counted, lambda: counted.post("/cache/feedback", verdict, key))
    assert seen == {**route("/cache/feedback"), 'cache_feedback_total{verdict="confirmed"}': 1}
    large = {"query": "How long is it?", "response": "y" * 3_000_000}
    seen = changed(counted, lambda: counted.post("/cache/entries", large, key))
    refused = {"cache_store_refused_total": 1, 'errors_total{kind="invalid_argument"}': 1}
    assert seen == {**route("/cache/entries", 400), **refused}
    headers = {"Authorization": f"Bearer {key}"}
    seen = changed(counted, lambda: counted.request("DELETE", f"/cache/entries/{entry[0]}", headers=headers))
    gone = {"cache_removals_total": 1, "storage_batches_total": 1, "storage_removed_total": 1}
    fewer = {name: -by for name, by in ANOTHER.items()}
    assert seen == {**route("/cache/entries/*"), **gone, **fewer, "cache_partitions": -1}
    seen = changed(counted, lambda: counted.get("/health"))
    assert seen == {**route("/health"), 'health_checks_total{status="healthy"}': 1}


def test_failures_upstream(start_server, standin, key):
    server = start_server(
        {
            "EGPTC_UPSTREAM__RETRIES_MAX": 2,
            "EGPTC_UPSTREAM__BREAKER_FAILURES": 5,
            "EGPTC_UPSTREAM__FIRST_BYTE_TIMEOUT_SECONDS": 1,
        }
    )
    standin.rule("Broken once", status=502, times=1)
    server.chat("Is anybody there?", key)

    def upstream(question) -> dict:
        seen = changed(server, lambda: server.chat(question, key))
        names = ((name.partition("{")[0], by) for name, by in seen.items())
        return {name: by for name, by in names if name.startswith("upstream_")}

    once = upstream("Broken once, whole afterwards?")
    assert (once["upstream_requests_total"], once["upstream_retries_total"]) == (
        1,
        1,
    ), "further attempts are counted apart"
    assert "upstream_errors_total" not in once and "upstream_timeouts_total" not in once
    standin.rule("Never comes", delay=30)
    late = upstream("Never comes, does it?")
    assert late["upstream_requests_total"] == late["upstream_errors_total"] == 1
    assert late["upstream_timeouts_total"] == 1 + late.get("upstream_retries_total", 0)
    assert server.metrics()['upstream_breaker_state{upstream="default"}'] == 0
    standin.rule("Broken for good", status=500)
    for number in range(5):
        server.chat(f"Broken for good, take {number}?", key)
    assert server.metrics()['upstream_breaker_state{upstream="default"}'] == 2
    calls = standin.calls()
    refused = upstream("Who is asked while it is open?")
    assert refused == dict.fromkeys(
        ("upstream_requests_total", "upstream_errors_total", "upstream_failures_total"), 1
    )
    assert standin.calls() == calls


def test_callers_that_share_a_call(counted, standin, key):
    standin.rule("these calls joined", gate="joined", gate_events=0)
    calls = 4

    def together():
        with concurrent.futures.ThreadPoolExecutor(calls) as pool:
            asked = [
                pool.submit(
                    harness.requests.post,
                    counted.url + "/v1/chat/completions",
                    json={"model": "m", "messages": [{"role": "user", "content": "Are these calls joined?"}]},
                    headers={"Authorization": f"Bearer {key}"},
                )
                for _ in range(calls)
            ]
            exact = 'cache_misses_total{layer="exact"}'
            before = start[exact]
            harness.wait_until(lambda: counted.metrics()[exact] == before + calls, 10, "all of them waiting")
            time.sleep(0.1)
            standin.open("joined")
            assert [one.result().status_code for one in asked] == [200] * calls

    start = counted.metrics()
    seen = changed(counted, together)
    assert seen["single_flight_joined_total"] == calls - 1
    assert seen['upstream_requests_total{upstream="default"}'] == 1 and seen["cache_stores_total"] == 1
    assert seen['cache_requests_total{outcome="miss"}'] == calls


# --- connections ---------------------------------------------------------------------------------
def test_connections(start_server):
    server = start_server({"EGPTC_SERVER__MAX_CONNECTIONS": 8})
    names = ("http_connections", "http_connections_total", "process_open_fds")
    before = server.metrics()  # one connection of our own, kept alive
    assert before["http_connections"] == 1 and before["http_requests_in_flight"] == 1
    held = [rawhttp.Connection(server) for _ in range(5)]
    for connection in held:
        connection.send(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n").read_response()
    after = server.metrics()
    assert [after[name] - before[name] for name in names] == [5, 5, 5]
    assert after["http_connections_refused_total"] == 0
    more = [rawhttp.Connection(server) for _ in range(4)]  # room for two of them
    harness.wait_until(lambda: server.metrics()["http_connections_refused_total"] == 2, 10, "two refused")
    for connection in (*held, *more):
        connection.socket.close()
    harness.wait_until(lambda: server.metrics()["http_connections"] == 1, 10, "all of them closed")
    assert server.metrics()["process_open_fds"] == before["process_open_fds"]


def test_bad_and_slow_requests(start_server):
    server = start_server({"EGPTC_SERVER__HEADER_TIMEOUT_SECONDS": 1})
    bad, slow = "http_bad_requests_total", "http_timeouts_total"
    seen = changed(server, lambda: server.get("/no/such/path"))
    assert seen == {'requests_total{route="other",status="404"}': 1}, "proper HTTP all the same"
    seen = changed(server, lambda: server.request("PATCH", "/live"))
    assert bad not in seen and len(seen) == 1
    seen = changed(server, lambda: rawhttp.Connection(server).send(b"NO HTTP AT ALL\r\n\r\n").read_all())
    assert seen[bad] == 1 and slow not in seen
    seen = changed(server, lambda: rawhttp.Connection(server).send(b"GET /li").read_all())
    assert seen[slow] == 1


# --- the process and its disk ----------------------------------------------------------------------
def test_the_process(start_server):
    server = start_server()
    before = server.metrics()
    server.fill_memory(30)
    after = server.metrics()
    assert after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"] > 25_000_000
    assert abs(after["process_resident_memory_bytes"] - server.resident_bytes()) < 20_000_000
    assert after["cache_bytes"] - before["cache_bytes"] > 29_000_000
    assert before["process_cpu_seconds_total"] < after["process_cpu_seconds_total"] < 60 * harness.SLOWNESS
    assert before["memory_usage_percent"] < after["memory_usage_percent"] < 100


def test_the_disk(start_server, key):
    server = start_server({"EGPTC_EMBEDDER__ENABLED": "false"})

    def store(number) -> dict:
        before = settled(server)
        body = {"query": f"Question {number}?", "response": "x" * 10_000}
        assert server.post("/cache/entries", body, key).status_code == 201
        after = settled(server)
        return {name: value - before.get(name, 0) for name, value in after.items()}

    first, second = store(1), store(2)
    assert first["storage_written_bytes_total"] == second["storage_written_bytes_total"] > 10_000
    assert first["storage_batches_total"] == first["storage_stored_total"] == 1
    metrics = server.metrics()
    assert metrics['storage_bytes{tier="write_ahead_log"}'] > 20_000
    assert metrics['storage_bytes{tier="disk"}'] >= metrics['storage_bytes{tier="write_ahead_log"}']
    assert metrics['storage_bytes{tier="engine_memory"}'] > 0
    files = [one for one in (server.folder / "storage/entries").iterdir() if one.is_file()]
    assert metrics["storage_files"] == len(files)
    assert metrics["storage_queue_changes"] == metrics["storage_queue_bytes"] == 0
    assert metrics["storage_errors_total"] == metrics["storage_refused_total"] == 0
    assert server.stop() == 0
    server.start()
    metrics = server.metrics()
    assert metrics['storage_loaded_entries{outcome="loaded"}'] == 2
    assert 0 <= metrics["storage_load_seconds"] < 10 * harness.SLOWNESS
    assert metrics["storage_compaction_pending_bytes"] == 0


# --- thresholds --------------------------------------------------------------------------------------
def test_thresholds(start_server, key):
    server = start_server()
    before = server.metrics()
    assert before["tau_global"] == 0.85
    assert before['error_budget_shift{bound="min"}'] == before['error_budget_shift{bound="max"}'] == 0
    for number in range(60):
        question = f"How do I water plant {chr(97 + number % 26)}{number} in the garden?"
        server.post("/cache/entries", {"query": question, "response": "Rarely."}, key)
        near = {"query": question.replace("do", "can"), "threshold": 0.7}
        hit = server.post("/cache/lookup", near, key).json()
        if hit["hit"]:
            server.post("/cache/feedback", {"request_id": hit["request_id"], "correct": False}, key)
    after = server.metrics()
    wrong = after['cache_labels_total{source="feedback",verdict="wrong"}']
    assert wrong == after['cache_feedback_total{verdict="false_hit"}'] > 0
    assert after['tau_users{class="above"}'] == 1, "who was served wrongly is served less"
    states = {name: after[f'error_budget_tenants{{state="{name}"}}'] for name in ("tightened", "loosened")}
    assert states["loosened"] == 0
    assert (after['error_budget_shift{bound="max"}'] > 0) == (states["tightened"] == 1)


# --- nothing is forgotten ----------------------------------------------------------------------------
def test_every_series_is_named_by_a_test(counted, standin, key):
    """Whoever adds one says here, or in another test over the wire, what changes it."""
    counted.chat(QUESTION, key)
    text = counted.get("/metrics?format=prometheus").text
    families = re.findall(r"^# TYPE (\w+) ", text, re.M)
    tests = (harness.ROOT / "tests").rglob("test_*.py")
    words = set(re.findall(r"\w+", "\n".join(path.read_text() for path in tests)))
    # Needs 2^20 data keys of one tenant: src/store/rocks_seal_test.cpp.
    elsewhere = {"storage_keys_refused_total"}
    suffixes = ("", "_count", "_bucket", "_sum")
    unnamed = {name for name in families if not any(name + suffix in words for suffix in suffixes)}
    assert len(families) > 80 and unnamed <= elsewhere, sorted(unnamed - elsewhere)

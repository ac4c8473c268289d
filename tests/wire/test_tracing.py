"""traceparent on its way through, and spans sent to a collector."""

import contextlib
import http.server
import json
import threading
import time

import pytest

import harness
from settings_walk import changes, setting

QUESTION = "How do I sharpen a kitchen knife?"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


class Collector:
    """Takes OTLP/HTTP JSON, and answers as it is told."""

    def __init__(self):
        self.calls, self.status, self.delay, self.drips = [], 200, 0.0, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.calls.append((self.path, dict(self.headers), json.loads(body)))
                time.sleep(outer.delay)
                if outer.drips:
                    return self.drip()
                self.send_response(outer.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def drip(self):
                """A head that never ends, a byte well within every wait for one."""
                with contextlib.suppress(OSError):
                    for _ in range(600):
                        self.wfile.write(b"H" if outer.drips else b"")
                        self.wfile.flush()
                        time.sleep(0.1)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self) -> list[dict]:
        return [
            span
            for _, _, body in list(self.calls)
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def wait_for(self, count: int) -> list[dict]:
        harness.wait_until(lambda: len(self.spans()) >= count, 15, f"{count} spans")
        return self.spans()


@pytest.fixture
def collector():
    one = Collector()
    yield one
    one.server.shutdown()
    one.server.server_close()


def tracing(collector, **more) -> dict:
    return {"EGPTC_TRACING__ENDPOINT": collector.endpoint, "EGPTC_TRACING__SAMPLE_RATIO": "0", **more}


def attributes(span: dict) -> dict:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def traceparents(standin) -> list[str]:
    return [
        dict((name.lower(), value) for name, value in request["headers"]).get("traceparent", "")
        for request in standin.requests()
    ]


def test_traceparent_goes_on_to_the_provider(server, standin, key):
    """Without tracing of our own: as it came, for cached and for other paths."""
    server.chat(QUESTION, key, headers={"traceparent": SAMPLED, "tracestate": "a=b"})
    server.get("/v1/files", headers={"traceparent": UNSAMPLED, "Authorization": f"Bearer {key}"})
    assert traceparents(standin) == [SAMPLED, UNSAMPLED]


@changes("tracing.endpoint")
def test_a_miss_is_one_trace_below_its_caller(start_server, standin, collector, key):
    server = start_server(tracing(collector))
    server.chat("How do I oil a chopping board?", key)  # so that there is something to search
    answer = server.chat(QUESTION, key, headers={"traceparent": SAMPLED})
    spans = {span["name"]: span for span in collector.wait_for(6)}
    assert set(spans) == {"POST /v1/chat/completions", "lookup", "embed", "search", "decide", "upstream"}
    assert {span["traceId"] for span in spans.values()} == {TRACE}
    root = spans["POST /v1/chat/completions"]
    assert root["parentSpanId"] == PARENT and root["kind"] == 2
    assert spans["lookup"]["parentSpanId"] == spans["upstream"]["parentSpanId"] == root["spanId"]
    parts = [spans[name]["parentSpanId"] for name in ("embed", "search", "decide")]
    assert parts == 3 * [spans["lookup"]["spanId"]]
    assert traceparents(standin) == ["", f"00-{TRACE}-{spans['upstream']['spanId']}-01"]
    for span in spans.values():
        begin, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        assert int(root["startTimeUnixNano"]) <= begin <= end
    about = attributes(root)
    assert about["http.response.status_code"] == "200" and about["egptc.cache.outcome"] == "MISS"
    assert about["egptc.request_id"] == answer.headers["x-cache-request-id"]
    assert int(about["gen_ai.usage.input_tokens"]) == answer.json()["usage"]["prompt_tokens"]
    assert attributes(spans["upstream"])["http.response.status_code"] == "200"
    _, headers, body = collector.calls[0]
    assert headers["Content-Type"] == "application/json" and "Authorization" not in headers
    assert "knife" not in json.dumps(body) and key not in json.dumps(body), "nothing of what was asked"
    assert server.metrics()["traces_exported_total"] == 1


def test_hits_and_failures_tell_what_they_were(start_server, standin, collector, key):
    server = start_server(tracing(collector))
    server.chat(QUESTION, key)
    server.chat(QUESTION, key, headers={"traceparent": SAMPLED})
    root = collector.wait_for(1)[0]
    assert attributes(root)["egptc.cache.layer"] == "exact" and len(collector.spans()) == 1
    standin.rule("broken", status=500)
    server.chat("What is broken here?", key, headers={"traceparent": SAMPLED})
    spans = {span["name"]: span for span in collector.wait_for(7)[1:]}
    assert spans["upstream"]["status"] == spans["POST /v1/chat/completions"]["status"] == {"code": 2}


@changes("tracing.sample_ratio")
def test_the_caller_decides_else_the_ratio(start_server, standin, collector, key):
    server = start_server({"EGPTC_TRACING__ENDPOINT": collector.endpoint})
    with setting(server, tracing__sample_ratio=0):
        server.chat(QUESTION, key)
        server.chat(QUESTION, key, headers={"traceparent": UNSAMPLED})
        server.chat(QUESTION, key, headers={"traceparent": "00-nonsense-01"})
    with setting(server, tracing__sample_ratio=1):
        server.chat(QUESTION, key, headers={"traceparent": UNSAMPLED})
        server.chat(QUESTION, key)
    spans = collector.wait_for(1)
    assert len(spans) == 1 and "parentSpanId" not in spans[0]
    assert len(spans[0]["traceId"]) == 32 and spans[0]["traceId"] != TRACE


@changes("tracing.authorization")
def test_the_collector_gets_its_credential(start_server, collector, key):
    server = start_server(tracing(collector, EGPTC_TRACING__AUTHORIZATION="Bearer of-the-collector"))
    server.chat(QUESTION, key, headers={"traceparent": SAMPLED})
    collector.wait_for(1)
    assert collector.calls[0][1]["Authorization"] == "Bearer of-the-collector"
    assert "of-the-collector" not in server.get("/admin/config").text + server.log()


@changes("tracing.queue_max", "tracing.timeout_seconds")
def test_a_collector_that_hangs_costs_traces_and_no_request(start_server, collector, key):
    collector.delay = 60
    server = start_server(tracing(collector, EGPTC_TRACING__QUEUE_MAX=5, EGPTC_TRACING__TIMEOUT_SECONDS=0.5))
    for _ in range(20):
        assert server.chat(QUESTION, key, headers={"traceparent": SAMPLED}).status_code == 200
    failed = 'traces_dropped_total{reason="failed"}'
    harness.wait_until(lambda: server.metrics()[failed] > 0, 15, "a batch given up")
    assert server.metrics()['traces_dropped_total{reason="full"}'] >= 10
    assert server.metrics()["traces_exported_total"] == 0
    assert "the collector did not take" in server.log()


def test_a_collector_that_answers_byte_by_byte_is_given_up(start_server, collector, key):
    collector.drips = True
    server = start_server(tracing(collector, EGPTC_TRACING__TIMEOUT_SECONDS=0.5))
    server.chat(QUESTION, key, headers={"traceparent": SAMPLED})
    failed = 'traces_dropped_total{reason="failed"}'
    harness.wait_until(lambda: server.metrics()[failed] == 1, 15, "the batch given up")
    assert "took longer than 500 ms" in server.log()
    server.chat(QUESTION, key, headers={"traceparent": SAMPLED})
    assert server.stop() == 0


def test_a_state_without_a_trace_is_not_passed_on(start_server, standin, collector, key):
    """tracestate belongs to the traceparent it came with: with one that cannot be read it goes."""
    server = start_server(tracing(collector, EGPTC_TRACING__SAMPLE_RATIO=1))
    for traceparent in ("00-nonsense-01", SAMPLED):
        server.chat(f"What is {traceparent}?", key, headers={"traceparent": traceparent, "tracestate": "a=b"})
    states = [
        dict((name.lower(), value) for name, value in request["headers"]).get("tracestate")
        for request in standin.requests()
    ]
    assert states == [None, "a=b"]
    parents = traceparents(standin)
    assert parents[0][3:35] != TRACE and parents[1][3:35] == TRACE


def test_a_collector_that_refuses_is_counted_and_said_once(start_server, collector, key):
    collector.status = 503
    server = start_server(tracing(collector))
    failed = 'traces_dropped_total{reason="failed"}'
    for count in (1, 2):
        server.chat(QUESTION, key, headers={"traceparent": SAMPLED})
        harness.wait_until(lambda: server.metrics()[failed] == count, 15, "a batch refused")
    assert server.log().count("the collector did not take") == 1 and "503" in server.log()


def test_what_is_left_is_sent_when_the_server_stops(start_server, collector, key):
    server = start_server(tracing(collector))
    server.chat(QUESTION, key, headers={"traceparent": SAMPLED})
    assert server.stop() == 0
    assert {span["name"] for span in collector.spans()} == {
        "POST /v1/chat/completions",
        "lookup",
        "upstream",
    }, "nothing was stored, so nothing was searched"


@pytest.mark.parametrize(
    "url",
    [
        "http://collector.example/v1/traces",
        "https://user:word@collector.example/",
        "collector.example:4318",
        "file:///etc/passwd",
        "http://localhost@collector.example/",
        "http://localhost.example/",
        "https://collector.example/?a=b",
        "https://collector.example/#a",
    ],
)
def test_addresses_that_are_not_called(tmp_path, url):
    path = tmp_path / "config.yaml"
    path.write_text(harness.REQUIRED_SECTIONS + f"tracing: {{endpoint: '{url}'}}\n")
    done = harness.run_binary("validate-config", str(path))
    assert done.returncode == 1 and "tracing.endpoint" in done.stdout + done.stderr


def test_a_credential_that_would_end_its_header_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(harness.REQUIRED_SECTIONS + 'tracing: {authorization: "a\\r\\nX-Evil: 1"}\n')
    done = harness.run_binary("validate-config", str(path))
    output = done.stdout + done.stderr
    assert done.returncode == 1 and "tracing.authorization" in output and "Evil" not in output


def test_the_endpoint_is_not_to_be_set_over_the_network(start_server, collector):
    server = start_server()
    answer = server.request("PUT", "/admin/config", json={"tracing.endpoint": collector.endpoint})
    assert answer.status_code == 400 and "tracing.endpoint" in answer.text

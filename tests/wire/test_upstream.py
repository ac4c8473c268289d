"""The provider is slow, gone, broken or several: what the caller sees of it, and what is retried."""

import time

import pytest

import harness
import rawhttp
import sse

QUESTION = "How is the provider today?"
BROKEN = {
    "malformed head": {
        "malformed": "head"}, "cut body": {
            "cut_bytes": 20}, "bad chunk": {
                "malformed": "chunk"}}


@pytest.mark.parametrize("settings", BROKEN.values(), ids=BROKEN.keys())
def test_broken_answers_become_502(server, standin, key, settings):
    standin.rule(QUESTION, **settings)
    response = server.chat(QUESTION, key=key)
    assert response.status_code == 502
    error = response.json()["error"]
    assert error["message"] and "type" in error


def test_cut_stream_is_seen_as_cut(server, standin, key):
    """The caller must be able to tell: no [DONE], no proper end."""
    standin.rule(QUESTION, cut_events=4)
    with rawhttp.Connection(server) as connection:
        answer = connection.send(rawhttp.chat_bytes(QUESTION, key, stream=True)).read_all()
    assert answer.startswith(b"HTTP/1.1 200") and b"data: " in answer
    assert b"[DONE]" not in answer and not answer.endswith(b"0\r\n\r\n")


def test_provider_gone(start_server, key):
    server = start_server({"EGPTC_UPSTREAM__RETRIES_MAX": 0},
     upstream=f"http://127.0.0.1:{harness.free_port()}/v1")
    response = server.chat(QUESTION, key=key)
    assert response.status_code == 502 or response.status_code == 503
    assert "127.0.0.1" in response.json()["error"]["message"] or response.json()["error"]["message"]
    server.post("/cache/entries", {"query": QUESTION, "response": "kept", "model": "stand-in-1"}, key)
    assert server.chat(QUESTION, key=key).json()["choices"][0]["message"]["content"] == "kept"


def test_first_byte_timeout(start_server, standin, key):
    server = start_server({"EGPTC_UPSTREAM__FIRST_BYTE_TIMEOUT_SECONDS": 0.5,
                            "EGPTC_UPSTREAM__RETRIES_MAX": 0})
    standin.rule(QUESTION, delay=20)
    response = server.chat(QUESTION, key=key)
    assert response.status_code == 504 and response.json()["error"]["message"]


def test_idle_timeout_but_no_total_limit(start_server, standin, key):
    server = start_server({"EGPTC_UPSTREAM__IDLE_TIMEOUT_SECONDS": 1,
                          "EGPTC_UPSTREAM__FIRST_BYTE_TIMEOUT_SECONDS": 1})
    standin.rule("takes its time", chunk_delay=0.3 *
     min(1, harness.SLOWNESS), answer="one two three four five six")
    begun = time.monotonic()
    events = sse.events_of(server.chat("Something takes its time", key=key, stream=True))
    assert events[-1] == "[DONE]" and time.monotonic() - begun > 1.2
    standin.rule("falls silent", gate="silent", gate_events=2)
    with rawhttp.Connection(server) as connection:
        answer = connection.send(rawhttp.chat_bytes("Who falls silent?", key, stream=True)).read_all()
    assert b"[DONE]" not in answer and b"data: " in answer


@pytest.mark.parametrize("status, retry_after", [(502, ""), (504, ""), (503, 0), (429, 0)])
def test_retries_before_the_first_byte(server, standin, key, status, retry_after):
    standin.rule(QUESTION, status=status, retry_after=retry_after, times=1)
    assert server.chat(QUESTION, key=key).status_code == 200
    assert standin.calls() == 2


@pytest.mark.parametrize("status, retry_after", [(500, ""), (400, ""), (429, 3600), (503, 3600)])
def test_not_retried(server, standin, key, status, retry_after):
    standin.rule(QUESTION, status=status, retry_after=retry_after, times=1)
    assert server.chat(QUESTION, key=key).status_code == status
    assert standin.calls() == 1


def test_no_retry_after_the_first_byte(server, standin, key):
    standin.rule(QUESTION, cut_events=2)
    with rawhttp.Connection(server) as connection:
        connection.send(rawhttp.chat_bytes(QUESTION, key, stream=True)).read_all()
    assert standin.calls() == 1


def routes(standin, *more: str) -> str:
    lines = [
    harness.REQUIRED_SECTIONS +
    f"upstream:\n  base_url: {standin.base_url}\n  retries_max: 0",
    *
    more]
    return "\n".join(lines) + "\n"


def test_routes_by_model(start_server, standin, key):
    server = start_server({"EGPTC_UPSTREAM__BASE_URL": None}, config=routes(
        standin, "  routes:", f"    - {{model: 'claude-*', base_url: '{standin.url}/a/v1', api_key: sk-a}}",
        f"    - {{model: 'gpt-?', base_url: '{standin.url}/b/v1', api_key: sk-b}}"))
    for model, prefix in (
        ("claude-3", "/a/v1/"),
        ("gpt-4", "/b/v1/"),
        ("gpt-40", "/v1/"),
        ("stand-in-1", "/v1/")):
        assert server.chat(f"Where does {model} live?", key=key, model=model).status_code == 200
        assert standin.requests()[-1]["target"].startswith(prefix), model


def test_fallbacks_and_breaker(start_server, standin, key):
    gone = f"http://127.0.0.1:{harness.free_port()}/v1"
    server = start_server({"EGPTC_UPSTREAM__BASE_URL": None}, config=routes(
        standin, "  breaker_failures: 2", "  breaker_open_seconds: 60", "  routes:",
        f"    - {{model: 'f-*', base_url: '{gone}', api_key: k,",
        f"       fallbacks: [{{base_url: '{standin.url}/fallback/v1', api_key: sk-f}}]}}"))
    for number in range(5):
        assert server.chat(f"Who answers number {number}?", key=key, model="f-1").status_code == 200
        assert standin.requests()[-1]["target"].startswith("/fallback/v1/")
    states = {name: value for name, value in server.metrics().items() if "breaker" in name}
    assert max(states.values()) > 0, states


def test_upstream_key_replaces_the_callers(start_server, standin, key):
    server = start_server({"EGPTC_UPSTREAM__API_KEY": "sk-ours"})
    server.chat(QUESTION, key=key)
    assert dict(map(tuple, standin.requests()[-1]["headers"]))["Authorization"] == "Bearer sk-ours"
    assert key not in str(standin.requests())
    assert server.chat(QUESTION, key=harness.fresh_key()).headers["x-cache"] == "MISS"
    assert "sk-ours" not in server.log() and "sk-ours" not in server.get("/admin/config").text


def test_connections_are_reused(server, standin, key):
    before = server.metrics()
    for number in range(10):
        server.chat(f"Reuse connection number {number}, would you?", key=key)
    after = server.metrics()
    opened = sum(after[n] - before.get(n, 0) for n in after if "connections_opened" in n)
    assert opened <= 3


def test_nothing_configured_explains_itself(start_server, tmp_path):
    """No provider key at hand: the server starts, the native API works, /v1 says what to do."""
    server = start_server(upstream=None)
    server.post("/cache/entries", {"query": "Works without a provider?", "response": "Yes."})
    assert server.post("/cache/lookup", {"query": "Works without a provider?"}).json()["response"] == "Yes."
    response = server.chat("Does anybody hear me?")
    assert response.status_code in (401, 502, 503)
    assert "upstream" in response.json()["error"]["message"]

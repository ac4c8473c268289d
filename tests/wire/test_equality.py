"""One canonical entry serves JSON and SSE: the same request answered both ways is equal field for field,
whichever of the two the answer was learned from."""

import pytest

import harness
import sse

TOOLS = [{"type": "function", "function": {"name": "look_up_0"}}]
REQUESTS = {
    "plain": ({}, {}),
    "n = 3": ({"n": 3}, {}),
    "logprobs": ({"logprobs": True, "top_logprobs": 2}, {}),
    "n = 3 with logprobs": ({"n": 3, "logprobs": True}, {}),
    "parallel tool calls": ({"tools": TOOLS}, {"tools": 3}),
    "one tool call": ({"tools": TOOLS}, {"tools": 1}),
    "reasoning": ({}, {"reasoning": "First I look at the question. Then I answer it."}),
    "unknown message fields": ({}, {"extra": {"message": {"annotations": [{"type": "x", "n": 1}],
                                                          "mood": {"deep": [1, None, "é"]}}}}),
    "unknown answer fields": ({}, {"extra": {"answer": {"service_tier": "default", "vendor": {"a": [1.5]}}}}),
    "no usage": ({}, {"no_usage": True}),
    "unicode": ({}, {"answer": "Grüße 👋🏽, 数学 … \"quoted\" \\ back\n\nlines\t\u2028 end"}),
    "white space": ({}, {"answer": "  leading, trailing  \n\n    indented\n"}),
}


def call(server, key, stream: bool, request: dict):
    body = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    response = server.chat("Field for field, please?", key=key, **request, **body)
    assert response.status_code == 200, response.text
    answer = sse.reassemble(sse.events_of(response)) if stream else response.json()
    return sse.without_identity(answer), response.headers


@pytest.mark.parametrize("learned_as_stream", [False, True], ids=["learned from JSON", "learned from SSE"])
@pytest.mark.parametrize("request_fields, settings", REQUESTS.values(), ids=REQUESTS.keys())
def test_json_and_sse_are_equal(server, standin, learned_as_stream, request_fields, settings):
    standin.rule("Field for field", **settings)
    key = harness.fresh_key()
    original, headers = call(server, key, learned_as_stream, request_fields)
    assert headers["x-cache"] == "MISS"
    for stream in (False, True):
        replayed, headers = call(server, key, stream, request_fields)
        assert headers["x-cache"] == "HIT", f"stream={stream}"
        assert replayed == original, f"stream={stream}"
    assert standin.calls() == 1


def test_usage_only_when_asked_for(server, standin, key):
    """Learning from a stream needs usage; the caller who did not ask for it does not see it."""
    plain = sse.events_of(server.chat("Is usage shown?", key=key, stream=True))
    asked = standin.requests()[-1]
    assert '"include_usage":true' in asked["body"].replace(" ", "")
    assert all(not event.get("usage") and event["choices"] for event in plain if event != "[DONE]")
    replayed = sse.events_of(server.chat("Is usage shown?", key=key, stream=True))
    assert all(not event.get("usage") and event["choices"] for event in replayed if event != "[DONE]")
    whole = server.chat("Is usage shown?", key=key).json()
    assert whole["usage"]["total_tokens"] > 0
    wanted = sse.events_of(server.chat("Is usage shown?", key=key, stream=True,
                                       stream_options={"include_usage": True}))
    assert wanted[-1] == "[DONE]" and wanted[-2]["choices"] == []
    assert wanted[-2]["usage"] == whole["usage"]
    assert standin.calls() == 1


def test_replay_has_fresh_identity_each_time(server, key):
    ids = {server.chat("Who are you today?", key=key).json()["id"] for _ in range(4)}
    assert len(ids) == 4


def test_completions_dialect(server, standin, key):
    body = {"model": "stand-in-1", "prompt": "Once upon a time", "n": 2}
    first = server.post("/v1/completions", body, key)
    assert first.headers["x-cache"] == "MISS"
    again = server.post("/v1/completions", body, key)
    assert again.headers["x-cache"] == "HIT"
    assert sse.without_identity(again.json()) == sse.without_identity(first.json())
    events = sse.events_of(server.post("/v1/completions", {**body, "stream": True}, key))
    texts = {0: "", 1: ""}
    for event in events[:-1]:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == {choice["index"]: choice["text"] for choice in first.json()["choices"]}
    assert events[-1] == "[DONE]"
    assert standin.calls() == 1


def test_chat_and_completions_do_not_mix(server, standin, key):
    server.post("/v1/completions", {"model": "stand-in-1", "prompt": "Same words in both"}, key)
    assert server.chat("Same words in both", key=key).headers["x-cache"] == "MISS"
    assert standin.calls() == 2

"""The main job through the real openai Python SDK: miss, exact hit, semantic hit, refused near miss,
streams, and what must never be learned."""

import json

import openai
import pytest

import harness

PAIRS = json.loads((harness.ROOT / "tests/standin/pairs.json").read_text())["pairs"]


def ask(client, question, **more):
    """The parsed answer and its headers."""
    raw = client.chat.completions.with_raw_response.create(
        model="stand-in-1", messages=[{"role": "user", "content": question}], **more)
    return raw.parse(), raw.headers


def stream_text(client, question, **more) -> str:
    chunks = client.chat.completions.create(
        model="stand-in-1", messages=[{"role": "user", "content": question}], stream=True, **more)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["questions"][0][:24])
def test_miss_exact_semantic_near_miss(client, standin, pair):
    first, paraphrase = pair["questions"]
    answer, headers = ask(client, first)
    assert headers["x-cache"] == "MISS"
    assert answer.choices[0].message.content == pair["answer"]

    again, headers = ask(client, first)
    assert (headers["x-cache"], headers["x-cache-layer"]) == ("HIT", "exact")
    assert again.choices[0].message.content == pair["answer"]
    assert again.usage == answer.usage
    assert again.id != answer.id

    other, headers = ask(client, paraphrase)
    assert (headers["x-cache"], headers["x-cache-layer"]) == ("HIT", "semantic")
    assert other.choices[0].message.content == pair["answer"]
    assert standin.calls() == 1

    near, headers = ask(client, pair["near_miss"])
    assert headers["x-cache"] == "MISS"
    assert near.choices[0].message.content != pair["answer"]
    assert standin.calls() == 2


def test_json_answer_replayed_as_stream(client, standin):
    answer, _ = ask(client, "How do bees make honey?")
    assert stream_text(client, "How do bees make honey?") == answer.choices[0].message.content
    assert standin.calls() == 1


def test_stream_learned_and_served_as_json(client, standin):
    text = stream_text(client, "How is glass made?")
    answer, headers = ask(client, "How is glass made?")
    assert headers["x-cache"] == "HIT"
    assert answer.choices[0].message.content == text
    assert stream_text(client, "How is glass made?") == text
    assert standin.calls() == 1


def test_replayed_stream_has_several_chunks(client):
    ask(client, "Describe the water cycle in a few words, please.")
    chunks = list(client.chat.completions.create(
        model="stand-in-1", stream=True,
        messages=[{"role": "user", "content": "Describe the water cycle in a few words, please."}]))
    with_text = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(with_text) > 1
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices[0].finish_reason == "stop"


NOT_LEARNED = {
    "error 500": {"status": 500},
    "error 400": {"status": 400},
    "rate limit": {"status": 429, "retry_after": 60},
    "length": {"finish_reason": "length"},
    "content filter": {"finish_reason": "content_filter"},
    "refusal": {"refusal": "I cannot help with that."},
    "truncated json": {"malformed": "json"},
    "a proxy's page": {"malformed": "html"},
    "empty body": {"malformed": "empty"},
    "short body": {"malformed": "length"},
    "bad chunk": {"malformed": "chunk"},
    "cut body": {"cut_bytes": 40},
}


@pytest.mark.parametrize("settings", NOT_LEARNED.values(), ids=NOT_LEARNED.keys())
def test_bad_answers_are_not_learned(client, standin, settings):
    question = "Which river flows through Vienna?"
    standin.rule(question, times=1, **settings)
    try:
        ask(client, question)
    except (openai.APIError, ValueError):
        pass  # how the caller sees each is for test_upstream_errors
    calls = standin.calls()
    answer, headers = ask(client, question)
    assert headers["x-cache"] == "MISS"
    assert standin.calls() == calls + 1
    assert "Vienna" in answer.choices[0].message.content


NOT_LEARNED_STREAMS = {
    "cut at once": {"cut_events": 0},
    "cut in the middle": {"cut_events": 3},
    "cut before [DONE]": {"no_done": True},
    "malformed event": {"malformed": "sse"},
    "length": {"finish_reason": "length"},
    "refusal": {"refusal": "I cannot help with that."},
}


@pytest.mark.parametrize("settings", NOT_LEARNED_STREAMS.values(), ids=NOT_LEARNED_STREAMS.keys())
def test_bad_streams_are_not_learned(client, standin, settings):
    question = "Which river flows through Budapest?"
    standin.rule(question, times=1, **settings)
    try:
        stream_text(client, question)
    except (openai.APIError, ValueError):
        pass
    except Exception as problem:  # the SDK lets its transport's own errors through in mid-stream
        assert "httpx" in type(problem).__module__ or "httpcore" in type(problem).__module__, problem
    calls = standin.calls()
    _, headers = ask(client, question)
    assert headers["x-cache"] == "MISS"
    assert standin.calls() == calls + 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_compressed_answers_are_learned(client, standin, encoding):
    question = f"What is {encoding} good for?"
    standin.rule(question, encoding=encoding)
    first, _ = ask(client, question)
    second, headers = ask(client, question)
    assert headers["x-cache"] == "HIT"
    assert "content-encoding" not in headers
    assert second.choices[0].message.content == first.choices[0].message.content
    assert standin.calls() == 1


def test_compressed_stream_is_learned(client, standin):
    standin.rule("How do magnets work?", encoding="gzip")
    text = stream_text(client, "How do magnets work?")
    answer, headers = ask(client, "How do magnets work?")
    assert headers["x-cache"] == "HIT" and answer.choices[0].message.content == text


ODD_STREAMS = {"one byte at a time": {"piece_bytes": 1}, "three bytes": {"piece_bytes": 3},
               "crlf": {"line_end": "\r\n"}, "comments": {"comments": True},
               "crlf, comments, seven bytes": {"line_end": "\r\n", "comments": True, "piece_bytes": 7}}


@pytest.mark.parametrize("settings", ODD_STREAMS.values(), ids=ODD_STREAMS.keys())
def test_oddly_sliced_streams_are_learned(client, standin, settings):
    question = "Wie heißt der höchste Berg Österreichs?"
    standin.rule(question, answer="Der Großglockner – 3 798 m ⛰ – ist es.", **settings)
    assert stream_text(client, question) == "Der Großglockner – 3 798 m ⛰ – ist es."
    answer, headers = ask(client, question)
    assert headers["x-cache"] == "HIT"
    assert answer.choices[0].message.content == "Der Großglockner – 3 798 m ⛰ – ist es."


KEYED = {"max_tokens": {"max_tokens": 5}, "n": {"n": 2}, "stop": {"stop": ["."]}, "seed": {"seed": 7},
         "system": {"system": "Answer like a pirate."}, "model": {"model": "stand-in-2"},
         "response_format": {"response_format": {"type": "json_object"}},
         "unknown field": {"extra_body": {"some_new_field": True}}}


@pytest.mark.parametrize("change", KEYED.values(), ids=KEYED.keys())
def test_every_other_field_is_in_the_key(client, standin, change):
    ask(client, "How tall is Mount Everest?")
    change = dict(change)
    messages = [{"role": "user", "content": "How tall is Mount Everest?"}]
    if "system" in change:
        messages.insert(0, {"role": "system", "content": change.pop("system")})
    request = {"model": "stand-in-1", "messages": messages, **change}
    raw = client.chat.completions.with_raw_response.create(**request)
    assert raw.headers["x-cache"] == "MISS"
    assert standin.calls() == 2
    raw = client.chat.completions.with_raw_response.create(**request)
    assert raw.headers["x-cache"] == "HIT"


@pytest.mark.parametrize("change", [{"temperature": 0.3}, {"top_p": 0.5}], ids=str)
def test_sampling_is_in_the_exact_key(client, standin, change):
    """Only its class is in the partition, so the semantic layer may serve what the exact one does not."""
    exact = {"extra_headers": {"X-Cache-Type": "exact"}}
    ask(client, "How wide is the Danube?")
    _, headers = ask(client, "How wide is the Danube?", **change, **exact)
    assert headers["x-cache"] == "MISS" and standin.calls() == 2
    _, headers = ask(client, "How wide is the Danube?", **change, **exact)
    assert headers["x-cache-layer"] == "exact"


IGNORED = {"user": {"user": "u1"}, "safety_identifier": {"extra_body": {"safety_identifier": "s"}},
           "metadata": {"metadata": {"a": "b"}}, "store": {"store": True},
           "service_tier": {"service_tier": "default"}, "prompt_cache_key": {"prompt_cache_key": "k"}}


@pytest.mark.parametrize("change", IGNORED.values(), ids=IGNORED.keys())
def test_fields_that_cannot_change_the_answer_are_not(client, standin, change):
    ask(client, "How deep is the Mariana Trench?")
    _, headers = ask(client, "How deep is the Mariana Trench?", **change)
    assert (headers["x-cache"], headers["x-cache-layer"]) == ("HIT", "exact")
    assert standin.calls() == 1


def test_hot_requests_bypass(client, standin):
    for _ in range(2):
        _, headers = ask(client, "Tell me a joke about cats.", temperature=1.9)
        assert headers["x-cache"] == "BYPASS"
    assert standin.calls() == 2

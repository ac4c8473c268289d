"""Wrong bodies: the right status and a sentence that names what is wrong, in OpenAI's error form on /v1,
nothing sent upstream, nothing learned, and the server goes on."""

import json

import pytest

import rawhttp

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


def openai_error(response_body: bytes) -> dict:
    error = json.loads(response_body)["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert isinstance(error["message"], str) and len(error["message"]) > 10
    return error


def chat_body(**fields) -> bytes:
    return json.dumps({"model": "stand-in-1", "messages": HELLO, **fields}).encode()


BODIES = {
    "empty body": (b"", ""),
    "no JSON": (b"hello", ""),
    "cut JSON": (b'{"model": "m", "messages": [', ""),
    "trailing bytes": (chat_body() + b"}", ""),
    "not an object": (b"[1, 2]", ""),
    "duplicate key": (b'{"model": "a", "model": "b", "messages": []}', "twice"),
    "invalid UTF-8": (chat_body().replace(b"hello", b"he\xff\xfelo"), "UTF-8"),
    "lone surrogate": (chat_body().replace(b"hello", b"\\ud800"), ""),
    "too deep": (b'{"model": "m", "messages": ' + b"[" * 2000 + b"]" * 2000 + b"}", "64 levels"),
    "no messages": (b'{"model": "m"}', "messages"),
    "messages no list": (chat_body(messages="hi"), "messages"),
    "messages empty": (chat_body(messages=[]), "messages"),
    "message no object": (chat_body(messages=["hi"]), "messages"),
    "message without role": (chat_body(messages=[{"content": "x"}]), "role"),
    "role no text": (chat_body(messages=[{"role": 7, "content": "x"}]), "role"),
    "content a number": (chat_body(messages=[{"role": "user", "content": 7}]), "content"),
    "part without type": (chat_body(messages=[{"role": "user", "content": [{"text": "x"}]}]), "type"),
    "no model": (json.dumps({"messages": HELLO}).encode(), "model"),
    "model a number": (chat_body(model=5), "model"),
    "stream no bool": (chat_body(stream="yes"), "stream"),
    "stream_options no object": (chat_body(stream=True, stream_options=1), "stream_options"),
    "temperature a text": (chat_body(temperature="hot"), "temperature"),
}


@pytest.mark.parametrize("body, named", BODIES.values(), ids=BODIES.keys())
def test_wrong_chat_bodies(server, standin, key, body, named):
    status, headers, answer = rawhttp.exchange(server, rawhttp.request(
        "POST", CHAT, body, "Content-Type: application/json", f"Authorization: Bearer {key}"))
    assert status == 400, answer
    assert headers["content-type"].startswith("application/json")
    error = openai_error(answer)
    assert error["type"] == "invalid_request_error"
    assert named in error["message"] or named == error["param"], error
    assert standin.calls() == 0


@pytest.mark.parametrize("path, body, named", [
    ("/v1/completions", {"model": "m"}, "prompt"),
    ("/v1/completions", {"prompt": "x"}, "model"),
    ("/v1/completions", {"model": "m", "prompt": {"a": 1}}, "prompt"),
    ("/v1/embeddings", {"model": "all-MiniLM-L6-v2"}, "input"),
    ("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": []}, "input"),
    ("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": 7}, "input"),
    ("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": "x", "encoding_format": "hex"}, "format"),
    ("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": "x", "dimensions": 7}, "dimensions"),
], ids=str)
def test_wrong_bodies_elsewhere(server, key, path, body, named):
    response = server.post(path, body, key)
    assert response.status_code == 400, response.text
    error = openai_error(response.content)
    assert named in error["message"] or named == error["param"]


def test_wrong_types_we_do_not_read_are_the_providers_to_refuse(server, standin, key):
    response = server.chat("How many choices?", key=key, n="two")
    assert response.status_code == 400 and "n must be" in response.json()["error"]["message"]
    assert server.chat("How many choices?", key=key, n="two").headers["x-cache"] == "MISS"


def test_unknown_model_is_the_providers_to_refuse(server, standin, key):
    standin.rule("which model", status=404, message="The model `gpt-0` does not exist")
    response = server.chat("To which model do I talk?", key=key, model="gpt-0")
    assert response.status_code == 404 and "gpt-0" in response.json()["error"]["message"]


def test_huge_body(server, standin, key):
    """Refused by its declared length, before it is read."""
    with rawhttp.Connection(server) as connection:
        connection.send(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Length: 999999999\r\n\r\n{")
        status, _, body = connection.read_response()
    assert status == 413 and "MiB" in openai_error(body)["message"] or status == 413
    assert standin.calls() == 0


def test_huge_chunked_body(server, standin):
    piece = b"100000\r\n" + b"a" * 0x100000 + b"\r\n"
    with rawhttp.Connection(server) as connection:
        connection.send(b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(40):
                connection.send(piece)
        except OSError:
            pass  # refused while we were still sending
        answer = connection.read_all()
    assert answer == b"" or b" 413 " in answer.split(b"\r\n")[0]
    assert standin.calls() == 0


@pytest.mark.parametrize("path, body", [("/cache/lookup", b"{"), ("/cache/lookup", b"\xff\xff"),
                                        ("/cache/entries", b"[" * 5000), ("/cache/lookup", b"")], ids=str)
def test_native_malformed_bodies(server, key, path, body):
    status, _, answer = rawhttp.exchange(server, rawhttp.request("POST", path, body))
    assert status == 400 and json.loads(answer)["error"]["message"]


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", "?", "\u200b", "\x00",
                         "🙂", "a" * 10_000, "\ud7ff\uffff"], ids=lambda text: repr(text[:5]))
def test_odd_prompts_are_answered(server, standin, key, prompt):
    """Legal, if odd: they go upstream, are learned for exact use, and never match one another."""
    first = server.chat(prompt, key=key)
    assert first.status_code == 200 and first.headers["x-cache"] == "MISS"
    again = server.chat(prompt, key=key)
    assert (again.headers["x-cache"], again.headers["x-cache-layer"]) == ("HIT", "exact")
    assert server.chat(prompt + "!", key=key).headers["x-cache"] == "MISS"


def test_prompt_of_100_000_tokens(server, standin, key):
    standin.rule("the following text", answer="It is a list of words.")
    prompt = "What does the following text mean? " + "owl " * 100_000
    first = server.chat(prompt, key=key)
    assert first.status_code == 200 and first.headers["x-cache"] == "MISS"
    assert server.chat(prompt, key=key).headers["x-cache-layer"] == "exact"
    # The window cuts both to the same vector; a cut text is never compared.
    assert server.chat(prompt + "differently", key=key).headers["x-cache"] == "MISS"
    assert standin.calls() == 2


def test_images_and_tool_results_use_the_exact_layer_only(server, standin, key):
    def image(url, text="What is in this picture?"):
        return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]

    assert server.chat(image("https://example.org/1.png"), key=key).headers["x-cache"] == "MISS"
    assert server.chat(image("https://example.org/1.png"), key=key).headers["x-cache-layer"] == "exact"
    assert server.chat(image("https://example.org/2.png"), key=key).headers["x-cache"] == "MISS"
    rephrased = image("https://example.org/1.png", "What is in the picture?")
    assert server.chat(rephrased, key=key).headers["x-cache"] == "MISS"


def test_many_bad_requests_leave_the_server_healthy(server, key):
    for body, _ in list(BODIES.values()) * 5:
        rawhttp.exchange(server, rawhttp.request("POST", CHAT, body))
    assert server.get("/health").json()["overall_status"] == "healthy"
    assert server.chat("Still there?", key=key).status_code == 200

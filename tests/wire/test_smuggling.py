"""Requests two parsers could read in two ways are refused, and the connection ends."""

import json
import re

import pytest

import harness
import rawhttp
import secure

BODY = b'{"query": "smuggled"}'
HIDDEN = b"GET /admin/keys HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"POST /cache/lookup HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"15\r\n" + BODY + b"\r\n0\r\n\r\n"

# Not the interim 100, and not the words in a message.
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ")

AMBIGUOUS = {
    "CL and TE": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "TE and CL": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + CHUNKED,
    "two CL": HEAD + b"Content-Length: 21\r\nContent-Length: 0\r\n\r\n" + BODY,
    "two equal CL": HEAD + b"Content-Length: 21\r\nContent-Length: 21\r\n\r\n" + BODY,
    "CL list": HEAD + b"Content-Length: 21, 21\r\n\r\n" + BODY,
    "CL plus": HEAD + b"Content-Length: +21\r\n\r\n" + BODY,
    "CL minus": HEAD + b"Content-Length: -1\r\n\r\n" + BODY,
    "CL hex": HEAD + b"Content-Length: 0x15\r\n\r\n" + BODY,
    "CL huge": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + BODY,
    "CL blank inside": HEAD + b"Content-Length: 2 1\r\n\r\n" + BODY,
    "TE other": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "TE list": HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNKED,
    "TE twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKED,
    "TE tab": HEAD + b"Transfer-Encoding:\tchunked, chunked\r\n\r\n" + CHUNKED,
    "TE vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED,
    "TE in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "blank before colon": HEAD + b"Content-Length : 21\r\n\r\n" + BODY,
    "obs-fold": HEAD + b"X-A: b\r\n Content-Length: 0\r\nContent-Length: 21\r\n\r\n" + BODY,
    "obs-fold of TE": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKED,
    "bare LF": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 21\n\n" + BODY,
    "bare LF in one line": HEAD + b"X-A: b\nContent-Length: 0\r\nContent-Length: 21\r\n\r\n" + BODY,
    "bare CR": HEAD + b"X-A: b\rContent-Length: 0\r\nContent-Length: 21\r\n\r\n" + BODY,
    "NUL in a header": HEAD + b"X-A: b\0\r\nContent-Length: 21\r\n\r\n" + BODY,
    "NUL in a name": HEAD + b"X\0A: b\r\nContent-Length: 21\r\n\r\n" + BODY,
    "chunk size with blanks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b" " + CHUNKED,
    "chunk size in 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0x" + CHUNKED,
    "chunk size negative": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"-" + CHUNKED,
    "chunk size too large": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"fffffffffffffffff\r\n" + BODY,
    "chunk ended by LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n15\n" + BODY + b"\n0\n\n",
    "chunk longer than said": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "two hosts": HEAD + b"Host: other\r\nContent-Length: 21\r\n\r\n" + BODY,
    "no host": b"POST /cache/lookup HTTP/1.1\r\nContent-Length: 21\r\n\r\n" + BODY,
}


@pytest.fixture(scope="module")
def module_server(standin_process, tmp_path_factory):
    one = secure.start(tmp_path_factory.mktemp("smuggling"), standin_process.base_url)
    one.mine = one.key()
    yield one
    assert one.stop() == 0, one.log()[-3000:]


@pytest.fixture
def server(module_server, standin):
    yield module_server
    assert module_server.process.poll() is None, module_server.log()[-3000:]


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_it_is_refused_and_the_connection_ends(server, name):
    credential = b"Host: localhost\r\nAuthorization: Bearer " + server.mine.encode() + b"\r\n"
    data = AMBIGUOUS[name].replace(b"Host: localhost\r\n", credential, 1)
    with rawhttp.Connection(server) as connection:
        answer = connection.send(data + HIDDEN).half_close().read_all()
    answers = len(STATUS_LINE.findall(answer))
    status = answer.split(b" ")[1] if answer else b""
    assert answers == 1 and status in (b"400", b"413", b"501", b"431"), (name, answer[:500])
    assert b'"keys"' not in answer


def test_hidden_requests_need_a_key_of_their_own(server):
    """A request behind a proper one is a request: the first one's key is not its."""
    body = json.dumps({"query": "first"}).encode()
    first = rawhttp.request("POST", "/cache/lookup", body, f"Authorization: Bearer {server.admin}")
    with rawhttp.Connection(server) as connection:
        answer = connection.send(first + HIDDEN).half_close().read_all()
    assert STATUS_LINE.findall(answer) == [b"200", b"401"]


INJECTIONS = [
    "n\r\nX-Injected: yes",
    "n\nX-Injected: yes",
    "n\rX-Injected: yes",
    "n%0d%0aX-Injected:%20yes",
    "n\u0000X-Injected: yes",
    "n\u2028X-Injected: yes",
]


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize("place", ["header", "query", "body", "model"])
def test_headers_cannot_be_injected(server, standin, value, place):
    """Neither into our answer nor into what the provider gets."""
    chat = {
        "model": "stand-in-1",
        "messages": [{"role": "user", "content": f"Injected {place} {value!r}?"}],
    }
    path, headers = "/v1/chat/completions", [f"Authorization: Bearer {server.mine}"]
    if place == "header":
        headers += [f"X-Cache-Namespace: {value}", f"OpenAI-Organization: {value}"]
    elif place == "query":
        path += "?a=" + value.replace(" ", "%20")
    elif place == "body":
        chat["user"] = value
        chat["cache"] = {"namespace": value}
    else:
        chat["model"] = value
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers])
    body = json.dumps(chat).encode()
    data = head.encode("utf-8") + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with rawhttp.Connection(server) as connection:
        connection.send(data).half_close()
        answer = connection.read_all()
    assert b"\r\nX-Injected" not in answer.partition(b"\r\n\r\n")[0]
    for request in standin.requests():
        names = {name.lower() for name, _ in request["headers"]}
        # A line break the caller itself sent makes a header of its own; that is no injection.
        if not (place == "header" and "\r\n" in value):
            assert "x-injected" not in names, request


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://[fe80::1]:80",
        "http://[fd00:ec2::254]",
        "http://[::ffff:169.254.169.254]/v1",
    ],
)
def test_metadata_services_are_never_asked(tmp_path, url):
    """Link-local addresses are where clouds keep credentials (server-side request forgery)."""
    server = secure.start(tmp_path, url)
    answer = server.chat("What are the machine's credentials?", key=server.key())
    assert answer.status_code in (400, 502) and "link-local" in answer.text, answer.text
    assert server.stop() == 0


@pytest.mark.parametrize(
    "path",
    [
        "http://169.254.169.254/v1/chat/completions",
        "//169.254.169.254/v1",
        "/v1/../../etc/passwd",
        "/v1/%2e%2e/%2e%2e/secret",
        "/v1/files@evil.example/",
    ],
)
def test_callers_cannot_choose_the_host(server, standin, path):
    key = f"Authorization: Bearer {server.mine}"
    status, _, _ = rawhttp.exchange(server, rawhttp.request("GET", path, b"", key))
    assert status in (200, 400, 401, 403, 404, 405)
    for request in standin.requests():
        assert ".." not in request["target"] and dict(request["headers"]).get("Host", "").startswith(
            "127.0.0.1"
        )


def test_a_flood_of_headers_is_refused(server):
    for lines in (b"X-A: b\r\n" * 10_000, b"X-A: " + b"b" * 100_000 + b"\r\n"):
        with rawhttp.Connection(server) as connection:
            connection.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n")
            assert connection.read_all().startswith(b"HTTP/1.1 431")
    assert harness.wait_until(lambda: server.get("/live").status_code == 200, 5)

"""HTTP/1.1 itself: keep-alive, pipelining, limits, slow and half-closed clients."""

import json
import time

import pytest

import harness
import rawhttp

LIVE = rawhttp.request("GET", "/live")
SHORT = {"EGPTC_SERVER__HEADER_TIMEOUT_SECONDS": 1, "EGPTC_SERVER__BODY_TIMEOUT_SECONDS": 1,
         "EGPTC_SERVER__IDLE_TIMEOUT_SECONDS": 1}


def test_keep_alive(server):
    with rawhttp.Connection(server) as connection:
        for _ in range(3):
            assert connection.send(LIVE).read_response()[0] == 200


def test_connection_close_and_http_1_0(server):
    with rawhttp.Connection(server) as connection:
        answer = connection.send(rawhttp.request("GET", "/live", b"", "Connection: close")).read_all()
        assert answer.startswith(b"HTTP/1.1 200")
    with rawhttp.Connection(server) as connection:
        assert b" 200 " in connection.send(b"GET /live HTTP/1.0\r\n\r\n").read_all().split(b"\r\n")[0]


def test_pipelined_answers_keep_their_order(server, key):
    store = {"entries": [{"query": f"pipelined question {n}", "response": f"answer {n}"} for n in range(8)]}
    server.post("/cache/entries", store, key)
    wanted = [
        rawhttp.request(
            "POST", "/cache/lookup", json.dumps({"query": f"pipelined question {n}"}).encode(),
            f"Authorization: Bearer {key}") for n in range(8)]
    with rawhttp.Connection(server) as connection:
        connection.send(b"".join(wanted) + rawhttp.request("GET", "/live", b"", "Connection: close"))
        answer = connection.read_all().decode()
    places = [answer.index(f'"answer {n}"') for n in range(8)]
    assert places == sorted(places)


def test_pipelined_behind_a_slow_answer(server, standin, key):
    standin.rule("slow one first", delay=0.3)
    with rawhttp.Connection(server) as connection:
        connection.send(rawhttp.chat_bytes("The slow one first", key)
                        + rawhttp.request("GET", "/live", b"", "Connection: close"))
        answer = connection.read_all()
    assert answer.index(b"slow one first") < answer.rindex(b"HTTP/1.1 200")


def test_byte_by_byte(server, key):
    with rawhttp.Connection(server) as connection:
        for byte in rawhttp.chat_bytes("Sent slowly?", key):
            connection.send(bytes([byte]))
        assert connection.read_response()[0] == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/other/chat/completions"])
def test_half_closed_client_is_answered(server, standin, key, path):
    """It sends no more but still reads: the call goes on; an interim response asks whether it is there."""
    standin.rule("half closed", gate="half-closed")
    with rawhttp.Connection(server) as connection:
        connection.send(rawhttp.chat_bytes("Is half closed fine?", key).replace(b"/v1/chat/completions",
                                                                                path.encode()))
        harness.wait_until(lambda: standin.calls() == 1, 10, "the call")
        connection.half_close()
        time.sleep(0.3)
        standin.open("half-closed")
        interim, _, answer = connection.read_all().partition(b"\r\n\r\n")
    assert interim == b"HTTP/1.1 100 Continue"
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert standin.requests()[-1]["state"] != "cancelled"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/other/chat/completions"])
def test_clients_that_leave_before_the_answer_are_cancelled(server, standin, key, path):
    """A call nobody waits for costs money, whatever the path is."""
    standin.rule("left alone", gate="left-alone")
    connections = []
    for number in range(10):
        connections.append(rawhttp.Connection(server).send(
            rawhttp.chat_bytes(f"Is number {number} left alone?", key).replace(b"/v1/chat/completions",
                                                                               path.encode())))
    harness.wait_until(lambda: standin.calls() == 10, 10, "the calls")
    for connection in connections:
        connection.close()
    harness.wait_until(lambda: all(r["state"] == "cancelled" for r in standin.requests()), 10,
                       "upstream cancellation")
    harness.wait_until(lambda: in_flight(server) <= 1, 5, "nothing in flight but the question itself")


def in_flight(server) -> float:
    return next(value for name, value in server.metrics().items() if name.endswith("requests_in_flight"))


def test_half_closed_after_a_call_we_answer_ourselves(server, key):
    body = json.dumps({"query": "asked, then closed"}).encode()
    for data in (LIVE, rawhttp.request("POST", "/cache/lookup", body, f"Authorization: Bearer {key}")):
        with rawhttp.Connection(server) as connection:
            answer = connection.send(data).half_close().read_all()
        assert answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_half_closed_before_the_end_of_the_request(server, standin):
    for cut in (b"POST /v1/chat", b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Le",
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{\"mod"):
        with rawhttp.Connection(server) as connection:
            answer = connection.send(cut).half_close().read_all()
            assert (answer == b"" and b"\r\n\r\n" not in cut) or answer.split()[1] == b"400"
    assert standin.calls() == 0


POST_HEAD = b"POST /cache/lookup HTTP/1.1\r\nHost: localhost\r\n"
BAD_HEADS = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET /live\r\n\r\n",
    "wrong version": b"GET /live HTTP/3.7\r\n\r\n",
    "space in header name": b"GET /live HTTP/1.1\r\nHost : t\r\n\r\n",
    "folded header": b"GET /live HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n",
    "bare CR": b"GET /live HTTP/1.1\r\nHost: localhost\r\nA: b\rc\r\n\r\n",
    "NUL in header": b"GET /live HTTP/1.1\r\nHost: localhost\r\nA: b\x00c\r\n\r\n",
    "two lengths": POST_HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunked": POST_HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": POST_HEAD + b"Content-Length: -1\r\n\r\n",
    "length no number": POST_HEAD + b"Content-Length: 1x\r\n\r\n",
    "huge length": POST_HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "unknown transfer coding": POST_HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "chunk size no number": POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no host": b"GET /live HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_bad_heads(server, data):
    with rawhttp.Connection(server) as connection:
        answer = connection.send(data).read_all()
    assert answer.split(b" ")[1] in (b"400", b"411", b"413", b"501", b"505"), answer[:100]
    assert b"connection: close" in answer.lower()


def test_header_limits(server):
    long = rawhttp.request("GET", "/live", b"", "X-Long: " + "a" * 40_000)
    with rawhttp.Connection(server) as connection:
        assert connection.send(long).read_all().split(b" ")[1] == b"431"
    many = rawhttp.request("GET", "/live", b"", *[f"X-{n}: {n}" for n in range(5000)])
    with rawhttp.Connection(server) as connection:
        assert connection.send(many).read_all().split(b" ")[1] == b"431"


def test_expect_continue(server, key):
    body = json.dumps({"query": "expected"}).encode()
    head = (f"POST /cache/lookup HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    with rawhttp.Connection(server) as connection:
        status, _, _ = connection.send(head).read_response()
        assert status == 100
        assert connection.send(body).read_response()[0] == 200


def test_chunked_request_body(server, key):
    data = json.dumps({"query": "sent in chunks"}).encode()
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" %
     (len(data[i:i + 5]), data[i:i + 5]) for i in range(0, len(data), 5))
    head = b"POST /cache/lookup HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, _, answer = rawhttp.exchange(server, head + chunks + b"0\r\nTrailer: x\r\n\r\n")
    assert status == 200 and json.loads(answer)["hit"] is False


def test_head_and_options(server):
    assert server.request("HEAD", "/live").status_code in (200, 405)
    assert server.request("HEAD", "/live").content == b""


@pytest.mark.timing
@pytest.mark.parametrize("data",
                         [b"GET /li", POST_HEAD + b"Content-Length: 9\r\n\r\n{",
                          LIVE],
                         ids=["head", "body", "idle"])
def test_slow_clients_are_let_go(start_server, data):
    server = start_server(SHORT)
    with rawhttp.Connection(server) as connection:
        seconds = connection.send(data).seconds_until_closed()
    assert 0.5 < seconds < 8
    assert server.get("/live").status_code == 200


def test_slow_dripping_head_is_let_go(start_server):
    """One byte now and then must not keep a head open for ever."""
    server = start_server(SHORT)
    with rawhttp.Connection(server) as connection:
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < 8 * harness.SLOWNESS:
                connection.send(b"G")
                time.sleep(0.2)
        except OSError:
            return
    raise AssertionError("the server kept a head open that never ends")


def ended(standin) -> bool:
    seen = standin.requests()
    return bool(seen) and seen[-1]["state"] in ("cancelled", "complete")


def test_client_that_does_not_read_is_let_go(start_server, standin, key):
    server = start_server({"EGPTC_SERVER__WRITE_TIMEOUT_SECONDS": 1,
                          "EGPTC_UPSTREAM__IDLE_TIMEOUT_SECONDS": 60})
    standin.rule("endless", answer="word " * 400_000)
    with rawhttp.Connection(server) as connection:
        connection.send(rawhttp.chat_bytes("An endless story", key, stream=True))
        harness.wait_until(lambda: ended(standin), 20, "an end")
        assert standin.requests()[-1]["state"] == "cancelled"


def test_connection_limit(start_server):
    server = start_server({"EGPTC_SERVER__MAX_CONNECTIONS": 8})
    held = [rawhttp.Connection(server) for _ in range(8)]
    try:
        for connection in held[:7]:
            connection.send(LIVE).read_response()
        refused = rawhttp.Connection(server).send(LIVE).read_all()
        assert refused == b"" or b" 503 " in refused.split(b"\r\n")[0]
    finally:
        for connection in held:
            connection.close()
    harness.wait_until(lambda: server.get("/live").status_code == 200, 5, "room again")

"""Every other /v1 call passes through untouched and unbuffered: methods, uploads, WebSockets."""

import asyncio
import hashlib
import json

import pytest
import websockets

import harness
import rawhttp


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_methods_and_bodies(server, standin, key, method):
    body = None if method in ("GET", "DELETE", "OPTIONS") else b"\x00\xffnot JSON at all"
    response = server.request(method, "/v1/threads/t_1?limit=5&after=%2Fx", data=body,
                              headers={"Authorization": f"Bearer {key}", "X-Custom": "kept"})
    assert response.status_code == 200
    seen = standin.requests()[-1]
    assert seen["method"] == method and seen["target"] == "/v1/threads/t_1?limit=5&after=%2Fx"
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert headers["x-custom"] == "kept" and headers["authorization"] == f"Bearer {key}"
    assert seen["bytes"] == (len(body) if body else 0)
    assert response.headers["x-request-id"] == "req-echo"
    assert response.headers["x-cache"] == "BYPASS"


def test_hop_by_hop_headers_stay_behind(server, standin):
    rawhttp.exchange(
    server,
    rawhttp.request(
        "GET",
        "/v1/files",
        b"",
        "Connection: keep-alive, X-Mine",
        "X-Mine: secret",
        "TE: trailers",
         "Proxy-Authorization: Basic eA=="))
    names = {name.lower() for name, _ in standin.requests()[-1]["headers"]}
    assert not names & {"x-mine", "te", "proxy-authorization"}


def test_nothing_of_it_is_cached(server, standin, key):
    for _ in range(2):
        server.post("/v1/threads", {"a": 1}, key)
    assert len(standin.requests()) == 2


def multipart(size: int) -> tuple[bytes, bytes, bytes]:
    start = (b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
             b"Content-Type: application/octet-stream\r\n\r\n")
    return start, b"u" * size, b"\r\n--frontier--\r\n"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_uploads_are_not_buffered(server, standin, chunked):
    """The first half has reached the provider while the second is not even sent."""
    start, data, end = multipart(2_000_000)
    total = len(start) + len(data) + len(end)
    frame = (lambda piece: b"%x\r\n%s\r\n" % (len(piece), piece)) if chunked else (lambda piece: piece)
    how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % total
    with rawhttp.Connection(server) as connection:
        connection.send(b"POST /v1/uploads HTTP/1.1\r\nHost: t\r\nContent-Type: multipart/form-data; "
                        b"boundary=frontier\r\n" + how + b"\r\n\r\n")
        connection.send(frame(start + data[:1_000_000]))
        harness.wait_until(lambda: standin.requests() and standin.requests()[-1]["bytes"] > 500_000, 10,
                           "the first half arriving")
        assert standin.requests()[-1]["state"] == "reading"
        connection.send(frame(data[1_000_000:]) + frame(end) + (b"0\r\n\r\n" if chunked else b""))
        status, _, body = connection.read_response()
    assert status == 200
    assert json.loads(body) == {"bytes": total, "sha256": hashlib.sha256(start + data + end).hexdigest()}


@pytest.mark.slow
@pytest.mark.timing
def test_upload_far_over_the_body_limit(server, standin):
    """Pass-through bodies are not held, so the limit of buffered bodies is not theirs."""
    before = server.resident_bytes()
    response = server.request("POST", "/v1/uploads", data=(b"x" * 65536 for _ in range(1600)))
    assert response.json()["bytes"] == 65536 * 1600
    assert server.resident_bytes() - before < 30 << 20


def test_upload_cut_by_the_client(server, standin):
    with rawhttp.Connection(server) as connection:
        connection.send(
    b"POST /v1/uploads HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n" +
    b"x" *
     1000)
        harness.wait_until(lambda: standin.requests(), 10, "the upload's begin")
    harness.wait_until(lambda: standin.requests()[-1]["state"] == "cancelled", 10, "upstream cancellation")


def test_websocket_tunnel(server, standin, key):
    async def program():
        url = f"ws://127.0.0.1:{server.port}/v1/realtime?model=stand-in-1"
        headers = {"Authorization": f"Bearer {key}"}
        async with websockets.connect(url, additional_headers=headers) as socket:
            echoed = []
            for message in ("hello", b"\x00\x01\xff", "é" * 70_000):
                await socket.send(message)
                echoed.append(await socket.recv())
            await (await socket.ping())
            return echoed

    assert asyncio.run(asyncio.wait_for(program(), 20 * harness.SLOWNESS)) == \
        ["hello", b"\x00\x01\xff", "é" * 70_000]
    seen = standin.requests()[-1]
    assert seen["target"] == "/v1/realtime?model=stand-in-1"
    assert dict(map(tuple, seen["headers"]))["Authorization"] == f"Bearer {key}"


def test_websocket_ends_with_its_client(server, standin):
    async def program():
        socket = await websockets.connect(f"ws://127.0.0.1:{server.port}/v1/realtime")
        await socket.send("x")
        await socket.recv()
        socket.transport.abort()

    asyncio.run(asyncio.wait_for(program(), 20 * harness.SLOWNESS))
    harness.wait_until(lambda: standin.requests()[-1]["state"] in ("cancelled", "complete", "cut"), 10,
                       "the provider's side ending")


def test_paths_outside_are_ours(server, standin):
    response = server.get("/nowhere")
    assert response.status_code == 404 and standin.requests() == []

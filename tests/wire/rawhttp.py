"""Bytes over a socket, for requests no client library would send."""

import json
import socket
import time

import harness


class Connection:
    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=harness.CALL_SECONDS)

    def send(self, data: bytes) -> "Connection":
        self.socket.sendall(data)
        return self

    def half_close(self) -> "Connection":
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def read_all(self) -> bytes:
        """Until the server closes; what arrived before a reset counts."""
        pieces = []
        try:
            while piece := self.socket.recv(65536):
                pieces.append(piece)
        except ConnectionError:
            pass
        return b"".join(pieces)

    def read_response(self) -> tuple[int, dict, bytes]:
        """Status, headers and body of one response with a Content-Length."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError(f"closed after {data!r}")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += self.socket.recv(65536)
        return int(lines[0].split()[1]), headers, body

    def seconds_until_closed(self) -> float:
        begun = time.monotonic()
        self.read_all()
        return time.monotonic() - begun

    def close(self) -> None:
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def exchange(server, data: bytes) -> tuple[int, dict, bytes]:
    with Connection(server) as connection:
        return connection.send(data).read_response()


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def chat_bytes(question: str, key: str, **more) -> bytes:
    body = json.dumps({"model": "stand-in-1", "messages": [{"role": "user", "content": question}], **more})
    return request("POST", "/v1/chat/completions", body.encode(), "Content-Type: application/json",
                   f"Authorization: Bearer {key}")

"""A small HTTP/1.1 server on asyncio whose answers can be wrong on purpose.

A library server would repair what the tests need broken: bodies shorter than they claim, chunk sizes
that are no numbers, connections that end in the middle of an event. So head, body and framing are
written by hand here, and nothing else is.
"""

import asyncio
import json

HEAD_BYTES_MAX = 256 * 1024
REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
           429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
           503: "Service Unavailable", 504: "Gateway Timeout"}


class Request:
    """A request head; the body is read with read_piece() or read_all()."""

    def __init__(self, reader: asyncio.StreamReader, head: bytes):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.path, _, self.query = self.target.partition("?")
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        self.reader = reader
        self._chunked = "chunked" in self.header("transfer-encoding").lower()
        self._left = int(self.header("content-length") or 0)
        self.bytes_read = 0

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    async def read_piece(self) -> bytes:
        """The next bytes of the body as they arrive; empty at its end."""
        if self._chunked:
            piece = await self._read_chunk()
        else:
            piece = await self.reader.read(min(self._left, 65536)) if self._left else b""
            if self._left and not piece:
                raise asyncio.IncompleteReadError(b"", self._left)
            self._left -= len(piece)
        self.bytes_read += len(piece)
        return piece

    async def _read_chunk(self) -> bytes:
        size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
        data = await self.reader.readexactly(size + 2)
        if size == 0:
            self._chunked = False
        return data[:-2]

    async def read_all(self) -> bytes:
        pieces = []
        while piece := await self.read_piece():
            pieces.append(piece)
        return b"".join(pieces)


class Reply:
    """Writes one response, properly or not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader = reader
        self.writer = writer
        self.keep_alive = True
        self.started = False

    async def raw(self, data: bytes) -> None:
        self.started = True
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, headers: list[tuple[str, str]]) -> None:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if not self.keep_alive:
            lines.append("Connection: close")
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def whole(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        await self.head(status, [*headers, ("Content-Length", str(len(body)))])
        if body:
            await self.raw(body)

    async def json(self, status: int, value, headers: list[tuple[str, str]] = ()) -> None:
        body = json.dumps(value).encode()
        await self.whole(status, [("Content-Type", "application/json"), *headers], body)

    async def start_chunked(self, status: int, headers: list[tuple[str, str]]) -> None:
        await self.head(status, [*headers, ("Transfer-Encoding", "chunked")])

    async def chunk(self, data: bytes) -> None:
        if data:
            await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def finish_chunks(self) -> None:
        await self.raw(b"0\r\n\r\n")

    def peer_gone(self) -> bool:
        """The caller has closed its side (our callers never half-close while they wait)."""
        return self.writer.transport.is_closing() or self.reader.at_eof()

    def cut(self) -> None:
        """Ends the connection without ending the answer."""
        self.keep_alive = False
        self.writer.transport.abort()


async def serve_connection(reader, writer, handle) -> None:
    """Reads requests until the peer or an answer closes; `handle(request, reply)` writes each answer."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            request = Request(reader, head[:-4])
            reply = Reply(reader, writer)
            reply.keep_alive = request.header("connection").lower() != "close"
            if request.header("expect").lower() == "100-continue":
                await reply.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
                reply.started = False
            await handle(request, reply)
            if not reply.keep_alive:
                break
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError, ValueError):
        pass  # the peer went away or sent what is no HTTP: nothing to answer
    finally:
        writer.close()


async def listen(host: str, port: int, handle) -> asyncio.Server:
    async def connected(reader, writer):
        await serve_connection(reader, writer, handle)

    return await asyncio.start_server(connected, host, port, limit=HEAD_BYTES_MAX, backlog=1024)

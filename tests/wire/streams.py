"""Streamed answers read piece by piece over plain sockets, many at a time."""

import asyncio
import json

import harness
import sse


class Stream:
    """One streamed chat request whose answer can be read in steps, or left."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.content = b""
        self.complete = False

    @classmethod
    async def open(cls, server, question: str, key: str, **body) -> "Stream":
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
        text = json.dumps({"model": "stand-in-1", "messages": [{"role": "user", "content": question}],
                           "stream": True, **body}).encode()
        writer.write(
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" %
     (key.encode(), len(text)) + text)
        await writer.drain()
        return cls(reader, writer)

    async def read_head(self) -> None:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(head[0].split()[1])
        self.headers = {n.lower(): v.strip() for n, _, v in (line.partition(":")
                                for line in head[1:] if line)}

    async def read_piece(self) -> bytes:
        """The next chunk; empty at the proper end. A cut answer raises IncompleteReadError."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        data = (await self.reader.readexactly(size + 2))[:-2]
        self.content += data
        self.complete = size == 0
        return data

    async def first_event(self) -> None:
        await self.read_head()
        if "content-length" in self.headers:  # no stream: an error
            body = await self.reader.readexactly(int(self.headers["content-length"]))
            raise AssertionError(f"{self.status}: {body!r}")
        while b"\n\n" not in self.content:
            await self.read_piece()

    async def rest(self) -> list:
        """Reads to the end and returns all events."""
        while not self.complete:
            await self.read_piece()
        self.writer.close()
        return sse.events_of(self)

    def leave(self) -> None:
        self.writer.transport.abort()


def run(program):
    """asyncio.run with the time limit of a test."""
    return asyncio.run(asyncio.wait_for(program, 60 * harness.SLOWNESS))

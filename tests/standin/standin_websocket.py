"""A WebSocket (RFC 6455) that echoes: enough to see that the server under test tunnels upgrades."""

import asyncio
import base64
import hashlib
import struct

from standin_http import Reply, Request

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 8, 9, 10


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        length = struct.unpack(">H", await reader.readexactly(2))[0]
    elif length == 127:
        length = struct.unpack(">Q", await reader.readexactly(8))[0]
    mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
    data = await reader.readexactly(length)
    return first, bytes(byte ^ mask[position % 4] for position, byte in enumerate(data))


def frame(first: int, data: bytes) -> bytes:
    if len(data) < 126:
        return bytes([first, len(data)]) + data
    if len(data) < 65536:
        return bytes([first, 126]) + struct.pack(">H", len(data)) + data
    return bytes([first, 127]) + struct.pack(">Q", len(data)) + data


async def serve(request: Request, reply: Reply) -> None:
    """Answers the upgrade and echoes frames until a close frame or the end of the connection."""
    reply.keep_alive = False
    accept = base64.b64encode(hashlib.sha1(request.header("sec-websocket-key").encode() + GUID).digest())
    await reply.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while True:
        first, data = await read_frame(request.reader)
        kind = first & 0x0F
        if kind == PING:
            await reply.raw(frame(0x80 | PONG, data))
            continue
        await reply.raw(frame(first, data))
        if kind == CLOSE:
            return

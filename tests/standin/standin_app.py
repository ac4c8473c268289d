"""What the stand-in answers: the provider's routes, and a control plane under /calls and /control.

Control plane (never forwarded by the server under test, the tests call it directly):
  GET  /calls                  {"calls": N}: POSTs to answering routes since the last reset
  GET  /control/requests       every recorded request: method, target, headers, body, state
  POST /control/reset          forgets calls, requests, rules and gates
  POST /control/rules          adds a rule (standin_behaviour.py)
  POST /control/open/NAME      opens a gate; answers waiting at it go on
"""

import asyncio
import gzip
import hashlib
import json
import zlib

import standin_answers as answers
import standin_websocket
from standin_behaviour import Behaviour, Rules
from standin_http import Reply, Request

ANSWERING = {"chat/completions": (answers.chat_answer, answers.chat_events),
             "completions": (answers.completion_answer, answers.completion_events)}
ERROR_TYPES = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
RATE_HEADERS = [("x-ratelimit-limit-requests", "500"), ("x-ratelimit-remaining-requests", "499"),
                ("openai-organization", "org-standin"), ("openai-processing-ms", "12"),
                ("openai-version", "2020-10-01")]
REQUESTS_KEPT = 20_000


def compress(encoding: str, data: bytes) -> bytes:
    if encoding == "gzip":
        return gzip.compress(data)
    if encoding == "deflate":
        return zlib.compress(data)
    if encoding == "br":
        import brotli  # only the tests that ask for it need the package
        return brotli.compress(data)
    import zstandard
    return zstandard.compress(data)


class EventStream:
    """Writes events as the behaviour says: slowly, in odd pieces, compressed, cut."""

    def __init__(self, reply: Reply, behaviour: Behaviour):
        self.reply, self.behaviour = reply, behaviour
        self.packer = zlib.compressobj(wbits=31) if behaviour.encoding == "gzip" else None

    async def write(self, data: bytes) -> None:
        if self.packer:
            data = self.packer.compress(data) + self.packer.flush(zlib.Z_SYNC_FLUSH)
        step = self.behaviour.piece_bytes or max(1, len(data))
        for start in range(0, len(data), step):
            await self.reply.chunk(data[start:start + step])

    async def event(self, value) -> None:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        end = self.behaviour.line_end
        if self.behaviour.comments:
            await self.write(f": keep-alive{end}{end}".encode())
        await self.write(f"data: {text}{end}{end}".encode())

    async def finish(self) -> None:
        if self.packer:
            await self.reply.chunk(self.packer.flush())
        await self.reply.finish_chunks()


class StandIn:
    def __init__(self):
        self.rules = Rules()
        self.calls = 0
        self.requests: list[dict] = []
        self.gates: dict[str, asyncio.Event] = {}

    # --- control plane -------------------------------------------------------------------------
    async def control(self, request: Request, reply: Reply) -> None:
        body = await request.read_all()
        if request.path == "/calls":
            return await reply.json(200, {"calls": self.calls})
        if request.path == "/control/requests":
            return await reply.json(200, {"requests": self.requests})
        if request.path == "/control/reset":
            self.rules.clear()
            self.calls, self.requests = 0, []
            for gate in self.gates.values():
                gate.set()
            self.gates = {}
        elif request.path == "/control/rules":
            self.rules.add(json.loads(body))
        elif request.path.startswith("/control/open/"):
            self.gate(request.path.rsplit("/", 1)[1]).set()
        else:
            return await reply.json(404, {"error": f"no control {request.path}"})
        await reply.json(200, {"ok": True})

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    # --- the provider --------------------------------------------------------------------------
    async def handle(self, request: Request, reply: Reply) -> None:
        if request.path == "/calls" or request.path.startswith("/control/"):
            return await self.control(request, reply)
        record = {"method": request.method, "target": request.target, "headers": request.headers,
                  "body": None, "bytes": 0, "state": "reading"}
        if len(self.requests) < REQUESTS_KEPT:
            self.requests.append(record)
        try:
            await self.answer(request, reply, record)
            record["state"] = "cut" if reply.writer.transport.is_closing() else "complete"
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            record["state"] = "cancelled"
            raise

    async def answer(self, request: Request, reply: Reply, record: dict) -> None:
        route = request.path
        for prefix in ("/v1/", "/openai/"):
            route = route.removeprefix(prefix)
        if "upgrade" in request.header("connection").lower():
            record["state"] = "tunnel"
            return await standin_websocket.serve(request, reply)
        if request.method == "POST" and "/uploads" in request.path:
            return await self.upload(request, reply, record)
        record["body"] = (await request.read_all()).decode("utf-8", "backslashreplace")
        record["bytes"] = request.bytes_read
        record["state"] = "answering"
        if request.method == "GET" and route.startswith("models"):
            return await self.models(route, reply)
        if request.method == "POST":
            for name, makers in ANSWERING.items():
                if route == name or route.endswith("/" + name):
                    return await self.completion(request, reply, record, makers)
            if route.endswith("embeddings"):
                self.calls += 1
                vectors = answers.embeddings_answer(json.loads(record["body"]))
                return await reply.json(200, vectors, RATE_HEADERS)
        await self.echo(request, reply, record)

    async def models(self, route: str, reply: Reply) -> None:
        model = {"id": "stand-in-1", "object": "model", "created": 1, "owned_by": "stand-in"}
        await reply.json(200, {"object": "list", "data": [model]} if route == "models" else model)

    async def upload(self, request: Request, reply: Reply, record: dict) -> None:
        """Counts bytes while they come, so that a test can see them arrive before the last is sent."""
        digest = hashlib.sha256()
        while piece := await request.read_piece():
            digest.update(piece)
            record["bytes"] = request.bytes_read
        await reply.json(200, {"bytes": request.bytes_read, "sha256": digest.hexdigest()})

    async def echo(self, request: Request, reply: Reply, record: dict) -> None:
        await reply.json(200, {"method": request.method, "target": request.target, "body": record["body"],
                               "headers": request.headers}, [("x-request-id", "req-echo")])

    async def completion(self, request: Request, reply: Reply, record: dict, makers) -> None:
        self.calls += 1
        call = self.calls
        try:
            body = json.loads(record["body"])
            behaviour = self.rules.behaviour(answers.question_of(body), request.header("x-standin"))
            if not isinstance(body.get("n") or 1, int):
                raise ValueError("n must be a whole number")
        except (ValueError, AttributeError) as problem:
            return await reply.json(400, {"error": {"message": f"bad request: {problem}", "code": None,
                                                    "type": "invalid_request_error", "param": None}})
        if behaviour.close:
            reply.keep_alive = False
        headers = [("x-request-id", f"req-{call}"), *RATE_HEADERS, *behaviour.headers.items()]
        await asyncio.sleep(behaviour.delay)
        if behaviour.status != 200:
            return await self.fail(reply, behaviour, headers)
        if behaviour.malformed == "head":
            await reply.raw(b"HTTP/1.1 banana\r\nthis is no header\r\n\r\n")
            return reply.cut()
        answer = makers[0](body, call, behaviour)
        if body.get("stream"):
            usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return await self.stream(reply, makers[1](answer, usage), behaviour, headers)
        await self.whole(reply, answer, behaviour, headers)

    async def fail(self, reply: Reply, behaviour: Behaviour, headers: list) -> None:
        if behaviour.retry_after != "":
            headers = [*headers, ("Retry-After", str(behaviour.retry_after))]
        kind = ERROR_TYPES.get(behaviour.status, "server_error")
        error = {"message": behaviour.message, "type": kind, "param": None, "code": None}
        await reply.json(behaviour.status, {"error": error}, headers)

    async def whole(self, reply: Reply, answer: dict, behaviour: Behaviour, headers: list) -> None:
        if behaviour.gate:
            await self.wait_at_gate(behaviour.gate, reply)
        body = json.dumps(answer).encode()
        kind = "application/json"
        if behaviour.malformed == "json":
            body = body[: len(body) // 2]
        elif behaviour.malformed == "html":
            body, kind = b"<html><body>a proxy's own page</body></html>", "text/html"
        elif behaviour.malformed == "empty":
            body = b""
        headers = [("Content-Type", kind), *headers]
        if behaviour.encoding:
            body = compress(behaviour.encoding, body)
            headers.append(("Content-Encoding", behaviour.encoding))
        if behaviour.malformed == "length":
            await reply.head(200, [*headers, ("Content-Length", str(len(body) + 100))])
            await reply.raw(body)
            return reply.cut()
        if behaviour.malformed == "chunk":
            await reply.start_chunked(200, headers)
            await reply.raw(b"zz\r\n" + body)
            return reply.cut()
        if behaviour.cut_bytes >= 0:
            await reply.head(200, [*headers, ("Content-Length", str(len(body)))])
            await reply.raw(body[: behaviour.cut_bytes])
            return reply.cut()
        await reply.whole(200, headers, body)

    async def stream(self, reply: Reply, events: list, behaviour: Behaviour, headers: list) -> None:
        headers = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"), *headers]
        if behaviour.encoding == "gzip":
            headers.append(("Content-Encoding", "gzip"))
        await reply.start_chunked(200, headers)
        await asyncio.sleep(behaviour.first_byte_delay)
        stream = EventStream(reply, behaviour)
        for number, event in enumerate(events):
            if number == behaviour.cut_events:
                return reply.cut()
            if behaviour.gate and number == behaviour.gate_events:
                await self.wait_at_gate(behaviour.gate, reply)
            if behaviour.malformed == "sse" and number == len(events) // 2:
                await stream.write(b"data: {\"choices\": [{\"delta\"\n\n")
            await stream.event(event)
            if behaviour.chunk_delay:
                await asyncio.sleep(behaviour.chunk_delay)
        if not behaviour.no_done:
            await stream.event("[DONE]")
        await stream.finish()

    async def wait_at_gate(self, name: str, reply: Reply) -> None:
        """Until the gate opens, or the caller is gone."""
        gate = self.gate(name)
        while not gate.is_set():
            if reply.peer_gone():
                raise ConnectionError("the caller left")
            try:
                await asyncio.wait_for(gate.wait(), 0.05)
            except asyncio.TimeoutError:
                continue

"""The callers of bench/soak.py: an open loop of mixed requests whose every answer is checked.

Requests are due at random times whether answers come or not. Four tenants ask; what is asked is made so
that an answer shows which question it was made for, and native entries show whose they are.
"""

import asyncio
import json
import random
import time

import questions

MODEL = "stand-in-1"
HOT = 150  # pairs that are asked again and again
TIMEOUT = 20.0  # seconds a caller waits
RETRIES = (0.5, 1.0)  # seconds before each; what the OpenAI SDK does by default after a connection error
IN_FLIGHT_MAX = 1000
SHARES = {"exact": 38, "semantic": 16, "miss": 16, "stream": 10, "conversation": 8, "vault": 6}
SHARES |= {"lookup": 4, "store": 2}
BIN_SECONDS = 10


class Connections:
    """HTTP/1.1 to one loopback port, kept alive; what has been closed is not used again."""

    def __init__(self, port):
        self.port, self.idle = port, []

    async def call(self, path, body, key):
        """Status, headers, body; OSError or EOFError when there is no whole answer."""
        while self.idle and (self.idle[-1][0].at_eof() or self.idle[-1][1].is_closing()):
            self.idle.pop()[1].close()
        reader, writer = self.idle.pop() if self.idle else await self.connect()
        try:
            data = json.dumps(body).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {key}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
            writer.write(head.encode() + data)
            status, headers, answer = await self.read(reader)
        except BaseException:
            writer.close()
            raise
        if headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self.idle.append((reader, writer))
        return status, headers, answer

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    @staticmethod
    async def read(reader):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines[1:] if line)
        headers = {name.lower(): value.strip() for name, value in pairs}
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return (
                int(lines[0].split()[1]),
                headers,
                await reader.readexactly(int(headers.get("content-length", 0))),
            )
        answer = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            answer += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return int(lines[0].split()[1]), headers, answer


def text_of(answer, is_stream):
    """Of the first choice; ValueError when the answer is damaged."""
    if not is_stream:
        return json.loads(answer)["choices"][0]["message"]["content"]
    events = [line[6:] for line in answer.decode().splitlines() if line.startswith("data: ")]
    if not events or events[-1] != "[DONE]":
        raise ValueError("the stream has no end")
    deltas = (json.loads(event).get("choices") for event in events[:-1])
    return "".join(choices[0]["delta"].get("content") or "" for choices in deltas if choices)


class Traffic:
    """Makes requests, sends them, judges the answers and keeps the figures by bins of ten seconds."""

    def __init__(self, port, keys, rate, faults):
        self.connections, self.keys, self.rate, self.faults = Connections(port), keys, rate, faults
        self.pairs, self.random = questions.pairs(HOT), random.Random(7)
        self.new, self.running, self.tasks = 0, True, set()
        self.began = time.monotonic()
        self.bins, self.notes = {}, []

    def chat(self, text, is_stream=False, before=()):
        messages = [*before, {"role": "user", "content": text}]
        body = {"model": MODEL, "messages": messages}
        return "/v1/chat/completions", ({**body, "stream": True} if is_stream else body)

    def make(self, kind, tenant):
        """Path, body, and the texts of which one must end the answer."""
        number = min(int(self.random.expovariate(8 / HOT)), HOT - 1)
        stored, other = self.pairs[number]
        both = (f"to: {stored}", f"to: {other}")
        if kind == "exact":
            return *self.chat(stored), both
        if kind == "semantic":
            return *self.chat(other), both
        if kind == "vault":
            asked = f"What is the code of vault {number}?"
            return *self.chat(asked), (f"[{tenant}] code {number}", f"to: {asked}")
        if kind == "lookup":
            return "/cache/lookup", {"query": stored, "model": MODEL}, both
        self.new += 1
        if kind == "store":
            number = self.new % HOT
            body = {"query": f"What is the code of vault {number}?", "response": f"[{tenant}] code {number}"}
            return "/cache/entries", {**body, "model": MODEL}, ()
        if kind == "conversation":
            before = [{"role": "user", "content": stored}, {"role": "assistant", "content": "In four steps."}]
            asked = f"How long does step {self.new % 40} take?"
            return *self.chat(asked, before=before), (f"to: {asked}",)
        is_stream = kind == "stream"
        if is_stream and self.new % 2:
            return *self.chat(stored, True), both
        asked = questions.new_question(self.new)
        return *self.chat(asked, is_stream), (f"to: {asked}",)

    async def run(self):
        kinds, weights = list(SHARES), list(SHARES.values())
        due = time.monotonic()
        while self.running:
            due += self.random.expovariate(self.rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self.tasks) >= IN_FLIGHT_MAX:
                self.record("not sent", "none", 0.0)
                continue
            kind = self.random.choices(kinds, weights)[0]
            task = asyncio.create_task(self.one(kind, self.random.choice(list(self.keys))))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        await asyncio.gather(*self.tasks)

    async def one(self, kind, tenant):
        path, body, wanted = self.make(kind, tenant)
        began = time.monotonic()
        outcome, layer = await self.attempt(path, body, tenant, wanted, began)
        took = time.monotonic() - began
        self.record(outcome, layer, took)
        if outcome not in ("restart", "ours"):
            return
        for wait in RETRIES:
            await asyncio.sleep(wait)
            if (await self.attempt(path, body, tenant, wanted, began))[0] in (
                "ok",
                "upstream",
                "storage full",
            ):
                self.record("answered when tried again", "none", 0.0)
                return
        self.record("never answered", "none", 0.0)

    async def attempt(self, path, body, tenant, wanted, began):
        """What came of it, and the layer that answered."""
        try:
            call = self.connections.call(path, body, self.keys[tenant])
            status, headers, answer = await asyncio.wait_for(call, TIMEOUT)
        except (OSError, EOFError, asyncio.TimeoutError, ValueError) as error:
            return (
                self.failed("restart" if self.faults.during("restart", began) else "ours", repr(error), body),
                "none",
            )
        layer = headers.get("x-cache-layer", "miss")
        if status not in (200, 201):
            return self.refusal(status, answer, began, body), layer
        if path != "/v1/chat/completions":
            layer = "native"
        try:
            return self.check(path, body, answer, wanted, tenant), layer
        except (ValueError, KeyError, IndexError) as error:
            # A stream that is cut has had its status: it ends without [DONE], or with an error event.
            is_cut = "stream" in body and self.faults.during("upstream", began)
            return self.failed("upstream" if is_cut else "ours", f"{error!r} {answer[:200]!r}", body), layer

    def check(self, path, body, answer, wanted, tenant):
        if path == "/cache/entries":
            return "ok"
        if path == "/cache/lookup":
            found = json.loads(answer)
            if not found["hit"]:
                return "ok"
            text = found["response"]
        else:
            text = text_of(answer, "stream" in body)
        if text.startswith("[") and not text.startswith(f"[{tenant}]"):
            return self.failed("leak", text, body)
        return "ok" if text.endswith(wanted) else self.failed("other question's answer", text, body)

    def refusal(self, status, answer, began, body):
        """Whose an error is: the upstream's while it was made to fail and the error says so."""
        try:
            error = json.loads(answer)["error"]
        except (ValueError, KeyError, TypeError):
            error = {}
        is_upstream = str(error.get("code") or "").startswith("upstream_") or "stand-in" in str(
            error.get("message")
        )
        if is_upstream and self.faults.during("upstream", began):
            return "upstream"
        if "response" in body and self.faults.during("storage", began):
            return "storage full"
        if status == 503 and self.faults.during("restart", began):
            return "restart"
        return self.failed("ours", f"{status} {answer[:300]!r}", body)

    def failed(self, outcome, why, body):
        if len(self.notes) < 500 and outcome not in ("upstream", "restart"):
            text = body.get("query") or body["messages"][-1]["content"]
            self.notes.append(
                {"at": round(time.monotonic() - self.began, 1), "outcome": outcome, "why": why, "asked": text}
            )
        return outcome

    def record(self, outcome, layer, seconds):
        number = int((time.monotonic() - self.began) / BIN_SECONDS)
        one = self.bins.setdefault(number, {"outcomes": {}, "latencies": {}})
        one["outcomes"][outcome] = one["outcomes"].get(outcome, 0) + 1
        if outcome == "ok":
            one["latencies"].setdefault(layer, []).append(seconds * 1e3)

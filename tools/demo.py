#!/usr/bin/env python3
"""What scripts/demo.sh shows: miss, exact hit, semantic hit, refused near miss, with headers and times.

usage: demo.py BINARY      standard library only
"""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAIRS = json.loads((ROOT / "tests/standin/pairs.json").read_text(encoding="utf-8"))["pairs"]
PROVIDER_SECONDS = 0.4  # how long the stand-in thinks, so that a miss costs something
COLUMNS = "{:<13} {:<54} {:<8} {:<16} {:>4} {:>10}"
REPEATS = 20  # a hit is shown with the median time of so many


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Caller:
    """One kept-alive connection, as an SDK would hold."""

    def __init__(self, port: int):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(self, method: str, path: str, body=None, headers=None):
        """Status, headers, decoded body, milliseconds."""
        data = None if body is None else json.dumps(body)
        begun = time.perf_counter()
        self.connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        response = self.connection.getresponse()
        text = response.read()
        took_ms = (time.perf_counter() - begun) * 1000
        kind = response.headers.get("Content-Type", "")
        decoded = json.loads(text) if "json" in kind else text.decode()
        return response.status, response.headers, decoded, took_ms

    def chat(self, question: str, stream: bool = False):
        body = {"model": "stand-in-1", "messages": [{"role": "user", "content": question}]}
        if stream:
            body["stream"] = True
        return self.call("POST", "/v1/chat/completions", body, {"Authorization": "Bearer sk-demo"})


def start_standin() -> tuple[subprocess.Popen, int]:
    command = [sys.executable, str(ROOT / "tests/standin")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = int(process.stdout.readline().rsplit(":", 1)[1])
    Caller(port).call("POST", "/control/rules", {"match": "", "delay": PROVIDER_SECONDS})
    return process, port


def start_server(binary: str, folder: str, upstream_port: int) -> tuple[subprocess.Popen, int]:
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "LOG_LEVEL": "WARNING",
                   "EGPTC_SERVER__PORT": str(port), "EGPTC_STORAGE__PATH": folder + "/storage",
                   "EGPTC_EMBEDDER__MODEL_DIR": str(ROOT / "models/all-MiniLM-L6-v2"),
                   "EGPTC_UPSTREAM__BASE_URL": f"http://127.0.0.1:{upstream_port}/v1"}
    process = subprocess.Popen([os.path.abspath(binary), "serve"], env=environment, cwd=folder)
    for _ in range(300):
        try:
            if Caller(port).call("GET", "/ready")[0] == 200:
                return process, port
        except OSError:
            pass
        if process.poll() is not None:
            sys.exit(f"demo: the server ended with {process.returncode}")
        time.sleep(0.1)
    sys.exit("demo: the server did not become ready within 30 seconds")


def show(what: str, question: str, answers: list) -> None:
    _, headers, _, _ = answers[0]
    took_ms = statistics.median(answer[3] for answer in answers)
    result = headers.get("X-Cache", "-")
    detail = headers.get("X-Cache-Layer") or headers.get("X-Cache-Reason", "-")
    age = headers.get("Age", "-")
    print(COLUMNS.format(what, question[:54], result, detail[:16], age, f"{took_ms:.2f} ms"))


def text_of_stream(body: str) -> str:
    pieces = [json.loads(data) for data in re.findall(r"^data: (\{.*)$", body, re.M)]
    return "".join(choice["delta"].get("content") or "" for piece in pieces for choice in piece["choices"])


def demonstrate(port: int, upstream_port: int) -> None:
    caller = Caller(port)
    caller.chat("Is anybody there?")  # opens the connections, so that the first row is not about them
    answers = 1
    print(COLUMNS.format("what", "question", "X-Cache", "layer or reason", "Age", "time"))
    for pair in PAIRS[:3]:
        first, paraphrase = pair["questions"]
        print("-" * 110)
        show("miss", first, [caller.chat(first)])
        exact = [caller.chat(first) for _ in range(REPEATS)]
        show("exact hit", first, exact)
        semantic = [caller.chat(paraphrase) for _ in range(REPEATS)]
        show("semantic hit", paraphrase, semantic)
        show("near miss", pair["near_miss"], [caller.chat(pair["near_miss"])])
        stream = [caller.chat(first, stream=True) for _ in range(REPEATS)]
        show("as a stream", first, stream)
        answers += 2 + 3 * REPEATS
        expected = exact[0][2]["choices"]
        assert all(answer[2]["choices"] == expected for answer in exact + semantic)
        assert all(text_of_stream(answer[2]) == expected[0]["message"]["content"] for answer in stream)
    print("-" * 110)
    question = PAIRS[0]["near_miss"]
    explained = caller.call("POST", "/cache/explain", {"query": question, "model": "stand-in-1"},
                            {"Authorization": "Bearer sk-demo"})[2]
    print(f"\nWhy \"{question}\" was not answered with \"{PAIRS[0]['questions'][0]}\":")
    others = [one for one in explained["candidates"] if one.get("query") != question]
    for candidate in others[:1]:
        vetoes = {name: verdict for name, verdict in candidate["checks"].items() if verdict != "pass"}
        print(f"  similarity {candidate['similarity']:.3f}, refused by {json.dumps(vetoes)}")
    calls = Caller(upstream_port).call("GET", "/calls")[2]["calls"]
    print(f"\nThe provider was asked {calls} times for {answers} answers.")


def stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    standin, upstream_port = start_standin()
    server = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            server, port = start_server(sys.argv[1], folder, upstream_port)
            demonstrate(port, upstream_port)
            stop(server)
            server = None
    finally:
        for process in (server, standin):
            if process is not None:
                stop(process)


if __name__ == "__main__":
    main()

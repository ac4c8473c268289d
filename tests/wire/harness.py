"""Starts the real binary and the stand-in provider for a test, and talks to them.

Everything runs on free loopback ports with a storage folder of its own and an environment that holds
nothing but what is given here, so a test cannot depend on the machine it runs on.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

import requests

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = pathlib.Path(os.environ.get("EGPTC_BINARY", ROOT / "build/release/enhanced-gptcache"))
MODEL = pathlib.Path(os.environ.get("EGPTC_TEST_MODEL_DIR", ROOT / "models/all-MiniLM-L6-v2"))
# Sanitizer builds are several times slower; every limit below is multiplied by this.
SLOWNESS = float(os.environ.get("EGPTC_TEST_SLOWNESS", "1"))
REQUIRED_SECTIONS = "cache: {}\ncontext: {}\npca: {}\nfederated: {}\n"
START_SECONDS = 60 * SLOWNESS
STOP_SECONDS = 40 * SLOWNESS
CALL_SECONDS = 30 * SLOWNESS


def wait_until(condition, seconds: float = 10, what: str = "condition"):
    """Polls until `condition()` is true and returns its value."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds * SLOWNESS:g} s")
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fresh_key() -> str:
    """A provider credential no other test has: a tenant of its own."""
    return f"sk-{uuid.uuid4().hex}"


class StandIn:
    """The stand-in provider as a process, and its control plane."""

    def __init__(self):
        command = [sys.executable, str(ROOT / "tests/standin")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]
        self.url = f"http://{self.address}"
        self.session = requests.Session()

    @property
    def base_url(self) -> str:
        return self.url + "/v1"

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def calls(self) -> int:
        return self.session.get(self.url + "/calls", timeout=CALL_SECONDS).json()["calls"]

    def requests(self) -> list[dict]:
        """Every request since the last reset: method, target, headers, body, state."""
        return self.session.get(self.url + "/control/requests", timeout=CALL_SECONDS).json()["requests"]

    def rule(self, match: str = "", **settings) -> None:
        done = self.session.post(self.url + "/control/rules", json={"match": match, **settings})
        assert done.status_code == 200, done.text

    def open(self, gate: str) -> None:
        self.session.post(f"{self.url}/control/open/{gate}", timeout=CALL_SECONDS)

    def reset(self) -> None:
        self.session.post(self.url + "/control/reset", timeout=CALL_SECONDS)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Server:
    """One `enhanced-gptcache serve`."""

    def __init__(self, folder: pathlib.Path, upstream: str | None, environment: dict | None = None,
                 config: str | None = None, arguments: tuple = ()):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config_path = folder / "config.yaml"
        if config is not None:
            self.config_path.write_text(config)
        self.environment = self._environment(upstream, environment or {})
        self.arguments = [*(["--config", str(self.config_path)] if config is not None else []), *arguments]
        self.wrapper: list[str] = []  # a program that starts the server
        self.log_path = folder / "log"
        self.session = requests.Session()
        self.process: subprocess.Popen | None = None

    def _environment(self, upstream: str | None, more: dict) -> dict:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LOG_LEVEL": "INFO",
                       "EGPTC_SERVER__PORT": str(self.port),
                       "EGPTC_STORAGE__PATH": str(self.folder / "storage"),
                       "EGPTC_EMBEDDER__MODEL_DIR": str(MODEL)}
        if upstream is not None:
            environment["EGPTC_UPSTREAM__BASE_URL"] = upstream
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "GCOV_PREFIX"):
            if name in os.environ:
                environment[name] = os.environ[name]
        environment.update({name: str(value) for name, value in more.items() if value is not None})
        return {name: value for name, value in environment.items() if more.get(name, "") is not None}

    def start(self, wait: bool = True) -> "Server":
        log = open(self.log_path, "ab")
        command = [*self.wrapper, str(BINARY), "serve", *self.arguments]
        self.process = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log,
                                        stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        if wait:
            wait_until(self._is_ready, START_SECONDS / SLOWNESS, "/ready answering 200")
        return self

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()[-2000:]}")
        try:
            return requests.get(self.url + "/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self, signalled: bool = False) -> int:
        """SIGTERM (unless it was `signalled` already: a second one ends the server at once); the exit
        status. A sanitizer's finding or a crash shows in it."""
        if self.process is None:
            return 0
        if self.process.poll() is None and not signalled:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop: {self.log()[-2000:]}")
        self.process = None
        return status

    def resident_bytes(self) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024

    # --- calls ---------------------------------------------------------------------------------
    def request(self, method: str, path: str, **options) -> requests.Response:
        options.setdefault("timeout", CALL_SECONDS)
        return self.session.request(method, self.url + path, **options)

    def get(self, path: str, **options) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, body=None, key: str | None = None, headers: dict | None = None, **options):
        """JSON call; `key` goes out as the Authorization header."""
        headers = dict(headers or {})
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return self.request("POST", path, json=body, headers=headers, **options)

    def chat(self, question, key: str | None = None, headers: dict | None = None, **body):
        body = {"model": "stand-in-1", "messages": [{"role": "user", "content": question}], **body}
        return self.post("/v1/chat/completions", body, key, headers)

    def fill_memory(self, megabytes: int) -> None:
        """Stores so many answers of about one megabyte each."""
        for number in range(megabytes):
            body = {"query": f"Page {number} of the long book?", "response": "word " * 200_000}
            assert self.post("/cache/entries", body, "sk-fill").status_code == 201

    def metrics(self) -> dict[str, float]:
        """Prometheus samples by their full name with labels."""
        text = self.get("/metrics", params={"format": "prometheus"}).text
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in rows}


def run_binary(*arguments: str, environment: dict | None = None, folder: pathlib.Path | None = None,
               seconds: float = 60) -> subprocess.CompletedProcess:
    """A subcommand, run to its end."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder or "/nonexistent"), **(environment or {})}
    return subprocess.run([str(BINARY), *arguments], env=clean, cwd=folder or ROOT, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds * SLOWNESS)


def copy_model(target: pathlib.Path) -> pathlib.Path:
    """A model folder a test may damage."""
    shutil.copytree(MODEL, target, ignore=shutil.ignore_patterns("*.packed*"))
    return target

"""Servers that bench/suite.py measures, each on a loopback port of its own and pinned to a core."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Paris is the capital of France. " * 8},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 60, "total_tokens": 80},
    }
)
MODEL = pathlib.Path(__file__).resolve().parent.parent / "models/all-MiniLM-L6-v2"
CHAT = "/v1/chat/completions"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port, path, body=None, key="sk-bench", timeout=60):
    """Status, headers and text of one request; waits for nothing but the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data, timeout) as answer:
        return answer.status, answer.headers, answer.read().decode()


class Process:
    """A program on one core with a folder of its own, gone at the end of a `with`."""

    def __init__(self, core, prefix=()):
        self.core, self.prefix, self.process = core, list(prefix), None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="egptc-bench-"))
        self.port = free_port()
        self.ready_ms = 0.0

    def launch(self, command, environment=None, probe="/", wait=60):
        """Raises RuntimeError when it does not answer in `wait` seconds; nothing of it is left then."""
        try:
            return self._launch(command, environment, probe, wait)
        except BaseException:  # a constructor that raises is never left by `with`
            self.__exit__()
            raise

    def _launch(self, command, environment, probe, wait):
        with open(self.folder / "output", "wb") as log:
            began = time.perf_counter()
            self.process = subprocess.Popen(
                ["taskset", "-c", str(self.core), *self.prefix, *map(str, command)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        while time.perf_counter() - began < wait:
            if self.process.poll() is not None:
                break
            try:
                if call(self.port, probe, timeout=5)[0] == 200:
                    self.ready_ms = (time.perf_counter() - began) * 1e3
                    return self
            except OSError:
                time.sleep(0.002)
        raise RuntimeError(f"{command[0]} did not start: {(self.folder / 'output').read_text()[-2000:]}")

    def resident_mb(self):
        """Of the program and its children."""
        total = 0
        for group in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(group.name)) == self.process.pid:
                    total += int((group / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
            except (OSError, ValueError):
                continue
        return total / 1e6

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Ours(Process):
    def __init__(self, binary, core, upstream=1, storage=None, prefix=(), **settings):
        super().__init__(core, prefix)
        self.storage = storage or self.folder / "data"
        flags = {
            "server.port": self.port,
            "storage.path": self.storage,
            "server.threads": 1,
            "embedder.model_dir": MODEL,
            "upstream.base_url": f"http://127.0.0.1:{upstream}/v1",
            **settings,
        }
        self.launch(
            [binary, "serve", *(f"--{name}={value}" for name, value in flags.items())],
            {"LOG_LEVEL": "ERROR"},
            "/ready",
            wait=300,
        )


NGINX = """
daemon off; worker_processes 1; {user} pid {folder}/pid; error_log {folder}/error.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off; tcp_nodelay on; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_body_buffer_size 64k;
  proxy_cache_path {folder}/cache keys_zone=answers:10m;
  server {{
    listen 127.0.0.1:{port};
    location / {{ {answers} }}
  }}
  server {{
    listen 127.0.0.1:{upstream}; access_log {folder}/upstream.log;
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
}}
"""
CACHED = """proxy_pass http://127.0.0.1:{upstream}; proxy_cache answers; proxy_cache_methods POST;
      proxy_cache_key $request_uri$request_body; proxy_cache_valid 200 1h; proxy_buffers 8 64k;"""
OPEN_FILES = " open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;"


class Nginx(Process):
    """`cached`: proxy_cache over a stand-in for the model; else only the stand-in. `open_files`: the files of
    the cache stay open."""

    def __init__(self, core, cached, open_files=False):
        super().__init__(core)
        upstream = free_port()
        answers = (
            CACHED.format(upstream=upstream) + OPEN_FILES * open_files
            if cached
            else f"default_type application/json; return 200 '{ANSWER}';"
        )
        user = "user root;" if os.getuid() == 0 else ""  # its folder is ours alone
        text = NGINX.format(
            user=user, folder=self.folder, port=self.port, upstream=upstream, answer=ANSWER, answers=answers
        )
        (self.folder / "nginx.conf").write_text(text)
        self.launch(["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"])

    def asked_upstream(self):
        """How many requests the cache passed on: all that were no hits."""
        return len((self.folder / "upstream.log").read_text().splitlines())


class LiteLlm(Process):
    """The proxy of litellm, one worker, no cache, in front of `upstream`."""

    def __init__(self, program, core, upstream):
        super().__init__(core)
        (self.folder / "config.yaml").write_text(
            json.dumps(
                {
                    "model_list": [
                        {
                            "model_name": "gpt-4o-mini",
                            "litellm_params": {
                                "model": "openai/gpt-4o-mini",
                                "api_base": f"http://127.0.0.1:{upstream}/v1",
                                "api_key": "sk-x",
                            },
                        }
                    ],
                    "litellm_settings": {"telemetry": False},
                }
            )
        )
        self.launch(
            [
                program,
                "--config",
                self.folder / "config.yaml",
                "--port",
                self.port,
                "--host",
                "127.0.0.1",
                "--num_workers",
                "1",
            ],
            {
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_LOG": "ERROR",
                "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            },
            "/health/liveliness",
            wait=120,
        )

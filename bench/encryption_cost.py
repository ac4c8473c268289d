#!/usr/bin/env python3
"""What encryption at rest costs: exact hits and durable stores a second, on against off, taken in turns.

Two servers run side by side on loopback (storage.sync interval, no embedder, so that the disk path is what
is measured); wrk asks one and then the other, round after round. A store of the encrypted server has a
subject, so it is sealed by a data key.

usage: encryption_cost.py BINARY [--seconds 5] [--rounds 5]
"""

import argparse
import json
import os
import pathlib
import re
import secrets
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

STORE_LUA = """
local counter = 0
local seed = os.time() .. "-" .. tostring({}):sub(8)
local words = {}
math.randomseed(os.time())
for i = 1, 4000 do words[i] = string.format("%x", math.random(1, 1048576)) end
request = function()
  counter = counter + 1
  local from = counter % 3800
  local body = string.format(
    '{"query":"Question %s-%d?","response":"%s","subject":"subject %d"}', seed, counter,
    table.concat(words, " ", from + 1, from + 170), counter % 100)
  return wrk.format("POST", "/cache/entries", {["Content-Type"] = "application/json",
    ["Authorization"] = "Bearer sk-bench"}, body)
end
"""
HIT_LUA = """
wrk.method = "POST"
wrk.path = "/cache/lookup"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-bench"
wrk.body = '{"query":"What is asked again and again?"}'
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, binary: str, folder: pathlib.Path, more: dict):
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        environment = {"PATH": os.environ["PATH"], "EGPTC_SERVER__PORT": str(self.port), "LOG_LEVEL": "ERROR",
                       "EGPTC_STORAGE__PATH": str(folder / "storage"),
                       "EGPTC_EMBEDDER__ENABLED": "false",
                       "EGPTC_MONITORING__ACCESS_LOG": "false", "EGPTC_CACHE__SIZE_MB": "4000",
                       "EGPTC_STORAGE__SIZE_MB": "8000", **more}
        self.process = subprocess.Popen([binary, "serve"], env=environment, cwd=folder)
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=1):
                    break
            except OSError:
                time.sleep(0.05)
        body = {"query": "What is asked again and again?", "response": "y" * 1000, "subject": "subject 1"}
        headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-bench"}
        call = urllib.request.Request(f"http://127.0.0.1:{self.port}/cache/entries",
                                      json.dumps(body).encode(), headers)
        urllib.request.urlopen(call, timeout=10).close()

    def rate(self, lua: str, seconds: float) -> float:
        script = self.folder / "wrk.lua"
        script.write_text(lua)
        done = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds:g}s", "-s", str(script),
                               f"http://127.0.0.1:{self.port}/"], capture_output=True, text=True, check=True)
        if "Non-2xx" in done.stdout:
            raise SystemExit(f"refused requests: {done.stdout}")
        return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        keys = root / "keys"
        keys.write_text(secrets.token_hex(32) + "\n")
        keys.chmod(0o600)
        servers = {"off": Server(wanted.binary, root / "off", {}),
                   "on": Server(wanted.binary, root / "on",
                                {"EGPTC_STORAGE__ENCRYPTION": "aes-256-gcm",
                                 "EGPTC_STORAGE__ENCRYPTION_KEY_FILE": str(keys)})}
        for what, lua in (("exact hits", HIT_LUA), ("stores", STORE_LUA)):
            rates = {"off": [], "on": []}
            for _ in range(wanted.rounds):
                for name, server in servers.items():
                    rates[name].append(server.rate(lua, wanted.seconds))
            off, on = statistics.median(rates["off"]), statistics.median(rates["on"])
            print(f"{what}/s: off {off:,.0f}, on {on:,.0f} ({100 * (on / off - 1):+.1f} %); "
                  f"all off {[round(r) for r in rates['off']]}, on {[round(r) for r in rates['on']]}")
        for server in servers.values():
            server.stop()


if __name__ == "__main__":
    main()

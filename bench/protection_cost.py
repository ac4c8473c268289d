#!/usr/bin/env python3
"""What security, persistence, encryption and quotas cost: hits and stores a second with each on, against a
server without, taken in turns.

All servers run side by side on one core of loopback; wrk on another core asks one after the other, round
after round, so that what else the machine does falls on all of them. Figures are medians of the rounds and
of the ratios within a round.

usage: protection_cost.py BINARY [--seconds 3] [--rounds 7] [--only exact,chat,semantic,stores] [--out FILE]
"""

import argparse
import json
import pathlib
import re
import secrets
import statistics
import subprocess
import tempfile

from servers import ANSWER, CHAT, Ours, call, free_port

QUESTION = "How do I reset my password for the billing portal?"
PARAPHRASE = "How can I reset my password for the billing portal?"
STORE_LUA = """
local counter = 0
local words = {}
math.randomseed(os.time())
local seed = string.format("%x", math.random(1, 1048576)) .. os.time()
for i = 1, 4000 do words[i] = string.format("%x", math.random(1, 1048576)) end
request = function()
  counter = counter + 1
  local from = counter % 3800
  local body = string.format('{"query":"Question %s-%d?","response":"%s","subject":"subject %d"}', seed,
    counter, table.concat(words, " ", from + 1, from + 170), counter % 100)
  return wrk.format("POST", "/cache/entries", nil, body)
end
"""
MEASURES = {
    "exact": ("exact hits, /cache/lookup", "/cache/lookup", {"query": QUESTION}),
    "chat": ("exact hits, /v1/chat/completions", CHAT, None),
    "semantic": ("semantic hits, /cache/lookup", "/cache/lookup", {"query": PARAPHRASE}),
    "stores": ("stores with a subject", "/cache/entries", None),
}
HIT_BASE = {"storage.enabled": "false", "security.enabled": "false"}


def variants(folder: pathlib.Path) -> dict[str, dict]:
    """Settings by name; the first one is what the others are held against."""
    keys, admin = folder / "keys", folder / "admin"
    keys.write_text(secrets.token_hex(32) + "\n")
    admin.write_text(f"egptc_{secrets.token_hex(6)}_{secrets.token_hex(32)}\n")
    for path in (keys, admin):
        path.chmod(0o600)
    disk = {"storage.enabled": "true"}
    sealed = {
        **disk,
        "storage.encryption": "aes-256-gcm",
        "storage.encryption_key_file": keys,
    }
    secure = {
        "security.enabled": "true",
        "server.host": "127.0.0.1",
        "security.admin_key_file": admin,
        "upstream.api_key": "sk-none",
        "limits.requests_per_second_key": 1_000_000,
        "limits.requests_per_second_ip": 1_000_000,
        "limits.inserts_per_second_key": 1_000_000,
    }
    quota = {"limits.tenant_entries_max": 1_000_000, "limits.tenant_mb_max": 3000}
    return {
        "none": {},
        "disk": disk,
        "disk, encrypted": sealed,
        "security": secure,
        "all of it": {**sealed, **secure, **quota},
        "disk, quota far off": {**disk, **quota},
        "disk, quota reached": {**disk, "limits.tenant_entries_max": 2000},
    }


class Measured(Ours):
    def __init__(self, binary, core, settings, admin: pathlib.Path):
        everything = {
            "cache.size_mb": 4000,
            "storage.size_mb": 8000,
            "monitoring.access_log": "false",
            "resources.max_memory_mb": 16000,
            **HIT_BASE,
            **settings,
        }
        super().__init__(binary, core, upstream=free_port(), **everything)
        self.key = "sk-bench"
        if everything["security.enabled"] == "true":
            wish = {"role": "client", "tenant": "bench", "name": "bench"}
            made = call(self.port, "/admin/keys", wish, key=admin.read_text().strip())
            self.key = json.loads(made[2])["key"]
        completion = json.loads(ANSWER)
        entry = {"query": QUESTION, "response": "y" * 1000, "subject": "subject 1"}
        call(self.port, "/cache/entries", entry, key=self.key)
        self.chat = {"model": "default", "messages": [{"role": "user", "content": "What is the capital?"}]}
        text = completion["choices"][0]["message"]["content"]
        call(self.port, "/cache/entries", {"query": "What is the capital?", "response": text}, key=self.key)

    def rate(self, core, measure: str, seconds: int) -> float:
        _, path, body = MEASURES[measure]
        lines = [
            'wrk.method = "POST"',
            f'wrk.path = "{path}"',
            'wrk.headers["Content-Type"] = "application/json"',
            f'wrk.headers["Authorization"] = "Bearer {self.key}"',
        ]
        if measure == "stores":
            lines.append(STORE_LUA)
        else:
            lines.append(f"wrk.body = {json.dumps(json.dumps(body or self.chat))}")
        script = self.folder / "wrk.lua"
        script.write_text("\n".join(lines))
        command = ["taskset", "-c", str(core), "wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(script)]
        url = f"http://127.0.0.1:{self.port}/"
        done = subprocess.run([*command, url], capture_output=True, text=True, check=True)
        if "Non-2xx" in done.stdout:
            raise SystemExit(f"refused requests ({measure}): {done.stdout}")
        return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))

    def check(self, measure: str) -> None:
        """That what is measured is what it is called."""
        if measure == "stores":
            return
        _, path, body = MEASURES[measure]
        _, headers, text = call(self.port, path, body or self.chat, key=self.key)
        if measure == "chat":
            assert headers["X-Cache"] == "HIT", headers
        else:
            found = json.loads(text)
            assert found["hit"] and found["layer"] == measure, found


def shown(name: str, measure: str) -> bool:
    """Quotas are looked at when storing only."""
    return measure == "stores" or "quota" not in name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=3, help="of each turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default=",".join(MEASURES))
    parser.add_argument("--cores", default="0,1", help="of the servers, of wrk")
    parser.add_argument("--out", type=pathlib.Path)
    wanted = parser.parse_args()
    server_core, wrk_core = wanted.cores.split(",")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = variants(pathlib.Path(folder))
        for measure in wanted.only.split(","):
            servers = {
                name: Measured(wanted.binary.resolve(), server_core, values, pathlib.Path(folder) / "admin")
                for name, values in settings.items()
                if shown(name, measure)
            }
            for server in servers.values():
                server.check(measure)
            rates = {name: [] for name in servers}
            for _ in range(wanted.rounds):
                for name, server in servers.items():
                    rates[name].append(server.rate(wrk_core, measure, wanted.seconds))
            for server in servers.values():
                server.__exit__()
            print(f"{MEASURES[measure][0]}, requests/s:")
            results[measure] = {}
            for name, all_of in rates.items():
                ratio = statistics.median(one / base for one, base in zip(all_of, rates["none"], strict=True))
                results[measure][name] = {"median": statistics.median(all_of), "ratio": ratio, "all": all_of}
                print(f"  {name:20} {statistics.median(all_of):10,.0f}  {ratio:.3f} of none", flush=True)
    if wanted.out:
        wanted.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

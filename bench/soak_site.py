"""The deployment that bench/soak.py breaks: releases, service, settings, stand-in, keys."""

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import urllib.request

import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "deploy/rollback"
CONFIG = """\
cache: {{size_mb: 8, verifier_dir: {root}/verifier}}
context: {{window_size: {window}}}
pca: {{}}
federated: {{}}
security: {{enabled: true}}
server: {{host: 127.0.0.1, port: {port}, drain_timeout_seconds: 5}}
storage: {{path: data/cache}}
embedder: {{model_dir: {model}}}
upstream: {{base_url: "http://127.0.0.1:{upstream}/v1", api_key: sk-soak, first_byte_timeout_seconds: 3,
  breaker_open_seconds: 2}}
monitoring: {{log_level: WARNING, access_log: false}}
"""
# What systemctl would do, for one server without systemd; RestartSec is 0.2 s here. The port is open all the
# time, as deploy/systemd/enhanced-gptcache.socket has it: descriptor LISTENER is passed on as number 3.
LISTENER = 60
SERVICE = """#!/bin/bash
cd "{root}" || exit 1
case "$1" in
  start)
    ( export ENHANCED_GPTCACHE_CONFIG="{root}/config.prod.yaml" LISTEN_PID=$BASHPID LISTEN_FDS=1
      exec setsid current/bin/enhanced-gptcache serve 3<&{listener} {listener}<&- \\
        >> logs/application.log 2>&1 < /dev/null ) & echo $! > service.pid ;;
  stop) [ ! -f service.pid ] || {{ pid=$(cat service.pid); kill "$pid" 2> /dev/null
    while [ -d "/proc/$pid" ] && ! grep -q "^State:.Z" "/proc/$pid/status"; do sleep 0.02; done
    rm -f service.pid; }} ;;
esac
"""


class Site:
    """The deployment: releases, service, stand-in, keys."""

    def __init__(self, work, binary):
        self.root, self.work = work / "opt", work
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        os.dup2(self.listener.fileno(), LISTENER)
        self.port, self.upstream = self.listener.getsockname()[1], servers.free_port()
        self.mounted, self.standin, self.window = False, None, 3
        (self.root / "logs").mkdir(parents=True)
        (self.root / "data").mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=192m,mode=700", "tmpfs", str(self.root / "data")]
        self.mounted = os.getuid() == 0 and subprocess.run(mount, check=False).returncode == 0
        for name in ("1.0.0", "1.1.0"):
            program = work / "new" / name / "bin/enhanced-gptcache"
            program.parent.mkdir(parents=True)
            shutil.copy(binary, program)
        service = work / "service"
        service.write_text(SERVICE.format(root=self.root, listener=LISTENER))
        service.chmod(0o755)
        self.environment = {
            **os.environ,
            "GPTCACHE_ROOT": str(self.root),
            "GPTCACHE_URL": f"http://127.0.0.1:{self.port}",
            "GPTCACHE_SERVICE": str(service),
            "GPTCACHE_WAIT": "30",
            "GPTCACHE_KEY_VARIABLE": "SOAK_KEY",
        }

    def config(self, window=None):
        self.window = window or self.window
        model = ROOT / "models/all-MiniLM-L6-v2"
        ports = {"port": self.port, "upstream": self.upstream}
        return CONFIG.format(window=self.window, root=ROOT, model=model, **ports)

    def start_standin(self):
        command = [sys.executable, str(ROOT / "tests/standin"), "--port", str(self.upstream)]
        self.standin = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def stop_standin(self):
        self.standin.kill()
        self.standin.wait()

    def pid(self):
        with contextlib.suppress(OSError, ValueError):
            return int((self.root / "service.pid").read_text())
        return 0

    def call(self, method, path, body=None, port=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.environment.get('SOAK_KEY', '')}", "Accept": "application/json"},
            method=method,
        )
        if body is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def rule(self, **rule):
        self.call("POST", "/control/rules", {"match": "", **rule}, self.upstream)

    async def script(self, name, *arguments):
        return await self.command(SCRIPTS / name, *arguments)

    async def command(self, *words):
        process = await asyncio.create_subprocess_exec(
            *map(str, words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environment,
            cwd=self.root,
            pass_fds=(LISTENER,),
        )
        output = (await process.communicate())[0].decode()
        if process.returncode:
            raise RuntimeError(
                f"{pathlib.Path(words[0]).name} ended with {process.returncode}: {output[-600:]}"
            )
        return output

    def close(self):
        subprocess.run([self.environment["GPTCACHE_SERVICE"], "stop"], env=self.environment, check=False)
        if self.standin:
            self.stop_standin()
        if self.mounted:
            subprocess.run(["umount", str(self.root / "data")], check=False)

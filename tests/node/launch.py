#!/usr/bin/env python3
"""Starts the stand-in and the real server as the wire tests do, then runs `node --test` against them.

usage: launch.py [arguments of node --test]
"""

import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "wire"))

import harness  # noqa: E402  found through the path above


def main() -> int:
    standin = harness.StandIn()
    with tempfile.TemporaryDirectory() as folder:
        server = harness.Server(pathlib.Path(folder), standin.base_url)
        try:
            server.start()
            environment = {**os.environ, "EGPTC_URL": server.url, "STANDIN_URL": standin.url}
            command = ["node", "--test", *sys.argv[1:], "sdk.test.mjs"]
            limit = 120 * harness.SLOWNESS
            status = subprocess.run(command, cwd=HERE, env=environment, timeout=limit).returncode
            stopped = server.stop()
            if stopped != 0:
                print(f"the server ended with {stopped}: {server.log()[-2000:]}", file=sys.stderr)
            return status or stopped
        finally:
            if server.process is not None:
                server.process.kill()
            standin.stop()


if __name__ == "__main__":
    sys.exit(main())

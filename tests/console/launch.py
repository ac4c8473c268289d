#!/usr/bin/env python3
"""Starts the stand-in and three real servers, one with security off, one with keys and one that knows its
callers by certificate, as the wire tests do, then runs `node --test` with Chromium against them. Before that,
builds the console again from its sources and compares it with what is committed.

usage: launch.py [arguments of node --test]

EGPTC_CHROMIUM names another browser than `chromium`; EGPTC_CONSOLE_SHOTS a folder that gets a picture of each
view.
"""

import filecmp
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "wire"))

import harness  # noqa: E402  found through the path above
import secure  # noqa: E402
import test_tls as tls  # noqa: E402
import tokens  # noqa: E402

CONSOLE = harness.ROOT / "console"
LIMIT_SECONDS = 240
TESTS = ("off.test.mjs", "secured.test.mjs", "look.test.mjs")


def is_fresh(folder: pathlib.Path) -> bool:
    """Whether console/generated is what its sources give."""
    subprocess.run(["node", "build.mjs", str(folder)], cwd=CONSOLE, check=True, timeout=60)
    kept = CONSOLE / "generated"
    names = sorted({one.name for one in [*folder.iterdir(), *kept.iterdir()]})
    _, different, missing = filecmp.cmpfiles(folder, kept, names, shallow=False)
    for name in different + missing:
        print(f"console/generated/{name} is not what the sources give: cd console && npm ci && npm run build")
    return not different and not missing


def browser() -> str:
    found = shutil.which(os.environ.get("EGPTC_CHROMIUM", "chromium"))
    if found is None:
        raise SystemExit("there is no chromium (scripts/bootstrap.sh; EGPTC_CHROMIUM names another)")
    return found


class Certified:
    """A server that takes the certificate of an operator, who has no key."""

    def __init__(self, folder: pathlib.Path, standin: harness.StandIn):
        folder.mkdir()
        authority = tls.Authority(folder, "root")
        self.cert, self.key = authority.issue("night shift", "")
        self.server = tls.start(
            folder / "server", standin, authority, *authority.issue("server"), (self.cert, self.key),
            EGPTC_SERVER__TLS_CLIENT_CA_FILE=authority.path,
            EGPTC_SECURITY__CLIENT_CERTIFICATES="CN:night shift=operator@acme")

    def told(self) -> dict:
        return {"url": self.server.url, "cert": str(self.cert), "key": str(self.key)}


def environment(plain: harness.Server, secured: secure.SecureServer, certified: Certified,
                standin: harness.StandIn) -> dict:
    keys = {role: secured.create(role=role, name=role, tenant="acme")["key"] for role in secure.ROLES}
    token = tokens.hs256(tokens.claims(role="operator", sub="olga"))
    values = {"url": plain.url, "secured": secured.url, "standin": standin.url, "keys": keys, "token": token,
              "certified": certified.told()}
    return {**os.environ, "EGPTC_CONSOLE": json.dumps(values), "EGPTC_CHROMIUM": browser()}


def run(folder: pathlib.Path, arguments: list[str]) -> int:
    if not is_fresh(folder / "built"):
        return 1
    standin = harness.StandIn()
    plain = harness.Server(folder / "plain", standin.base_url,
                           {"EGPTC_MONITORING__PRICES": "stand-in*=1500/6000,gpt-*=2/8",
                            "EGPTC_MONITORING__CURRENCY": "EUR"})
    secured = secure.SecureServer(
        folder / "secured", standin.base_url,
        secure.environment(EGPTC_SECURITY__JWT_ISSUER=tokens.ISSUER,
                           EGPTC_SECURITY__JWT_AUDIENCE=tokens.AUDIENCE,
                           EGPTC_SECURITY__JWT_SECRET=tokens.SECRET))
    servers = [plain, secured]
    try:
        plain.start()
        secured.start()
        certified = Certified(folder / "certified", standin)
        servers.append(certified.server)
        command = ["node", "--test", "--test-reporter=spec", *arguments, *TESTS]
        status = subprocess.run(command, cwd=HERE, env=environment(plain, secured, certified, standin),
                                timeout=LIMIT_SECONDS * harness.SLOWNESS).returncode
        # Streams of the browser have ended with it, so nothing holds the drain.
        for server in servers:
            stopped = server.stop()
            if stopped != 0:
                print(f"the server ended with {stopped}: {server.log()[-2000:]}", file=sys.stderr)
                status = status or stopped
        return status
    finally:
        for server in servers:
            if server.process is not None:
                server.process.kill()
        standin.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        sys.exit(run(pathlib.Path(name), sys.argv[1:]))

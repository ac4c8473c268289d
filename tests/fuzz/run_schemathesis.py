"""schemathesis against /openapi.json of a running server: generated requests, right and wrong ones, for every
route of the document. Exits with 1 when an answer is a server error, has an undocumented status or content
type, or when a body the document forbids is taken.

run_schemathesis.py SCHEMATHESIS [EXAMPLES]: the program, and how many examples for each operation."""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/wire"))

import harness  # noqa: E402
import secure  # noqa: E402

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# What providers document: they say what is right there. Streams of the console have no end.
FOREIGN = ["/v1/.*", "/admin/events"]
# Without it every later call of the run would be refused, or wait: keys and settings of the run itself.
ITS_OWN = ["/admin/keys/.*", "/admin/backup.*", "/admin/config$", "/admin/config/reset"]


def run(program: str, server, checks: str, examples: int, without: list[str], *more: str) -> tuple[int, str]:
    command = [program, "run", f"{server.url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {server.admin}"]
    command += ["--checks", checks, "--max-examples", str(examples), "--seed", "7", "--workers", "1"]
    command += ["--phases", "examples,fuzzing", "--generation-database", "none", "--no-color"]
    command += ["--request-timeout", "30", "--exclude-path-regex", "|".join(without), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, cwd=server.folder)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    program = str(pathlib.Path(sys.argv[1]).resolve())
    examples = int(sys.argv[2]) if len(sys.argv) > 2 else 25
    standin = harness.StandIn()
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        sealed = {"EGPTC_STORAGE__ENCRYPTION": "aes-256-gcm", "EGPTC_STORAGE__ENCRYPTION_KEYS": "5" * 64}
        server = secure.start(pathlib.Path(folder), standin.base_url, **sealed)
        for name, checks, without in (
            ("every route", CHECKS, ["/admin/events"] + ITS_OWN),
            ("wrong bodies of the native API", "negative_data_rejection", FOREIGN + ITS_OWN),
        ):
            code, text = run(program, server, checks, examples, without)
            status = status or code
            if code != 0:
                print(text[-20_000:])
            totals = re.findall(r"^.*(?:generated|passed|failed|Operations:|Test cases:).*$", text, re.M)
            print(f"schemathesis, {name}: {'no finding' if code == 0 else 'FINDINGS'}")
            print("\n".join(totals))
        if server.process.poll() is not None:
            print(f"the server died: {server.log()[-3000:]}")
            status = 1
        elif server.stop() != 0:
            print(f"the server stopped badly: {server.log()[-3000:]}")
            status = 1
    standin.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())

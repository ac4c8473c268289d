"""The limit of open files: raised as far as it goes, and connections that would not fit are not promised."""

import re
import resource
import time

import harness
import rawhttp

LIVE = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def limits(server) -> tuple[int, int]:
    """Soft and hard limit of open files of the running server."""
    with open(f"/proc/{server.process.pid}/limits", encoding="ascii") as file:
        found = re.search(r"^Max open files +(\d+) +(\d+)", file.read(), re.MULTILINE)
    return int(found[1]), int(found[2])


def started(tmp_path, hard: int, environment: dict) -> harness.Server:
    server = harness.Server(tmp_path / "server", None, environment)
    server.wrapper = ["sh", "-c", f'ulimit -Sn 100; ulimit -Hn {hard}; exec "$@"', "sh"]
    return server.start()


def test_the_soft_limit_is_raised(tmp_path):
    server = started(tmp_path, 900, {"EGPTC_SERVER__MAX_CONNECTIONS": 500})
    assert limits(server) == (900, 900)
    assert "server.max_connections" not in server.log()
    assert server.stop() == 0


def test_what_does_not_fit_is_said_once_and_refused(tmp_path):
    server = started(tmp_path, 300, {"EGPTC_SERVER__MAX_CONNECTIONS": 1000})
    assert limits(server) == (300, 300)
    warnings = [line for line in server.log().splitlines() if "server.max_connections is 1000" in line]
    assert len(warnings) == 1 and "150 connections are taken" in warnings[0]
    held = [rawhttp.Connection(server) for _ in range(200)]
    try:
        answer = held[-1].send(LIVE).read_all()
        assert answer == b"" or b" 503 " in answer.split(b"\r\n")[0]
    finally:
        for connection in held:
            connection.close()
    assert "cannot accept" not in server.log()
    assert server.stop() == 0


def test_a_server_without_descriptors_says_so_once_and_recovers(start_server):
    server = start_server()
    process = server.process.pid
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (8, before[1]))
    waiting = rawhttp.Connection(server).send(LIVE)
    try:
        harness.wait_until(lambda: "cannot accept connections" in server.log(), 10, "a warning")
        time.sleep(0.5)  # ten more attempts
        assert server.log().count("cannot accept connections") == 1
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)
    assert waiting.read_response()[0] == 200
    waiting.close()

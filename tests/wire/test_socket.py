"""A listening socket that a service manager keeps open over restarts (sd_listen_fds)."""

import os
import signal
import socket
import subprocess
import threading
import time

import harness
import pytest
import requests

AS_A_MANAGER_DOES = 'export LISTEN_PID=$$ LISTEN_FDS=${COUNT:-1}; exec "$@"'


class Passed(harness.Server):
    """Started the way systemd starts a service with a socket unit."""

    listener: socket.socket
    count = 1

    def start(self, wait: bool = True) -> "Passed":
        with open(self.log_path, "ab") as log:
            # Descriptor 3 is the socket, whatever its number is here.
            self.process = subprocess.Popen(
                ["sh", "-c", AS_A_MANAGER_DOES, "sh", str(harness.BINARY), "serve", *self.arguments],
                env={**self.environment, "COUNT": str(self.count)},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                close_fds=False,
                preexec_fn=lambda: os.dup2(self.listener.fileno(), 3),
            )
        if wait:
            harness.wait_until(
                self._is_ready, harness.START_SECONDS / harness.SLOWNESS, "/ready answering 200"
            )
        return self


@pytest.fixture
def passed(tmp_path, standin):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = Passed(tmp_path / "server", standin.base_url)
    server.listener, server.port = listener, listener.getsockname()[1]
    server.url = f"http://127.0.0.1:{server.port}"
    server.environment["EGPTC_SERVER__PORT"] = str(server.port)
    yield server
    if server.process is not None and server.process.poll() is None:
        server.process.kill()
        server.process.wait()
    listener.close()


def ask(server, number):
    return requests.post(
        f"{server.url}/v1/chat/completions",
        timeout=60,
        headers={"Authorization": "Bearer sk-1"},
        json={
            "model": "stand-in-1",
            "messages": [{"role": "user", "content": f"What is part {number % 20}?"}],
        },
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nobody_is_refused_while_the_server_restarts(passed, how):
    passed.start()
    statuses, stop = [], threading.Event()

    def keep_asking():
        number = 0
        while not stop.is_set():
            number += 1
            try:
                statuses.append(ask(passed, number).status_code)
            except requests.RequestException as error:
                statuses.append(str(error))

    thread = threading.Thread(target=keep_asking)
    thread.start()
    try:
        for _ in range(3):
            time.sleep(0.4)
            before = len(statuses)
            passed.process.send_signal(how)
            passed.process.wait(30)
            passed.start(wait=False)
            harness.wait_until(lambda: len(statuses) > before + 3, 30, "answers after the restart")
    finally:
        stop.set()
        thread.join()
    failed = [status for status in statuses if status != 200]
    # A request that the killed process was answering is lost with it; one that only waited is not.
    assert len(failed) <= (3 if how == signal.SIGKILL else 0), failed
    assert not any("refused" in str(status) or status == 503 for status in failed), failed
    assert len(statuses) > 12


def test_a_socket_elsewhere_is_an_error(passed):
    passed.environment["EGPTC_SERVER__PORT"] = "1"
    passed.start(wait=False)
    assert passed.process.wait(30) == 1
    assert f"listens on 127.0.0.1 port {passed.port}, but server.host and server.port say" in passed.log()


def test_several_sockets_are_an_error(passed):
    passed.count = 2
    passed.start(wait=False)
    assert passed.process.wait(30) == 1
    assert "LISTEN_FDS is 2" in passed.log()


def test_the_variables_of_another_process_mean_nothing(start_server):
    server = start_server(environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert server.get("/live").status_code == 200

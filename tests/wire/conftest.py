"""Fixtures: one stand-in and one server for most tests, more servers for those that need their own."""

import openai
import pytest

import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; left out by --quick")
    config.addinivalue_line("markers", "timing: states a time or memory bound, void in sanitizer builds")


def pytest_collection_modifyitems(config, items):
    if not harness.BINARY.exists():
        raise pytest.UsageError(
            f"{harness.BINARY} is not built (tools/dev build), or name one in EGPTC_BINARY")
    if not (harness.MODEL / "model.safetensors").exists():
        raise pytest.UsageError(f"{harness.MODEL} holds no model (scripts/fetch_model.sh)")


@pytest.fixture(scope="session")
def standin_process():
    process = harness.StandIn()
    yield process
    process.stop()


@pytest.fixture
def standin(standin_process):
    """The stand-in, with nothing left of earlier tests."""
    standin_process.reset()
    yield standin_process
    standin_process.reset()


@pytest.fixture(scope="session")
def shared_server(standin_process, tmp_path_factory):
    server = harness.Server(tmp_path_factory.mktemp("server"), standin_process.base_url).start()
    yield server
    status = server.stop()
    assert status == 0, f"the server ended with {status}: {server.log()[-3000:]}"


@pytest.fixture
def server(shared_server, standin):
    """The shared server; it must still run after the test."""
    yield shared_server
    assert shared_server.process.poll() is None, f"the server died: {shared_server.log()[-3000:]}"


@pytest.fixture
def start_server(standin, tmp_path):
    """start_server(environment={}, config="...", wait=True): servers of one test, stopped and checked."""
    started = []

    def start(environment=None, config=None, upstream="", arguments=(), wait=True, folder=None):
        folder = folder or tmp_path / f"server{len(started)}"
        url = standin.base_url if upstream == "" else upstream
        one = harness.Server(folder, url, environment, config, arguments)
        started.append(one)
        return one.start(wait)

    yield start
    for one in started:
        if one.process is not None and one.process.poll() is None:
            status = one.stop()
            assert status == 0, f"the server ended with {status}: {one.log()[-3000:]}"


@pytest.fixture
def key():
    return harness.fresh_key()


@pytest.fixture
def client(server, key):
    """The real openai SDK, changed in nothing but the base URL."""
    with openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0) as one:
        yield one

"""Every key of upstream, and the time limit of connecting, changes what it says it changes."""

import signal
import subprocess

import pytest

import harness
from fake_peers import ConnectProxy, FullListener, TlsProvider
from settings_walk import changes, claim, setting

QUESTION = "How do I change my email address?"

# Shown by tests that are about the thing itself.
ELSEWHERE = {
    "upstream.api_key": "test_upstream.test_upstream_key_replaces_the_callers",
    "upstream.routes": "test_upstream.test_routes_by_model",
    "upstream.breaker_failures": "test_upstream.test_fallbacks_and_breaker",
    "upstream.first_byte_timeout_seconds": "test_upstream.test_first_byte_timeout",
    "upstream.idle_timeout_seconds": "test_upstream.test_idle_timeout_but_no_total_limit",
}
for name, where in ELSEWHERE.items():
    claim(name, where)


@changes("resources.request_timeout_seconds")
def test_request_timeout_bounds_connecting(start_server, key):
    """A listener whose queue is full does not answer the handshake: connecting gives up by itself."""
    with FullListener() as port:
        server = start_server(
            {"EGPTC_RESOURCES__REQUEST_TIMEOUT_SECONDS": 0.5, "EGPTC_UPSTREAM__RETRIES_MAX": 0},
            upstream=f"http://127.0.0.1:{port}/v1")
        response = server.chat(QUESTION, key=key)
        assert response.status_code in (502, 503, 504)
        assert response.elapsed.total_seconds() < 10 * harness.SLOWNESS


@changes("upstream.base_url")
def test_base_url(start_server, standin, key):
    text = harness.REQUIRED_SECTIONS + "upstream: {base_url: '%s/%s/v1'}\n"
    server = start_server({"EGPTC_UPSTREAM__BASE_URL": None}, config=text % (standin.url, "one"))
    server.chat("Where do I go first?", key=key)
    server.config_path.write_text(text % (standin.url, "two"))
    server.process.send_signal(signal.SIGHUP)
    asked = iter(range(100))

    def is_elsewhere():
        server.chat(f"Where do I go next, number {next(asked)}?", key=key)
        return standin.requests()[-1]["target"] == "/two/v1/chat/completions"

    assert standin.requests()[0]["target"] == "/one/v1/chat/completions"
    harness.wait_until(is_elsewhere, 10, "requests at the new address")


@changes("upstream.api_key_file")
def test_api_key_file(start_server, standin, tmp_path, key):
    (tmp_path / "key").write_text("sk-from-file\n")
    server = start_server({"EGPTC_UPSTREAM__API_KEY_FILE": tmp_path / "key"})
    server.chat(QUESTION, key=key)
    assert dict(map(tuple, standin.requests()[-1]["headers"]))["Authorization"] == "Bearer sk-from-file"


@changes("upstream.retries_max")
def test_retries(start_server, standin, key):
    server = start_server()  # of its own: so many failures open the breaker for what comes after
    standin.rule(status=502)
    with setting(server, upstream__retries_max=0):
        server.chat("How often is this tried?", key=key)
        assert standin.calls() == 1
    with setting(server, upstream__retries_max=3):
        server.chat("How often is this tried now?", key=key)
        assert standin.calls() == 1 + 4


@changes("upstream.breaker_open_seconds")
def test_breaker_opens_and_closes(start_server, standin, key):
    server = start_server({"EGPTC_UPSTREAM__BREAKER_FAILURES": 2, "EGPTC_UPSTREAM__BREAKER_OPEN_SECONDS": 1,
                           "EGPTC_UPSTREAM__RETRIES_MAX": 0})
    standin.rule("broken provider", malformed="head", times=2)
    for number in range(2):
        server.chat(f"A broken provider, take {number}", key=key)
    calls = standin.calls()
    refused = server.chat("Who is asked while it is open?", key=key)
    assert refused.status_code == 503 and standin.calls() == calls
    harness.wait_until(lambda: server.chat("Who is asked again?", key=key).status_code == 200, 10, "recovery")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A certificate that nobody knows, made for this run."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl",
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
    "-keyout",
    str(folder / "key.pem"),
    "-out",
     str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@changes("upstream.ca_file")
def test_ca_file(start_server, tls, key):
    with TlsProvider(tls) as port:
        url = f"https://localhost:{port}/v1"
        strict = start_server({"EGPTC_UPSTREAM__RETRIES_MAX": 0}, upstream=url)
        refused = strict.chat(QUESTION, key=key)
        assert refused.status_code in (502, 503) and "certificate" in refused.json()[
                                       "error"]["message"].lower()
        trusting = start_server({"EGPTC_UPSTREAM__CA_FILE": tls / "cert.pem"}, upstream=url)
        assert trusting.chat(QUESTION, key=key).json()["choices"][0]["message"]["content"] == "over TLS"


@changes("upstream.https_proxy", "upstream.no_proxy")
def test_https_proxy(start_server, tls, key):
    with TlsProvider(tls) as port, ConnectProxy() as proxy:
        environment = {"EGPTC_UPSTREAM__CA_FILE": tls / "cert.pem",
                       "EGPTC_UPSTREAM__HTTPS_PROXY": f"http://user:open-sesame@127.0.0.1:{proxy.port}"}
        server = start_server(environment, upstream=f"https://localhost:{port}/v1")
        assert server.chat(QUESTION, key=key).status_code == 200
        assert proxy.seen == [(f"localhost:{port}", "Basic dXNlcjpvcGVuLXNlc2FtZQ==")]
        assert "open-sesame" not in server.log() and "open-sesame" not in server.get("/admin/config").text
        around = start_server({**environment, "EGPTC_UPSTREAM__NO_PROXY": "localhost"},
                              upstream=f"https://localhost:{port}/v1")
        assert around.chat(QUESTION, key=key).status_code == 200
        assert len(proxy.seen) == 1

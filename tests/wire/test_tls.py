"""TLS of the listener: versions, client certificates, a new certificate while it runs."""

import json
import socket
import ssl
import subprocess
import time

import openai
import pytest
import requests

import harness
import rawhttp
import secure
from settings_walk import changes

QUESTION = "Is this encrypted on its way?"


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], capture_output=True, check=True)


class Authority:
    """A root certificate, and certificates it signs."""

    def __init__(self, folder, name: str):
        self.folder, self.name = folder, name
        self.path, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            "-keyout",
            str(self.key),
            "-out",
            str(self.path),
        )

    def issue(self, name: str, names: str = "IP:127.0.0.1,DNS:localhost"):
        """`names`: the subject alternative names; empty: none."""
        file = name.replace(" ", "_").replace("/", "_")
        key, request, out, more = (self.folder / f"{file}.{end}" for end in ("key", "csr", "pem", "ext"))
        more.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            str(key),
            "-out",
            str(request),
        )
        openssl(
            "x509",
            "-req",
            "-in",
            str(request),
            "-CA",
            str(self.path),
            "-CAkey",
            str(self.key),
            "-days",
            "2",
            "-extfile",
            str(more),
            "-out",
            str(out),
        )
        return out, key


class TlsServer(secure.SecureServer):
    def trust(self, authority, cert=None):
        self.url = self.url.replace("http://", "https://")
        self.session.verify, self.session.cert = str(authority.path), cert
        self.session.trust_env = False  # a bundle named by the environment would win over ours
        self.authority, self.cert = authority, cert
        return self

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()[-2000:]}")
        try:
            return self.session.get(self.url + "/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def connect(self, context=None) -> ssl.SSLSocket:
        if context is None:
            context = ssl.create_default_context(cafile=str(self.authority.path))
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=harness.CALL_SECONDS)
        return context.wrap_socket(raw, server_hostname="localhost")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "root")


def start(folder, standin, authority, cert, key, client=None, **more) -> TlsServer:
    environment = secure.environment(EGPTC_SERVER__TLS_CERT_FILE=cert, EGPTC_SERVER__TLS_KEY_FILE=key, **more)
    return TlsServer(folder, standin.base_url, environment).trust(authority, client).start()


@pytest.fixture(scope="module")
def module_server(standin_process, tmp_path_factory, authority):
    one = start(tmp_path_factory.mktemp("tls"), standin_process, authority, *authority.issue("server"))
    yield one
    assert one.stop() == 0, one.log()[-3000:]


@pytest.fixture
def server(module_server, standin):
    yield module_server
    assert module_server.process.poll() is None, module_server.log()[-3000:]


@changes("server.tls_cert_file", "server.tls_key_file")
def test_everything_works_through_tls(server, standin):
    key = server.key()
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "HIT"
    large = {"query": "A large one?", "response": "x" * 900_000}
    assert server.post("/cache/entries", large, key).status_code == 201
    assert len(server.post("/cache/lookup", {"query": "A large one?"}, key).json()["response"]) == 900_000
    with openai.OpenAI(
        base_url=server.url + "/v1",
        api_key=key,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(verify=str(server.authority.path)),
    ) as client:
        stream = client.chat.completions.create(
            model="stand-in-1",
            stream=True,
            messages=[{"role": "user", "content": "Does a stream come through TLS?"}],
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    with pytest.raises(requests.RequestException):
        requests.get(server.url.replace("https", "http") + "/live", timeout=5)


def test_pipelined_and_split_requests(server):
    request = rawhttp.request("GET", "/live")
    with server.connect() as connection:
        connection.sendall(request * 20)
        data = b""
        while data.count(b'{"live":true}') < 20:
            data += connection.recv(65536)
        for byte in request:
            connection.sendall(bytes([byte]))
        assert b" 200 " in connection.recv(4096)


def test_bodies_larger_than_a_record(server):
    body = json.dumps({"query": "q " * 100_000}).encode()
    head = rawhttp.request("POST", "/cache/lookup", body, f"Authorization: Bearer {server.key()}")
    with server.connect() as connection:
        connection.sendall(head)
        assert connection.recv(4096).split()[1] in (b"200", b"400")


def test_old_versions_and_weak_suites_are_refused(server):
    def handshake(**settings) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for name, value in settings.items():
            if name == "ciphers":
                context.set_ciphers(value)
            else:
                setattr(context, name, value)
        try:
            with server.connect(context) as connection:
                return connection.version()
        except (ssl.SSLError, ConnectionError):
            return None

    assert handshake() == "TLSv1.3"
    two = ssl.TLSVersion.TLSv1_2
    assert handshake(maximum_version=two) == "TLSv1.2"
    assert (
        handshake(
            maximum_version=ssl.TLSVersion.TLSv1_1,
            minimum_version=ssl.TLSVersion.TLSv1,
            ciphers="ALL:@SECLEVEL=0",
        )
        is None
    )
    for weak in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256", "NULL"):
        try:
            assert handshake(maximum_version=two, ciphers=f"{weak}:@SECLEVEL=0") is None, weak
        except ssl.SSLError:
            pass  # this OpenSSL does not offer it at all


def test_garbage_instead_of_a_handshake(server):
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"a" * 100, b"\x00" * 50):
        with rawhttp.Connection(server) as connection:
            connection.send(data)
            assert b"HTTP/1.1 200" not in connection.read_all()
    assert server.get("/live").status_code == 200


def test_a_handshake_that_never_comes_is_let_go(standin, tmp_path, authority):
    server = start(
        tmp_path, standin, authority, *authority.issue("slow"), EGPTC_SERVER__HEADER_TIMEOUT_SECONDS=1
    )
    with rawhttp.Connection(server) as connection:
        connection.socket.settimeout(harness.CALL_SECONDS)
        assert connection.read_all() == b""
    assert server.stop() == 0


@changes("server.hsts_seconds")
def test_hsts(server, standin, tmp_path, authority):
    for path in ("/live", "/console"):
        assert server.get(path).headers["strict-transport-security"] == "max-age=31536000"
    quiet = start(tmp_path, standin, authority, *authority.issue("quiet"), EGPTC_SERVER__HSTS_SECONDS=0)
    assert "strict-transport-security" not in quiet.get("/live").headers
    assert quiet.stop() == 0


def serial(server) -> str:
    with server.connect() as connection:
        return connection.getpeercert()["subject"][0][0][1]


def test_a_new_certificate_is_taken_while_it_runs(standin, tmp_path, authority):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(name: str) -> None:
        made_cert, made_key = authority.issue(name)
        key.write_bytes(made_key.read_bytes())
        cert.write_bytes(made_cert.read_bytes())

    install("first")
    server = start(tmp_path / "server", standin, authority, cert, key, EGPTC_SECURITY__METRICS_OPEN="true")
    assert serial(server) == "first"
    with server.connect() as kept:
        install("second")
        harness.wait_until(lambda: serial(server) == "second", 15, "the new certificate")
        kept.sendall(rawhttp.request("GET", "/live"))
        assert b" 200 " in kept.recv(4096), "an open connection goes on"
    cert.write_text("no certificate")
    time.sleep(1.5)
    assert serial(server) == "second", "a bad file changes nothing"
    assert "old certificate stays" in server.log()
    install("third")
    harness.wait_until(lambda: serial(server) == "third", 15, "the next one")
    figures = server.metrics()
    assert figures['tls_reload_total{result="applied"}'] == 2
    assert figures['tls_reload_total{result="rejected"}'] == 1
    day = 24 * 3600
    assert 1 * day < figures["tls_certificate_expiry_timestamp_seconds"] - time.time() <= 2 * day
    assert server.stop() == 0


@changes("server.tls_client_ca_file")
def test_client_certificates(standin, tmp_path, authority):
    others = Authority(tmp_path, "others")
    mine = tuple(str(path) for path in authority.issue("caller"))
    foreign = tuple(str(path) for path in others.issue("stranger"))
    server = start(
        tmp_path / "server",
        standin,
        authority,
        *authority.issue("mutual"),
        client=mine,
        EGPTC_SERVER__TLS_CLIENT_CA_FILE=authority.path,
    )
    assert server.get("/live").status_code == 200
    assert server.chat(QUESTION).status_code == 401, "a certificate is no key"
    for cert in (None, foreign):
        with pytest.raises(requests.RequestException):
            requests.get(server.url + "/live", verify=str(authority.path), cert=cert, timeout=10)
    assert server.stop() == 0


@changes("security.client_certificates")
def test_a_client_certificate_has_the_role_and_tenant_of_its_row(standin, tmp_path, authority):
    def issue(name, names):
        return tuple(str(path) for path in authority.issue(name, names))

    web = issue("web", "URI:spiffe://shop/web,DNS:web.shop.example")
    ops = issue("the night shift", "")
    bank = issue("teller", "DNS:Teller.Bank.example")
    nobody = issue("nobody", "DNS:web.shop.example.evil.example,URI:spiffe://shop/web2")
    two_names = issue("decoy/CN=the night shift", "")
    server = start(
        tmp_path / "server",
        standin,
        authority,
        *authority.issue("roles"),
        client=web,
        EGPTC_SERVER__TLS_CLIENT_CA_FILE=authority.path,
    )
    rows = ["URI:spiffe://shop/web=client@shop", "CN:the night shift=operator@shop"]
    rows.append("DNS:teller.bank.example=client@bank")
    assert server.configure(security__client_certificates=rows).status_code == 200

    def ask(cert, method, path, body=None, **headers):
        return requests.request(
            method, server.url + path, json=body, headers=headers, cert=cert, verify=str(authority.path)
        )

    entry = {"query": QUESTION, "response": "Yes."}
    assert ask(web, "POST", "/cache/entries", entry).status_code == 201
    assert ask(ops, "POST", "/cache/lookup", {"query": QUESTION}).json()["hit"], "one tenant"
    assert not ask(bank, "POST", "/cache/lookup", {"query": QUESTION}).json()["hit"], "another tenant"
    assert ask(web, "GET", "/cache/entries").status_code == 403, "a client does not list"
    listed = ask(ops, "GET", "/cache/entries")
    assert listed.status_code == 200 and len(listed.json()["entries"]) == 1
    assert ask(ops, "GET", "/admin/keys").status_code == 403, "an operator makes no keys"
    for cert in (nobody, two_names):
        refused = ask(cert, "POST", "/cache/lookup", {"query": QUESTION})
        assert refused.status_code == 401 and secure.error_of(refused)["code"] == "unknown_certificate"
    # A key that is sent counts, and a wrong one is not made up for by the certificate.
    admin = {"Authorization": f"Bearer {server.admin}"}
    assert ask(web, "GET", "/admin/keys", **admin).status_code == 200
    wrong = {"Authorization": "Bearer egptc_000000000000_" + "0" * 64}
    assert ask(web, "POST", "/cache/lookup", {"query": QUESTION}, **wrong).status_code == 401
    for name in ("X-SSL-Client-S-DN", "X-Client-Cert", "X-Forwarded-Client-Cert"):
        claimed = ask(nobody, "POST", "/cache/lookup", {"query": QUESTION}, **{name: "CN=the night shift"})
        assert claimed.status_code == 401, "a header is no certificate"
    foreign = ask(ops, "POST", "/cache/flush", {"confirm": "flush"}, Origin="https://evil.example")
    assert foreign.status_code == 403, "a page of another site"
    ours = ask(ops, "POST", "/cache/flush", {"confirm": "flush"}, Origin=server.url)
    assert ours.json()["removed"] == 1
    audited = ask(web, "GET", "/admin/audit?limit=50", **admin).text
    assert "certificate:CN:the night shift" in audited
    assert server.configure(security__client_certificates=rows[2:]).json()["changed"]
    assert ask(web, "POST", "/cache/lookup", {"query": QUESTION}).status_code == 401, "taken out: at once"
    assert ask(bank, "POST", "/cache/lookup", {"query": QUESTION}).status_code == 200
    assert server.stop() == 0


@pytest.mark.parametrize(
    "row", ["CN:web", "web=client@shop", "CN:web=root@shop", "CN:web=client", "CN:=client@a"]
)
def test_a_row_that_is_none_is_named(tmp_path, authority, row):
    environment = {"EGPTC_SECURITY__CLIENT_CERTIFICATES": row, "EGPTC_SERVER__TLS_CERT_FILE": "cert.pem"}
    environment |= {"EGPTC_SERVER__TLS_KEY_FILE": "key.pem", "EGPTC_SERVER__TLS_CLIENT_CA_FILE": "ca.pem"}
    done = harness.run_binary("validate-config", environment=environment, folder=tmp_path)
    assert done.returncode == 1 and row in done.stderr and "name=role@tenant" in done.stderr, done.stderr
    del environment["EGPTC_SERVER__TLS_CLIENT_CA_FILE"]
    done = harness.run_binary("validate-config", environment=environment, folder=tmp_path)
    assert "needs server.tls_client_ca_file" in done.stderr


@pytest.mark.parametrize("wrong", ["no key", "other key", "no file", "no ca"])
def test_what_does_not_fit_is_refused_at_start(tmp_path, authority, wrong):
    cert, key = authority.issue(f"wrong-{wrong.replace(' ', '-')}")
    environment = secure.environment(EGPTC_SERVER__TLS_CERT_FILE=cert, EGPTC_SERVER__TLS_KEY_FILE=key)
    if wrong == "no key":
        del environment["EGPTC_SERVER__TLS_KEY_FILE"]
    elif wrong == "other key":
        environment["EGPTC_SERVER__TLS_KEY_FILE"] = str(authority.key)
    elif wrong == "no file":
        environment["EGPTC_SERVER__TLS_CERT_FILE"] = "/nonexistent"
    else:
        environment["EGPTC_SERVER__TLS_CLIENT_CA_FILE"] = str(key)
    server = harness.Server(tmp_path, None, environment).start(wait=False)
    assert server.process.wait(harness.START_SECONDS) == 1 and "server.tls_" in server.log()

"""JSON Web Tokens as credentials of a running server."""

import http.server
import json
import threading

import pytest

import harness
import secure
import tokens
from settings_walk import changes

QUESTION = "Which token is good enough?"


@pytest.fixture(scope="module")
def signers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signers")
    return {algorithm: tokens.Signer(folder, algorithm, f"{algorithm}-1") for algorithm in ("RS256", "ES256")}


def environment(**more) -> dict:
    return {
        "EGPTC_SECURITY__JWT_ISSUER": tokens.ISSUER,
        "EGPTC_SECURITY__JWT_AUDIENCE": tokens.AUDIENCE,
        **more,
    }


@pytest.fixture(scope="module")
def server(standin_process, tmp_path_factory, signers):
    folder = tmp_path_factory.mktemp("tokens")
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [one.jwk() for one in signers.values()]}))
    one = secure.start(
        folder,
        standin_process.base_url,
        **environment(EGPTC_SECURITY__JWT_JWKS_FILE=jwks, EGPTC_SECURITY__JWT_SECRET=tokens.SECRET),
    )
    yield one
    assert one.stop() == 0, one.log()[-3000:]


def ask(server, token: str, **more):
    return server.chat(QUESTION, key=token, **more)


@changes("security.jwt_issuer", "security.jwt_audience", "security.jwt_jwks_file", "security.jwt_secret")
def test_tokens_of_all_three_kinds(server, standin, signers):
    body = tokens.claims(tenant=harness.fresh_key())
    made = [tokens.hs256(body), *(one.sign(body) for one in signers.values())]
    answers = [ask(server, token) for token in made]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT", "HIT"], "one tenant"
    seen = {name.lower(): value for name, value in standin.requests()[-1]["headers"]}
    assert seen["authorization"] == "Bearer sk-of-the-operator", "a token is not for the provider"
    other = tokens.hs256(tokens.claims(tenant=harness.fresh_key()))
    assert ask(server, other).headers["x-cache"] == "MISS"


def bad_tokens(signers) -> dict:
    good, rsa = tokens.claims(), signers["RS256"]
    whole = rsa.sign(good)
    none = tokens.part({"alg": "none"}) + "." + tokens.part(good)
    return {
        "none": none + ".",
        "none with a signature": none + "." + whole.split(".")[2],
        "none, cut": none,
        "wrong alg": rsa.sign(good, alg="ES256"),
        "unknown alg": rsa.sign(good, alg="RS512"),
        "expired": rsa.sign(tokens.claims(exp=1_600_000_000)),
        "no expiry": rsa.sign(tokens.claims(exp=None)),
        "future": rsa.sign(tokens.claims(nbf=4_000_000_000)),
        "issued later": rsa.sign(tokens.claims(iat=4e9)),
        "wrong audience": rsa.sign(tokens.claims(aud="other")),
        "no audience": rsa.sign(tokens.claims(aud=None)),
        "wrong issuer": rsa.sign(tokens.claims(iss="https://evil.example")),
        "stripped signature": whole.rsplit(".", 1)[0] + ".",
        "two parts": whole.rsplit(".", 1)[0],
        "other claims": ".".join(
            [whole.split(".")[0], tokens.part(tokens.claims(role="admin")), whole.split(".")[2]]
        ),
        "key confusion": tokens.hs256(good, json.dumps(rsa.jwk()), kid="RS256-1"),
        "key confusion, pem": tokens.hs256(
            good, tokens.openssl("pkey", "-in", str(rsa.path), "-pubout").decode()
        ),
        "unknown key": rsa.sign(good, kid="nobody"),
        "other key's name": rsa.sign(good, kid="ES256-1"),
        "empty secret": tokens.hs256(good, ""),
        "huge": rsa.sign(tokens.claims(more="a" * 9000)),
        "bad base64": whole[:-3] + "=!=",
        "padded": whole + "=",
        "four parts": whole + ".AAAA",
        "no tenant": rsa.sign(tokens.claims(tenant=None)),
        "no role": rsa.sign(tokens.claims(role=None)),
        "no subject": rsa.sign(tokens.claims(sub=None)),
        "crit": rsa.sign(good, crit=["x"], x=1),
        "not an object": tokens.hs256([1]),
    }


def test_the_negative_suite(server, standin, signers):
    calls = standin.calls()
    admitted = {}
    for name, token in bad_tokens(signers).items():
        answer = ask(server, token)
        if answer.status_code != 401:
            admitted[name] = answer.status_code
        else:
            assert secure.error_of(answer)["type"] == "authentication_error"
    assert admitted == {} and standin.calls() == calls
    assert len(bad_tokens(signers)) >= 28
    assert ask(server, signers["RS256"].sign(tokens.claims())).status_code == 200


@changes(
    "security.jwt_role_claim",
    "security.jwt_role_map",
    "security.jwt_default_role",
    "security.jwt_tenant_claim",
    "security.jwt_clock_skew_seconds",
)
def test_claims_and_how_they_are_read(server):
    def stats(**claims) -> int:
        return server.get_as("/admin/stats", tokens.hs256(tokens.claims(**claims))).status_code

    assert (stats(role="client"), stats(role="operator"), stats(role=["client", "operator"])) == (
        403,
        200,
        200,
    )
    assert (
        server.configure(
            security__jwt_role_claim="realm_access.roles",
            security__jwt_role_map=["ops=operator"],
            security__jwt_tenant_claim="org",
            security__jwt_default_role="client",
            security__jwt_clock_skew_seconds=0,
        ).status_code
        == 200
    )
    assert stats() == 401, "no claim named org"
    assert stats(org="acme") == 403, "the default role"
    assert stats(org="acme", realm_access={"roles": ["ops"]}) == 200
    assert stats(org="acme", realm_access={"roles": ["admin"]}) == 403, "only what the map names"
    old = tokens.claims(exp=int(tokens.time.time()) - 5, org="acme")
    assert server.get_as("/admin/stats", tokens.hs256(old)).status_code == 401
    assert (
        server.request(
            "POST", "/admin/config/reset", headers={"Authorization": f"Bearer {server.admin}"}
        ).status_code
        == 200
    )
    assert server.get_as("/admin/stats", tokens.hs256({**old, "role": "operator"})).status_code == 200


def test_a_subject_cannot_be_talked_over(server):
    """Personal answers belong to the token's subject, whatever the request calls itself."""
    tenant, question = harness.fresh_key(), "What is my account balance right here?"
    alice = tokens.hs256(tokens.claims(tenant=tenant))
    mallory = tokens.hs256(tokens.claims(tenant=tenant, sub="mallory"))
    server.chat(question, key=alice)
    assert server.chat(question, key=alice).headers["x-cache"] == "HIT"
    for headers, body in (({}, {}), ({"X-Cache-Subject": "alice"}, {}), ({}, {"user": "alice"})):
        assert (
            server.chat(question, key=mallory, headers=headers, **body).headers["x-cache"] == "MISS"
            or server.chat(question, key=mallory).headers["x-cache"] == "HIT"
        )
    for headers in ({}, {"X-Cache-Subject": "alice"}):
        found = server.post(
            "/cache/lookup",
            {"query": question, "model": "stand-in-1"},
            tokens.hs256(tokens.claims(tenant=tenant, sub="eve")),
            headers,
        ).json()
        assert not found["hit"], found


class Issuer(http.server.BaseHTTPRequestHandler):
    keys: list = []
    calls = 0

    def do_GET(self):
        Issuer.calls += 1
        body = json.dumps({"keys": Issuer.keys}).encode()
        self.send_response(200 if Issuer.keys else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@changes("security.jwt_jwks_url", "security.jwt_jwks_refresh_seconds")
def test_keys_from_an_address(standin, tmp_path, signers):
    issuer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=issuer.serve_forever, daemon=True).start()
    Issuer.keys = [signers["RS256"].jwk()]
    server = secure.start(
        tmp_path,
        standin.base_url,
        **environment(
            EGPTC_SECURITY__JWT_JWKS_URL=f"http://127.0.0.1:{issuer.server_port}/keys",
            EGPTC_SECURITY__JWT_JWKS_REFRESH_SECONDS=1,
        ),
    )
    try:
        rsa, ec = (one.sign(tokens.claims()) for one in signers.values())
        harness.wait_until(lambda: ask(server, rsa).status_code == 200, 10, "the first keys")
        assert ask(server, ec).status_code == 401
        Issuer.keys = [signers["ES256"].jwk()]
        harness.wait_until(lambda: ask(server, ec).status_code == 200, 10, "the new keys")
        assert ask(server, rsa).status_code == 401, "what was taken out is forgotten, checked before or not"
        Issuer.keys = []
        seen = Issuer.calls
        harness.wait_until(lambda: Issuer.calls > seen, 10, "another look")
        assert ask(server, ec).status_code == 200, "an issuer that fails takes no keys away"
    finally:
        issuer.shutdown()
        assert server.stop() == 0, server.log()[-3000:]


def test_the_address_of_keys_cannot_be_set_over_the_network(standin, tmp_path):
    """Whoever holds an admin's key must not make this machine call addresses of its own network."""
    issuer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=issuer.serve_forever, daemon=True).start()
    Issuer.keys, before = [], Issuer.calls
    address = f"http://127.0.0.1:{issuer.server_port}/keys"
    server = secure.start(tmp_path, standin.base_url, **environment(EGPTC_SECURITY__JWT_SECRET=tokens.SECRET))
    try:
        for name in (address, "https://169.254.169.254/latest", "https://keys.example/keys"):
            for body in ({"security.jwt_jwks_url": name}, {"security": {"jwt_jwks_url": name}}):
                for path in ("/admin/config", "/admin/config?dry_run=true"):
                    done = server.request(
                        "PUT", path, json=body, headers={"Authorization": f"Bearer {server.admin}"}
                    )
                    assert done.status_code == 400, done.text
                    assert "security.jwt_jwks_url" in done.text and "/admin/config" in done.text
        assert server.stop() == 0
        server.start()
        assert ask(server, tokens.hs256(tokens.claims())).status_code == 200
        shown = server.get_as("/admin/config", server.admin).text
        assert "keys.example" not in shown and Issuer.calls == before, "nothing was kept, nobody was called"
    finally:
        issuer.shutdown()
        assert server.stop() == 0, server.log()[-3000:]


@pytest.mark.parametrize(
    "change",
    [
        {"upstream.api_key_file": "/etc/hostname"},
        {"upstream.https_proxy": "http://127.0.0.1:1"},
        {"upstream.routes": [{"model": "m*", "base_url": "http://127.0.0.1:1/v1"}]},
        {"security.jwt_secret_file": "/etc/hostname"},
        {"storage.keystore_path": "/tmp"},
        {"server.tls_key_file": "/etc/hostname", "server.tls_cert_file": "/etc/hostname"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_address_and_no_file_is_named_over_the_network(server, change):
    for path in ("/admin/config", "/admin/config?dry_run=true"):
        done = server.request("PUT", path, json=change, headers={"Authorization": f"Bearer {server.admin}"})
        assert done.status_code == 400, done.text
        for key in change:
            assert f"{key}: cannot be set through /admin/config" in done.text, done.text


@changes("security.jwt_secret_file")
def test_settings_that_do_not_go_together(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    good = {"EGPTC_SECURITY__JWT_ISSUER": "i", "EGPTC_SECURITY__JWT_AUDIENCE": "a"}

    def check(**environment):
        names = {f"EGPTC_SECURITY__JWT_{name}": str(value) for name, value in environment.items()}
        return harness.run_binary(
            "validate-config",
            "--print",
            "security.jwt_secret",
            environment={**good, **names},
            folder=tmp_path,
        )

    secret.write_text("a-secret-without-blanks-of-32-bytes-or-more")
    assert check(SECRET_FILE=secret).returncode == 0
    for wrong in (
        {"SECRET": "short"},
        {"SECRET": tokens.SECRET, "ISSUER": ""},
        {},
        {"JWKS_FILE": "/x", "JWKS_URL": "https://id.example/keys"},
        {"JWKS_URL": "http://id.example/keys"},
        {"JWKS_URL": "http://127.0.0.1.id.example/keys"},
        {"JWKS_FILE": "/x", "ROLE_MAP": "admins=king"},
    ):
        done = check(**wrong)
        assert done.returncode == 1 and "security.jwt_" in done.stderr, wrong
        assert "short" not in done.stderr.replace("shorter", "")

"""What PUT /admin/config may not do: be accepted and refuse the next start, lock its caller out, or tell what
files there are. And what a refused start leaves behind."""

import json
import os
import shutil
import socket
import stat
import threading

import pytest

import harness
import secure
import tokens
import vaults
from test_storage import NO_MODEL, lookup, store

NOT_OVER_NETWORK = "cannot be set through /admin/config"
PLACES = [
    "server.host",
    "server.port",
    "security.enabled",
    "security.insecure_listen",
    "embedder.enabled",
    "embedder.model_dir",
    "embedder.kernel",
    "context.embedding_model",
    "cache.verifier_dir",
    "pca.model_path",
    "storage.path",
    "storage.keystore_path",
    "monitoring.log_file",
    "security.instance_key_file",
    "upstream.ca_file",
]


def put(server, body, key=None, dry_run=False, headers=None):
    headers = dict(headers or {})
    if key:
        headers["Authorization"] = f"Bearer {key}"
    path = "/admin/config" + ("?dry_run=true" if dry_run else "")
    return server.request("PUT", path, json=body, headers=headers)


def message(answer) -> str:
    return answer.json()["error"]["message"]


def another(row):
    """A value that the key may have and does not have by default."""
    if isinstance(row["default"], bool):
        return not row["default"]
    if row.get("choices") and not isinstance(row["default"], list):
        return next((one for one in row["choices"] if one != row["default"]), None)
    if isinstance(row["default"], (int, float)):
        bigger = row["default"] + 1
        return bigger if bigger <= row.get("max", bigger) else row["default"] - 1
    return "of-another-kind" if isinstance(row["default"], str) else None


# --- the next start ----------------------------------------------------------------------------------
def test_what_a_put_accepts_the_next_start_accepts(start_server):
    server = start_server(NO_MODEL)
    accepted, refused = [], []
    for row in server.get("/admin/config/schema").json()["keys"]:
        if row["reload"] != "restart" or (value := another(row)) is None:
            continue
        answer = put(server, {row["name"]: value})
        assert answer.status_code in (200, 400), answer.text
        (accepted if answer.status_code == 200 else refused).append(row["name"])
    assert len(accepted) > 20 and "server.max_connections" in accepted and "storage.sync" in accepted
    assert set(refused) >= {"server.port", "server.host", "embedder.model_dir", "security.enabled"}
    assert server.stop() == 0
    server.start()
    shown = server.get("/admin/config").json()
    assert shown["valid"] and shown["pending_restart"] == []
    origins = {
        f"{section}.{key}": one["origin"]
        for section, keys in shown["sections"].items()
        for key, one in keys.items()
    }
    assert [name for name in accepted if origins[name] != "admin"] == []


@pytest.mark.parametrize("name", PLACES)
def test_places_are_not_set_over_the_network(server, tmp_path, name):
    """The same words whether the file is there or not: an admin's key is no way to look around."""
    (tmp_path / "present").write_text("two\nlines\n")
    told = set()
    for value in (str(tmp_path / "present"), str(tmp_path / "absent"), "/etc/shadow"):
        for dry_run in (True, False):
            answer = put(server, {name: value}, dry_run=dry_run)
            assert answer.status_code == 400, answer.text
            told.add(message(answer))
    assert len(told) == 1 and told.pop().startswith(f"{name}: {NOT_OVER_NETWORK}: use the settings file")


def test_errors_read_as_field_value_range(server):
    for body, wanted in (
        ({"cache.size_mb": 0}, 'cache.size_mb: "0", must be 1 to 1048576 MiB'),
        ({"limits": {"concurrent_key": 3}}, 'limits.concurrent_key: "3", needs security.enabled: true'),
        ({"cache.siz_mb": 1}, "cache.siz_mb: unknown key; did you mean cache.size_mb?"),
        ({"monitoring.prices": ["x"]}, 'monitoring.prices: "x", must be model=input/output'),
        ({"cache.guards_off": "[a"}, 'cache.guards_off: "[a", not readable as YAML'),
        ({"": {"size_mb": 1}}, "a section without a name"),
        (
            {"cache.size_mb": 0, "cache.mode": "x"},
            'cache.mode: "x", must be serve or shadow\ncache.size_mb: ',
        ),
    ):
        answer = put(server, body)
        assert answer.status_code == 400 and message(answer).startswith(wanted), answer.text
        assert "admin_config.json" not in answer.text


# --- the caller itself -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def secured(standin_process, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secured")
    # In a file: what the environment gives no change replaces.
    (folder / "config.yaml").write_text(
        f"{harness.REQUIRED_SECTIONS}security: {{jwt_issuer: '{tokens.ISSUER}', jwt_audience: "
        f"'{tokens.AUDIENCE}', jwt_secret: '{tokens.SECRET}', jwt_role_map: [client=client, boss=admin]}}\n"
    )
    one = secure.start(folder, standin_process.base_url, ("--config", str(folder / "config.yaml")))
    yield one
    assert one.stop() == 0, one.log()[-3000:]


@pytest.mark.parametrize(
    "body",
    [
        {"security.admin_networks": ["10.0.0.0/8"]},
        {"security.admin_networks": ["::1/128", "192.0.2.0/24"]},
        {"security.admin_networks": ["127.0.0.0/8"], "security.trusted_proxies": ["127.0.0.1"]},
    ],
    ids=["v4", "v6", "proxy"],
)
def test_nobody_locks_themselves_out_by_address(secured, body):
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    for dry_run in (True, False):
        refused = put(secured, body, secured.admin, dry_run, forwarded)
        assert refused.status_code == 409, refused.text
        assert "security.admin_networks" in message(refused) and "nothing was changed" in message(refused)
    named = "203.0.113.9" if "security.trusted_proxies" in body else "127.0.0.1"
    assert f"({named})" in message(refused)
    assert secured.get_as("/admin/config", secured.admin).status_code == 200


def test_nobody_locks_themselves_out_by_a_limit(secured):
    for name in ("key", "user", "ip"):
        refused = put(secured, {f"limits.requests_per_second_{name}": 0.001}, secured.admin)
        assert refused.status_code == 409 and f"limits.requests_per_second_{name}" in message(refused)
        assert "could not take it back" in message(refused)


def test_a_reset_does_not_lock_out_either(standin, tmp_path):
    server = secure.start(tmp_path, standin.base_url, EGPTC_SECURITY__AUDIT="false")
    server.stop()
    (tmp_path / "config.yaml").write_text(
        harness.REQUIRED_SECTIONS + "security: {admin_networks: [10.0.0.0/8]}\n"
    )
    (tmp_path / "storage/admin_config.json").write_text('{"security.admin_networks": "127.0.0.0/8"}')
    os.chmod(tmp_path / "storage/admin_config.json", 0o600)
    server.arguments = ["--config", str(tmp_path / "config.yaml")]
    server.start()
    refused = server.post("/admin/config/reset", key=server.admin)
    assert refused.status_code == 409 and "security.admin_networks" in message(refused), refused.text
    assert (
        put(server, {"security.admin_networks": ["127.0.0.1", "10.0.0.0/8"]}, server.admin).status_code == 200
    )
    assert server.stop() == 0


def test_nobody_locks_themselves_out_by_their_token(secured):
    boss = tokens.hs256(tokens.claims(role="boss"))
    assert secured.get_as("/admin/config", boss).status_code == 200
    for body in (
        {"security.jwt_issuer": "https://other.example"},
        {"security.jwt_audience": "somebody else"},
        {"security.jwt_secret": "another-secret-of-thirty-two-bytes"},
        {"security.jwt_role_map": ["boss=operator"]},
        {"security.jwt_tenant_claim": "org"},
    ):
        refused = put(secured, body, boss)
        assert refused.status_code == 409, (body, refused.text)
        assert "security.jwt_" in message(refused)
        # Whoever comes by a key may: they stay in.
        assert put(secured, body, secured.admin, dry_run=True).status_code == 200, body
    assert secured.get_as("/admin/config", boss).status_code == 200


def test_the_last_admin_key_does_not_revoke_itself(standin, tmp_path):
    server = secure.start(tmp_path, standin.base_url)
    own = server.admin.split("_")[1]
    revoke = lambda prefix, key: server.request(
        "DELETE", f"/admin/keys/{prefix}", headers={"Authorization": f"Bearer {key}"}
    )
    refused = revoke(own, server.admin)
    assert refused.status_code == 409 and "last active admin key" in message(refused), refused.text
    assert server.get_as("/admin/keys", server.admin).status_code == 200
    second = server.key("admin")
    assert revoke(own, server.admin).status_code == 200, "another way in is left"
    assert revoke(second.split("_")[1], second).status_code == 409
    assert server.stop() == 0


def test_nobody_locks_themselves_out_by_name(start_server):
    server = start_server({**NO_MODEL, "EGPTC_SERVER__ALLOWED_HOSTS": None})
    named = {"Host": "cache.example"}
    assert put(server, {"server.allowed_hosts": ["cache.example"]}).status_code == 200
    refused = put(server, {"server.allowed_hosts": ["other.example"]}, headers=named)
    assert refused.status_code == 409 and "server.allowed_hosts" in message(refused), refused.text
    assert put(server, {"server.allowed_hosts": ["other.example"]}).status_code == 200


# --- who the command line is -------------------------------------------------------------------------
def test_every_subcommand_finds_the_admins_key(standin, tmp_path):
    """As `keys` does: on the machine of the server nobody has to look for a key first."""
    server = secure.start(tmp_path, standin.base_url)
    cli = lambda *arguments, **more: secure.cli(server, *arguments, **more)
    output = tmp_path / "backups"
    made = cli("backup", "--output", str(output), "--without-models")
    assert made.returncode == 0 and "while the server ran" in made.stdout, made.stderr
    assert cli("encryption", "status").returncode == 0
    assert cli("store", "Where is the key?", "Under the mat.").returncode == 0
    asked = cli("query", "Where is the key?")
    assert asked.returncode == 0 and "Under the mat." in asked.stdout
    assert "note: called with the admin's key in" in asked.stderr, "whose tenant it is has to be said"
    checks = cli("validate-deployment", "--env", "development", "--backups", str(output), "--json").stdout
    states = {one["check"]: one["status"] for one in json.loads(checks)["checks"]}
    assert states["metrics"] == "ok" and states["round_trip"] == "ok", checks
    for one in (("erase", "--subject", "anna"), ("export", "--subject", "anna")):
        refused = cli(*one)
        assert refused.returncode == 1 and "a key of this server is needed" in refused.stderr, one
    named = cli("backup", "--output", str(output), "--api-key-env", "NOT_SET")
    assert named.returncode == 1 and "NOT_SET" in named.stderr, "what was named is not replaced"
    assert server.stop() == 0


def test_the_admins_key_stays_on_its_machine(standin, tmp_path):
    """Seen by a proxy of the name: what a server elsewhere is sent holds no key."""
    server = secure.start(tmp_path, standin.base_url)
    for url in (f"http://127.0.0.1:{server.port}", f"http://localhost:{server.port}"):
        assert secure.cli(server, "encryption", "status", "--server", url).returncode == 0
    elsewhere = socket.gethostbyname(socket.gethostname())
    if elsewhere.startswith("127."):
        pytest.skip("this machine has no other address")
    with socket.create_server((elsewhere, 0)) as listener:
        url = f"http://{elsewhere}:{listener.getsockname()[1]}"
        for one in (("encryption", "status"), ("keys", "list"), ("query", "Anybody?")):
            calling = threading.Thread(target=secure.cli, args=(server, *one, "--server", url))
            calling.start()
            connection, _ = listener.accept()
            with connection:
                sent = connection.recv(65536)
            calling.join()
            assert sent.startswith((b"GET /", b"POST /")) and b"egptc_" not in sent, one
    assert server.stop() == 0


# --- a start that is refused -------------------------------------------------------------------------
def left_behind(folder) -> list[str]:
    """Every file but the lock."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "LOCK"
    )


REFUSED = {
    "no model": {"EGPTC_EMBEDDER__MODEL_DIR": "/nonexistent"},
    "a kernel this machine lacks": {"EGPTC_EMBEDDER__KERNEL": "neon"},
    "no admin key": {**NO_MODEL, "EGPTC_ADMIN_KEY_FILE": "/nonexistent"},
    "no keys for tokens": {
        **NO_MODEL,
        "EGPTC_SECURITY__JWT_JWKS_FILE": "/nonexistent",
        "EGPTC_SECURITY__JWT_ISSUER": "i",
        "EGPTC_SECURITY__JWT_AUDIENCE": "a",
    },
    "no master key": {**NO_MODEL, **vaults.encrypted("/nonexistent")},
    "no place for the keystore": {**NO_MODEL, "EGPTC_STORAGE__KEYSTORE_PATH": "/dev/null/keystore"},
    "no certificate": {
        **NO_MODEL,
        "EGPTC_SERVER__TLS_CERT_FILE": "/nonexistent",
        "EGPTC_SERVER__TLS_KEY_FILE": "/nonexistent",
    },
}


@pytest.mark.parametrize("more", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_start_has_written_nothing(standin, tmp_path, more):
    server = secure.start(tmp_path, standin.base_url, wait=False, **more)
    assert server.process.wait(harness.START_SECONDS) == 1
    server.process = None
    assert "cannot start" in server.log()
    assert left_behind(tmp_path / "storage") == []


def test_a_missing_keystore_is_not_begun_anew(start_server, tmp_path, key):
    key_file = vaults.write_keys(tmp_path / "keys", vaults.fresh_key())
    here, gone = tmp_path / "keystore", tmp_path / "elsewhere"
    server = start_server({**NO_MODEL, **vaults.encrypted(key_file), "EGPTC_STORAGE__KEYSTORE_PATH": here})
    store(server, key, "Where are the keys?", "In the vault.", subject="anna")
    assert server.stop() == 0
    here.rename(gone)
    for _ in range(2):
        server.start(wait=False)
        assert server.process.wait(harness.START_SECONDS) == 1
        server.process = None
        assert "is missing: bring it back" in server.log().splitlines()[-1], "each time, and not: another"
        assert not here.exists()
    gone.rename(here)
    server.start()
    assert lookup(server, key, "Where are the keys?")["hit"]


# --- the packed model --------------------------------------------------------------------------------
# Root may write everywhere; without these capabilities it is held to modes as everybody is.
OBEY_MODES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def test_the_packed_model_lies_where_the_service_may_write(standin, tmp_path, key):
    """As under the systemd unit: packed once, in the storage folder, and mapped by the next start."""
    model = harness.copy_model(tmp_path / "model")
    for path in (model, *model.rglob("*")):
        os.chmod(path, 0o555 if path.is_dir() else 0o444)
    server = harness.Server(tmp_path / "server", standin.base_url, {"EGPTC_EMBEDDER__MODEL_DIR": model})
    server.wrapper = OBEY_MODES
    try:
        server.start()
        assert server.log().count("packing int8 weights into") == 1
        packed = server.folder / "storage/model.int8.packed"
        assert packed.is_file() and stat.S_IMODE(packed.stat().st_mode) & 0o022 == 0
        made = packed.stat().st_mtime_ns
        assert not list(model.rglob("*packed*"))
        first = server.post("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": "the same?"}, key).json()
        assert server.stop() == 0
        server.start()
        assert "packing" not in server.log().split("stopped")[-1] and packed.stat().st_mtime_ns == made
        again = server.post("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": "the same?"}, key).json()
        assert again["data"] == first["data"]
        assert server.stop() == 0
        done = harness.run_binary(
            "backup",
            "--output",
            str(tmp_path / "backups"),
            "--without-models",
            environment=server.environment,
            folder=server.folder,
        )
        assert done.returncode == 0, done.stderr
        (archive,) = (tmp_path / "backups").glob("*.tar.gz")
        unpacked = tmp_path / "unpacked"
        shutil.unpack_archive(archive, unpacked)
        assert not list(unpacked.rglob("*packed*")), "it can be made again"
    finally:
        assert server.stop() == 0
        for path in (model, *model.rglob("*")):
            os.chmod(path, 0o755 if path.is_dir() else 0o644)

"""Keys, roles, tenants and what a key may ask of the cache, with security on."""

import json
import os
import re
import stat

import openai
import pytest

import harness
import secure
from settings_walk import changes

QUESTION = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"
KEY_FORM = re.compile(r"^egptc_[0-9a-f]{12}_[0-9a-f]{64}$")


@pytest.fixture(scope="module")
def module_server(standin_process, tmp_path_factory):
    one = secure.start(tmp_path_factory.mktemp("secure"), standin_process.base_url)
    yield one
    assert one.stop() == 0, one.log()[-3000:]


@pytest.fixture
def server(module_server, standin):
    yield module_server
    assert module_server.process.poll() is None, module_server.log()[-3000:]


@pytest.fixture
def start(standin, tmp_path):
    started = []

    def run(folder="secure", **more):
        started.append(secure.start(tmp_path / folder, standin.base_url, **more))
        return started[-1]

    yield run
    for one in started:
        if one.process is not None:
            assert one.stop() == 0, one.log()[-3000:]


# --- keys --------------------------------------------------------------------------------------
@changes("security.enabled")
def test_without_a_key_nothing_is_answered(server):
    for path in ("/v1/models", "/cache/entries", "/admin/config", "/metrics"):
        answer = server.get(path)
        assert answer.status_code == 401 and "egptc_" in answer.text, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert server.chat(QUESTION, key=harness.fresh_key()).status_code == 401
    for path in ("/health", "/ready", "/live"):
        assert server.get(path).status_code == 200


def test_the_first_admin_key_is_in_a_file_and_not_in_the_log(server):
    path = server.folder / "storage/admin.key"
    assert KEY_FORM.match(server.admin) and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(path.name) in server.log() and server.admin not in server.log()
    assert server.admin.rsplit("_", 1)[1] not in (server.folder / "storage/api_keys.json").read_text()
    assert server.get_as("/admin/keys", server.admin).status_code == 200


def test_keys_of_every_carrier(server, standin):
    key = server.key()
    body = {"model": "stand-in-1", "messages": [{"role": "user", "content": "Which header is it?"}]}
    carriers = [
        {"Authorization": f"Bearer {key}"},
        {"authorization": f"bearer {key}"},
        {"X-EGPTC-Key": key},
        {"x-api-key": key},
        {"api-key": key},
    ]
    for number, headers in enumerate(carriers):
        answer = server.post("/v1/chat/completions", body, headers=headers)
        assert answer.status_code == 200, headers
        assert answer.headers["x-cache"] == (
            "HIT" if number else "MISS"
        ), "one tenant, whatever the carrier"
    for headers in (
        {"Authorization": f"Basic {key}"},
        {"Cookie": f"key={key}"},
        {"X-Other": key},
        {"Authorization": key},
    ):
        assert server.post("/v1/chat/completions", body, headers=headers).status_code == 401, headers
    assert server.post(f"/v1/chat/completions?key={key}", body).status_code == 401
    both = {"Authorization": f"Bearer {key}", "X-EGPTC-Key": server.key()}
    assert server.post("/v1/chat/completions", body, headers=both).status_code == 401
    assert server.post("/v1/chat/completions", body, headers={"X-EGPTC-Key": "nonsense"}).status_code == 401


def seen_by_provider(standin) -> dict:
    return {name.lower(): value for name, value in standin.requests()[-1]["headers"]}


def test_a_key_is_never_forwarded(server, standin):
    key = server.key()
    for path in ("/v1/chat/completions", "/v1/moderations", "/v1/responses"):
        server.post(path, {"model": "stand-in-1", "messages": [{"role": "user", "content": path}]}, key)
        seen = seen_by_provider(standin)
        assert seen["authorization"] == "Bearer sk-of-the-operator" and "egptc_" not in json.dumps(
            seen
        ), path


def test_the_callers_own_provider_key_goes_through(start, standin):
    server = start(EGPTC_UPSTREAM__API_KEY="")
    key = server.key()
    answer = server.chat(
        "Whose key is it?", headers={"X-EGPTC-Key": key, "Authorization": "Bearer sk-mine"}
    )
    assert answer.status_code == 200
    seen = seen_by_provider(standin)
    assert seen["authorization"] == "Bearer sk-mine" and "egptc_" not in json.dumps(seen)
    # Who the tenant is, the provider's key does not say.
    other = server.chat(
        "Whose key is it?", headers={"X-EGPTC-Key": key, "Authorization": "Bearer sk-other"}
    )
    assert other.headers["x-cache"] == "HIT"


def test_rotation_and_revocation_hold_at_once(server):
    made = server.create(role="client", name="short lived")
    old, prefix = made["key"], made["prefix"]
    rotated = server.post(f"/admin/keys/{prefix}/rotate", {"grace_seconds": 600}, server.admin).json()
    for key in (old, rotated["key"]):
        assert server.chat(QUESTION, key=key).status_code == 200
    final = server.post(f"/admin/keys/{prefix}/rotate", None, server.admin).json()["key"]
    assert server.chat(QUESTION, key=rotated["key"]).status_code == 401
    assert server.chat(QUESTION, key=final).status_code == 200
    headers = {"Authorization": f"Bearer {server.admin}"}
    assert server.request("DELETE", f"/admin/keys/{prefix}", headers=headers).status_code == 200
    assert server.chat(QUESTION, key=final).status_code == 401
    assert server.request("DELETE", f"/admin/keys/{prefix}", headers=headers).status_code == 404


def test_expiry(server):
    key = server.key(expires_in_seconds=1)
    assert server.chat(QUESTION, key=key).status_code == 200
    harness.wait_until(lambda: server.chat(QUESTION, key=key).status_code == 401, 5, "expiry")


@pytest.mark.parametrize(
    "wish",
    [
        {"role": "king"},
        {"scopes": ["all"]},
        {"namespaces": "a"},
        {"controls": ["x"]},
        {"expires_in_seconds": 0},
        {"expires_in_seconds": 1.5},
        {"tenant": "a b"},
        {"name": 5},
        {"trusted": "yes"},
        {"colour": "red"},
        [],
        "x",
    ],
)
def test_bad_wishes_are_refused_by_field(server, wish):
    answer = server.post("/admin/keys", wish, server.admin)
    assert answer.status_code == 400, answer.text
    if isinstance(wish, dict):
        assert next(iter(wish)) in secure.error_of(answer)["message"]


def test_no_secret_is_ever_listed(server):
    made = server.create(role="client", name="listed")
    listed = server.get_as("/admin/keys", server.admin).text
    assert (
        made["prefix"] in listed and made["key"].rsplit("_", 1)[1] not in listed and '"hash"' not in listed
    )
    assert made["key"] not in server.log()


@changes("security.admin_key_file")
def test_a_given_admin_key(start, tmp_path):
    given = "egptc_0123456789ab_" + os.urandom(32).hex()
    path = tmp_path / "given.key"
    path.write_text(given + "\n")
    server = start(EGPTC_ADMIN_KEY_FILE=path)
    assert not (server.folder / "storage/admin.key").exists()
    assert server.get_as("/admin/keys", given).status_code == 200
    path.write_text("egptc_tooshort\n")
    broken = harness.Server(tmp_path / "broken", None, secure.environment(EGPTC_ADMIN_KEY_FILE=path))
    broken.start(wait=False)
    assert broken.process.wait(harness.START_SECONDS) == 1 and "admin_key_file" in broken.log()


def test_the_command_line_with_and_without_a_server(start):
    server = start()
    made = secure.cli(server, "keys", "create", "--role", "operator", "--name", "from the command line")
    assert made.returncode == 0 and KEY_FORM.match(made.stdout.strip()), made.stderr
    key = made.stdout.strip()
    assert server.get_as("/admin/stats", key).status_code == 200
    rotated = secure.cli(server, "keys", "rotate", key).stdout.strip()
    assert server.get_as("/admin/stats", key).status_code == 401
    assert server.get_as("/admin/stats", rotated).status_code == 200
    assert server.stop() == 0
    offline = secure.cli(server, "keys", "create", "--role", "viewer", "--expires-in", "1h").stdout.strip()
    revoked = secure.cli(server, "keys", "revoke", rotated)
    assert revoked.returncode == 0, revoked.stderr
    listed = json.loads(secure.cli(server, "keys", "list", "--json").stdout)["keys"]
    states = {row["prefix"]: (row["role"], row["state"]) for row in listed}
    assert states[offline.split("_")[1]] == ("viewer", "active")
    assert states[key.split("_")[1]] == ("operator", "revoked")
    assert secure.cli(server, "keys", "revoke", "000000000000").returncode == 1
    assert secure.cli(server, "keys", "create", "--expires-in", "soon").returncode == 2
    server.start()
    assert server.get_as("/metrics", offline).status_code == 200
    assert server.get_as("/admin/stats", rotated).status_code == 401


def test_a_damaged_key_file_is_no_open_door(start):
    server = start()
    assert server.stop() == 0
    path = server.folder / "storage/api_keys.json"
    path.write_text(path.read_text()[:-40])
    server.start(wait=False)
    assert server.process.wait(harness.START_SECONDS) == 1 and "api_keys.json" in server.log()
    server.process = None


def test_the_openai_sdk_works_with_a_key(server):
    with openai.OpenAI(base_url=server.url + "/v1", api_key=server.key(), max_retries=0) as client:
        text = (
            client.chat.completions.create(
                model="stand-in-1",
                messages=[{"role": "user", "content": "Does the SDK work with a key of ours?"}],
            )
            .choices[0]
            .message.content
        )
        assert text
    with openai.OpenAI(base_url=server.url + "/v1", api_key="egptc_wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


# --- what a key may ask of the cache -----------------------------------------------------------
CONTROL_HEADERS = {
    "no-cache": {"X-Cache-Control": "no-cache"},
    "no-store": {"X-Cache-Control": "no-store"},
    "only-if-cached": {"X-Cache-Control": "only-if-cached"},
    "max-age": {"X-Cache-Control": "max-age=60"},
    "ttl": {"X-Cache-TTL": "60"},
    "namespace": {"X-Cache-Namespace": "n"},
    "threshold": {"X-Cache-Threshold": "0.9"},
    "type": {"X-Cache-Type": "exact"},
    "tags": {"X-Cache-Tags": "t"},
    "subject": {"X-Cache-Subject": "s"},
    "query": {"X-Cache-Query": QUESTION},
}
ALIASES = {
    "no-cache": {"x-portkey-cache-force-refresh": "true"},
    "no-store": {"x-bf-cache-no-store": "true"},
    "ttl": {"cf-aig-cache-ttl": "60"},
    "namespace": {"Helicone-Cache-Seed": "n"},
    "threshold": {"x-bf-cache-threshold": "0.9"},
    "type": {"cf-aig-skip-cache": "true"},
}


@pytest.mark.parametrize("control", CONTROL_HEADERS)
def test_refused_controls_are_an_error(server, control):
    others = [name for name in CONTROL_HEADERS if name != control]
    without, with_it = server.key(controls=others), server.key(controls=[control])
    for headers in filter(None, (CONTROL_HEADERS[control], ALIASES.get(control))):
        refused = server.chat(QUESTION, key=without, headers=headers)
        assert refused.status_code == 403 and control in secure.error_of(refused)["message"]
        assert server.chat(QUESTION, key=with_it, headers=headers).status_code in (200, 504)
    assert server.chat(QUESTION, key=without).status_code == 200


def test_native_bodies_ask_for_controls_too(server):
    key = server.key(controls=["no-cache"])
    for field, value in (("namespace", "n"), ("threshold", 0.9)):
        refused = server.post("/cache/lookup", {"query": QUESTION, field: value}, key)
        assert refused.status_code == 403 and field in refused.text
    entry = {"query": QUESTION, "response": "x"}
    for field, value in (("tags", ["t"]), ("ttl_seconds", 60), ("subject", "s"), ("namespace", "n")):
        for body in ({**entry, field: value}, {"entries": [entry, {**entry, field: value}]}):
            assert server.post("/cache/entries", body, key).status_code == 403, body
    assert (
        server.post("/cache/lookup", {"query": QUESTION}, key, {"X-Cache-Subject": "s"}).status_code == 403
    )
    assert server.post("/cache/entries", entry, key).status_code == 201


def test_namespaces_are_allow_listed(server):
    tenant = harness.fresh_key()
    narrow = server.key("operator", tenant=tenant, namespaces=["team-a", "team-b"])
    wide = server.key("operator", tenant=tenant)
    entry_id = server.post(
        "/cache/entries", {"query": QUESTION, "response": "a secret of team c", "namespace": "team-c"}, wide
    ).json()["ids"][0]
    mine = server.post("/cache/entries", {"query": QUESTION, "response": "of team a"}, narrow).json()[
        "ids"
    ][0]
    assert server.get_as(f"/cache/entries/{mine}", wide).json()["namespace"] == "team-a"
    for path in (
        f"/cache/entries/{entry_id}",
        "/cache/entries?namespace=team-c",
        "/cache/entries?namespace=",
    ):
        answer = server.get_as(path, narrow)
        assert answer.status_code in (403, 404) and "secret" not in answer.text, path
    assert entry_id not in server.get_as("/cache/entries", narrow).text
    for path, body in (
        ("/cache/lookup", {"query": QUESTION}),
        ("/cache/explain", {"query": QUESTION}),
        ("/cache/invalidate", {"tags": ["t"]}),
        ("/cache/flush", {"confirm": "flush"}),
    ):
        for name in ("team-c", "", "TEAM-A", "team-a\u0000"):
            answer = server.post(path, {**body, "namespace": name}, narrow)
            assert answer.status_code in (400, 403), (path, name)
    assert (
        server.post("/cache/feedback", {"entry_id": entry_id, "correct": False}, narrow).status_code == 404
    )
    for headers in (
        {"X-Cache-Namespace": "team-c"},
        {"x-bf-cache-key": "team-c"},
        {"cf-aig-cache-key": "team-c"},
        {"x-portkey-cache-namespace": "team-c"},
    ):
        assert server.chat(QUESTION, key=narrow, headers=headers).status_code == 403
    assert server.chat(QUESTION, key=narrow, cache={"namespace": "team-c"}).status_code == 403
    # A narrowed key's flush empties its own namespace only.
    assert server.post("/cache/flush", {"confirm": "flush"}, narrow).json()["removed"] == 1
    assert server.get_as(f"/cache/entries/{entry_id}", wide).status_code == 200


def test_oracles_are_for_those_who_manage(server):
    tenant = harness.fresh_key()
    keys = {role: server.key(role, tenant=tenant) for role in ("client", "operator", "admin")}
    # Nothing personal: that is kept apart by user, and every key is one.
    question, paraphrase = "What is the capital of France?", "Tell me the capital of France"
    server.post(
        "/cache/entries", {"query": question, "response": "x", "model": "stand-in-1"}, keys["client"]
    )
    for role, key in keys.items():
        shown = role != "client"
        hit = server.chat(paraphrase, key=key)
        assert hit.headers["x-cache"] == "HIT"
        assert ("x-cache-similarity" in hit.headers) == shown and ("x-cache-entry" in hit.headers) == shown
        native = server.post("/cache/lookup", {"query": paraphrase, "model": "stand-in-1"}, key).json()
        assert native["hit"]
        assert [name in native for name in ("similarity", "probability", "entry_id")] == [shown] * 3
        miss = server.post(
            "/cache/lookup", {"query": "What is the population of France?", "model": "stand-in-1"}, key
        ).json()
        assert not miss["hit"] and ("nearest" in miss) == shown

"""What a provider keeps under the operator's one key is not passed from tenant to tenant."""

import contextlib
import json

import openai
import pytest

import harness
import secure
import tokens
from settings_walk import changes

KEPT = [
    ("GET", "/v1/files"),
    ("GET", "/v1/files/file-1/content"),
    ("DELETE", "/v1/files/file-1"),
    ("POST", "/v1/files"),
    ("POST", "/v1/uploads"),
    ("GET", "/v1/batches"),
    ("POST", "/v1/threads"),
    ("GET", "/v1/threads/t/messages"),
    ("GET", "/v1/assistants"),
    ("GET", "/v1/vector_stores"),
    ("POST", "/v1/fine_tuning/jobs"),
    ("GET", "/v1/responses/resp_1"),
    ("GET", "/v1/chat/completions"),
    ("GET", "/v1/conversations/conv_1/items"),
    ("GET", "/v1/messages/batches"),
    ("DELETE", "/v1/models/ft:mine"),
    ("GET", "/v1/models/../files"),
    ("GET", "/openai/deployments/d/files"),
]


@pytest.fixture(scope="module")
def shared(standin_process, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    server = secure.start(folder, standin_process.base_url)
    yield server, server.key(tenant="acme"), server.key(tenant="other")
    server.stop()


@contextlib.contextmanager
def running(folder, upstream, **settings):
    server = secure.start(folder, upstream, **settings)
    try:
        yield server
    finally:
        server.stop()


def call(server, key: str, method: str, path: str, body=None):
    return server.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize("method,path", KEPT)
def test_what_is_kept_is_refused(shared, standin, method, path):
    server, *keys = shared
    for key in keys:
        # Spelled as it stands: the client would take the dots out.
        answer = server.request(method, path, headers={"Authorization": f"Bearer {key}"})
        if ".." in path:
            assert answer.status_code in (400, 403, 404)
            continue
        assert answer.status_code == 403
        error = secure.error_of(answer)
        assert error["code"] == "shared_resources_refused" or "/messages" in path
        assert "upstream.shared_resources" in error["message"]
    assert standin.requests() == []


def test_what_keeps_nothing_goes_on(shared, standin):
    server, key, _ = shared
    message = [{"role": "user", "content": "Which of them goes on?"}]
    bodies = {
        "/v1/chat/completions": {"model": "stand-in-1", "messages": message},
        "/v1/completions": {"model": "stand-in-1", "prompt": "Which of them goes on?"},
        "/v1/responses": {"model": "stand-in-1", "input": "x", "store": False},
        "/v1/messages": {"model": "stand-in-1", "max_tokens": 5, "messages": message},
        "/v1/moderations": {"input": "x"},
        "/v1/images/generations": {"prompt": "x"},
        "/v1/audio/speech": {"input": "x"},
    }
    for path, body in bodies.items():
        answer = call(server, key, "POST", path, body)
        assert answer.status_code not in (401, 403), (path, answer.text)
        assert standin.requests()[-1]["target"] == path
    for path in ("/v1/models", "/v1/models/stand-in-1"):
        assert call(server, key, "GET", path).status_code != 403
        assert standin.requests()[-1]["target"] == path


def test_a_body_may_not_name_what_is_kept(shared, standin):
    server, key, _ = shared
    file = [{"type": "file", "file": {"file_id": "file-1"}}]
    bodies = [
        ("/v1/responses", {"model": "m", "input": "x", "previous_response_id": "resp_1"}),
        ("/v1/responses", {"model": "m", "input": "x", "conversation": "conv_1"}),
        ("/v1/responses", {"model": "m", "input": "x", "background": True}),
        ("/v1/responses", {"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]}),
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": file}]}),
    ]
    for path, body in bodies:
        answer = call(server, key, "POST", path, body)
        assert answer.status_code == 403, body
        assert secure.error_of(answer)["code"] == "shared_resources_refused"
    assert standin.requests() == []


def test_the_sdk_says_so(shared):
    server, key, _ = shared
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.files.list()
    assert caught.value.code == "shared_resources_refused"
    answer = client.chat.completions.create(
        model="stand-in-1", messages=[{"role": "user", "content": "Is the SDK fine?"}]
    )
    assert answer.choices[0].message.content


def test_one_tenant_shares_with_nobody(standin, standin_process, tmp_path):
    with running(tmp_path, standin_process.base_url) as server:
        key = server.key(tenant="acme")
        assert call(server, key, "GET", "/v1/files").status_code == 200
        server.key(tenant="acme", role="operator")
        server.key(role="viewer")
        assert call(server, key, "GET", "/v1/files").status_code == 200
        other = server.create(role="client")
        assert call(server, key, "GET", "/v1/files").status_code == 403
        assert server.get_as("/v1/files", server.admin).status_code == 200
        revoked = server.request(
            "DELETE", f"/admin/keys/{other['prefix']}", headers={"Authorization": f"Bearer {server.admin}"}
        )
        assert revoked.status_code == 200
        assert call(server, key, "GET", "/v1/files").status_code == 403, "its files are still there"
    assert len(standin.requests()) == 3


def test_tokens_may_be_of_any_tenant(standin_process, tmp_path):
    jwt = {
        "EGPTC_SECURITY__JWT_ISSUER": tokens.ISSUER,
        "EGPTC_SECURITY__JWT_AUDIENCE": tokens.AUDIENCE,
        "EGPTC_SECURITY__JWT_SECRET": tokens.SECRET,
    }
    with running(tmp_path, standin_process.base_url, **jwt) as server:
        for role, status in (("client", 403), ("operator", 403), ("admin", 200)):
            token = tokens.hs256(tokens.claims(role=role))
            assert call(server, token, "GET", "/v1/files").status_code == status


@changes("upstream.shared_resources")
def test_it_can_be_allowed(standin, standin_process, tmp_path):
    with running(tmp_path, standin_process.base_url) as server:
        keys = [server.key(tenant=tenant) for tenant in ("acme", "other")]
        assert {call(server, key, "GET", "/v1/files").status_code for key in keys} == {403}
        assert server.configure(upstream__shared_resources="allow").status_code == 200
        assert {call(server, key, "GET", "/v1/files").status_code for key in keys} == {200}
        refused = server.configure(upstream__shared_resources="maybe")
        assert refused.status_code == 400 and "upstream.shared_resources" in refused.text
    assert len(standin.requests()) == 2


def test_callers_with_accounts_of_their_own(standin, standin_process, tmp_path):
    with running(tmp_path, standin_process.base_url, EGPTC_UPSTREAM__API_KEY="") as server:
        key, _ = server.key(tenant="acme"), server.key(tenant="other")
        own = {"X-EGPTC-Key": key, "Authorization": f"Bearer {harness.fresh_key()}"}
        assert server.request("GET", "/v1/files", headers=own).status_code == 200
        assert server.request("GET", "/v1/files", headers={"X-EGPTC-Key": key}).status_code == 403
    seen = json.dumps(standin.requests()[-1])
    assert "egptc_" not in seen and len(standin.requests()) == 1

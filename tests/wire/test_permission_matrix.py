"""Every route times every role: 401 without a credential, 403 with too low a role, in the dialect asked."""

import pytest

import harness
import rawhttp
import secure

REQUESTS = {
    ("GET", "/health"): None,
    ("GET", "/ready"): None,
    ("GET", "/live"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/metrics"): None,
    ("GET", "/console"): None,
    ("GET", "/console/app.js"): None,
    ("GET", "/console/session"): None,
    ("POST", "/cache/lookup"): {"query": "q"},
    ("POST", "/cache/feedback"): {"entry_id": "00", "correct": True},
    ("POST", "/cache/entries"): {"query": "q", "response": "r"},
    ("GET", "/cache/entries"): None,
    ("GET", "/cache/entries/00"): None,
    ("DELETE", "/cache/entries/00"): None,
    ("POST", "/cache/invalidate"): {"tags": ["none"]},
    ("POST", "/cache/explain"): {"query": "q"},
    ("POST", "/cache/flush"): {"confirm": "flush", "namespace": "none"},
    ("POST", "/cache/erase"): {"subject": "nobody"},
    ("POST", "/cache/export"): {"subject": "nobody"},
    ("GET", "/admin/encryption"): None,
    ("GET", "/admin/stats"): None,
    ("GET", "/admin/events?count=1"): None,
    ("GET", "/admin/config"): None,
    ("GET", "/admin/config/schema"): None,
    ("GET", "/admin/tau"): None,
    ("GET", "/admin/backup"): None,
    ("GET", "/admin/permissions"): None,
    ("POST", "/admin/reload"): None,
    ("GET", "/admin/keys"): None,
    ("POST", "/admin/keys"): {"role": "viewer"},
    ("POST", "/admin/keys/000000000000/rotate"): None,
    ("DELETE", "/admin/keys/000000000000"): None,
    ("PUT", "/admin/config"): {"cache.mode": "serve"},
    ("POST", "/admin/config/reset"): None,
    ("POST", "/v1/chat/completions"): {
        "model": "m",
        "messages": [{"role": "user", "content": "hello there"}],
    },
    ("POST", "/v1/completions"): {"model": "m", "prompt": "hello there"},
    ("POST", "/v1/embeddings"): {"model": "all-MiniLM-L6-v2", "input": "hello"},
    ("POST", "/v1/responses"): {"model": "m", "input": "hello"},
    ("POST", "/v1/messages"): {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "hi"}],
    },
    ("GET", "/v1/models"): None,
    ("GET", "/v1/files"): None,
    ("DELETE", "/v1/files/f"): None,
    ("POST", "/openai/deployments/d/chat/completions"): {"messages": []},
}
# In the table, but without a handler in this build.
UNBUILT = {"/admin/audit"}


@pytest.fixture(scope="module")
def matrix(standin_process, tmp_path_factory):
    # The keys are of several tenants; which paths they share is another table (test_shared_account.py).
    server = secure.start(
        tmp_path_factory.mktemp("matrix"),
        standin_process.base_url,
        EGPTC_UPSTREAM__SHARED_RESOURCES="allow",
    )
    keys = {role: server.key(role) for role in secure.ROLES}
    table = server.get_as("/admin/permissions", server.admin).json()["permissions"]
    yield server, keys, table
    assert server.stop() == 0, server.log()[-3000:]


def row_of(table, method: str, path: str) -> dict:
    path = path.split("?")[0]
    for row in table:
        fits = row["path"] == path or (row["path"].endswith("/*") and path.startswith(row["path"][:-1]))
        if row["method"] in ("*", method) and fits:
            return row
    raise AssertionError(f"{method} {path} is in no row")


def call(server, method: str, path: str, body, key: str | None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return server.request(method, path, json=body, headers=headers)


def assert_dialect(path: str, answer) -> None:
    body = answer.json()
    if path == "/v1/messages":
        assert body["type"] == "error" and set(body["error"]) == {"type", "message"}
    else:
        assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("method,path", REQUESTS, ids=[f"{m} {p}" for m, p in REQUESTS])
def test_every_route_times_every_role(matrix, method, path):
    server, keys, table = matrix
    row, body = row_of(table, method, path), REQUESTS[method, path]
    anonymous = call(server, method, path, body, None)
    if row["open"]:
        assert anonymous.status_code == 200
        return
    for wrong in (None, "egptc_000000000000_" + "0" * 64, harness.fresh_key()):
        answer = call(server, method, path, body, wrong)
        assert answer.status_code == 401, (wrong, answer.text)
        assert_dialect(path, answer)
    for role in secure.ROLES:
        answer = call(server, method, path, body, keys[role])
        if role in row["roles"]:
            assert answer.status_code not in (401, 403), (role, answer.text)
        else:
            assert answer.status_code == 403, (role, answer.text)
            assert_dialect(path, answer)
            assert role in answer.json()["error"]["message"]


def test_the_matrix_covers_the_table(matrix):
    _, _, table = matrix
    covered = {id(row_of(table, method, path)) for method, path in REQUESTS}
    missing = [row["path"] for row in table if id(row) not in covered and row["path"] not in UNBUILT]
    assert missing == []
    assert len(REQUESTS) > 30


@pytest.mark.parametrize(
    "scope", ["proxy", "cache:read", "cache:write", "cache:manage", "metrics", "admin:read", "admin:write"]
)
def test_scopes_narrow_the_strongest_role(matrix, scope):
    server, _, table = matrix
    key = server.key("admin", scopes=[scope])
    for (method, path), body in REQUESTS.items():
        row = row_of(table, method, path)
        if row["open"] or row["scope"] in (None, scope):
            continue
        assert call(server, method, path, body, key).status_code == 403, (method, path)


def test_strangers_are_refused_before_their_body_is_read(matrix):
    server, _, _ = matrix
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n"
    with rawhttp.Connection(server) as connection:
        assert connection.send(head).read_response()[0] == 401
    head = head.replace(b"Content-Length: 10000000", b"Transfer-Encoding: chunked\r\nExpect: 100-continue")
    with rawhttp.Connection(server) as connection:
        assert connection.send(head).read_response()[0] == 401


@pytest.mark.parametrize(
    "path",
    [
        "/admin/../admin/keys",
        "//admin/keys",
        "/%61dmin/keys",
        "/admin//keys",
        "/v1/../admin/keys",
        "/ADMIN/keys",
        "/admin/keys/",
        "/admin/keys/../config",
        "/health/../admin/keys",
        "/health%2f..%2fadmin/keys",
        "/admin/keys;x=1",
    ],
)
def test_other_spellings_of_a_path_open_nothing(matrix, path):
    server, keys, _ = matrix
    for key in (None, keys["viewer"], keys["client"]):
        headers = [f"Authorization: Bearer {key}"] if key else []
        status, _, body = rawhttp.exchange(server, rawhttp.request("GET", path, b"", *headers))
        assert status in (400, 401, 403, 404, 405) and b'"keys"' not in body, (key, status, body)

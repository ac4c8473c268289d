"""Within a tenant: what a user asked about itself is out of the other users' reach, also by its id."""

import json
import re

import pytest

import harness
import secure
import tokens

QUESTION = "What is my balance?"
NEITHER = "no entry with this id"


@pytest.fixture(scope="module")
def server(standin_process, tmp_path_factory):
    jwt = {
        "EGPTC_SECURITY__JWT_ISSUER": tokens.ISSUER,
        "EGPTC_SECURITY__JWT_AUDIENCE": tokens.AUDIENCE,
        "EGPTC_SECURITY__JWT_SECRET": tokens.SECRET,
        "EGPTC_MONITORING__LOG_FORMAT": "json",
    }
    running = secure.start(tmp_path_factory.mktemp("users"), standin_process.base_url, **jwt)
    yield running
    running.stop()


def token_of(user: str, role: str = "client", tenant: str = "acme") -> str:
    return tokens.hs256(tokens.claims(sub=user, role=role, tenant=tenant))


def store(server, key: str, question: str = QUESTION, **more) -> str:
    made = server.post("/cache/entries", {"query": question, "response": "12", **more}, key)
    assert made.status_code == 201, made.text
    return made.json()["ids"][0]


def ask_for(server, key: str, entry: str, method: str = "GET", **headers):
    return server.request(
        method, f"/cache/entries/{entry}", headers={"Authorization": f"Bearer {key}", **headers}
    )


def judge(server, key: str, **body):
    return server.post("/cache/feedback", body, key)


def test_another_user_does_not_reach_it(server):
    alice, bob = token_of("alice"), token_of("bob")
    entry = store(server, alice)
    unknown = "0" * 32
    client = server.key(tenant="acme")
    for key, headers in (
        (bob, {}),
        (client, {}),
        (client, {"X-Cache-Subject": "bob"}),
        (bob, {"X-Cache-Subject": "alice"}),
        (token_of("alice", tenant="other"), {}),
    ):
        for method in ("GET", "DELETE"):
            answer, nothing = (ask_for(server, key, one, method, **headers) for one in (entry, unknown))
            assert answer.status_code == nothing.status_code == 404
            assert answer.json() == nothing.json() and NEITHER in answer.text
    for body in (
        {"entry_id": entry, "correct": False},
        {"entry_id": entry, "correct": True},
    ):
        refused = judge(server, bob, **body)
        assert refused.status_code == 404
        assert refused.json() == judge(server, bob, **{**body, "entry_id": unknown}).json()
    assert ask_for(server, alice, entry).json()["response"] == "12"


def test_nor_by_the_id_of_an_answer(server):
    alice, bob = token_of("alice"), token_of("bob")
    entry = store(server, alice)
    hit = server.post("/cache/lookup", {"query": QUESTION}, alice).json()
    assert hit["hit"]
    refused = judge(server, bob, request_id=hit["request_id"], correct=False)
    assert refused.status_code == 404
    assert refused.json() == judge(server, bob, request_id="req_unknown", correct=False).json()
    missed = server.post("/cache/lookup", {"query": "Which is the longest river of Asia?"}, bob).json()
    for one in (entry, "0" * 32):
        lost = judge(server, bob, request_id=missed["request_id"], missed_entry_id=one)
        assert lost.status_code == 404 and lost.json()["error"]["param"] == "missed_entry_id"
    assert ask_for(server, alice, entry).status_code == 200
    assert judge(server, alice, request_id=hit["request_id"], correct=False).json()["action"] == "removed"
    assert ask_for(server, alice, entry).status_code == 404


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_who_manages_the_tenant_reaches_all_of_it(server, role):
    alice, manager = token_of("alice"), token_of("boss", role)
    entry = store(server, alice)
    assert ask_for(server, manager, entry).status_code == 200
    hit = server.post("/cache/lookup", {"query": QUESTION}, alice).json()
    assert judge(server, manager, request_id=hit["request_id"], correct=False).json()["action"] == "removed"
    entry = store(server, alice)
    assert ask_for(server, manager, entry, "DELETE").status_code == 200
    assert ask_for(server, alice, entry).status_code == 404
    assert ask_for(server, token_of("boss", role, "other"), store(server, alice)).status_code == 404


def test_an_application_reaches_what_it_stored(server):
    """A key names no user, so it speaks for all it asked for; when it names one, for that one."""
    mine, other = server.key(tenant="acme"), server.key(tenant="acme")
    asked = server.request(
        "POST",
        "/cache/entries",
        json={"query": QUESTION, "response": "13"},
        headers={"Authorization": f"Bearer {mine}", "X-Cache-Subject": "carol"},
    )
    entry = asked.json()["ids"][0]
    assert ask_for(server, mine, entry).status_code == 200
    assert ask_for(server, mine, entry, **{"X-Cache-Subject": "dave"}).status_code == 404
    assert ask_for(server, mine, entry, **{"X-Cache-Subject": "carol"}).status_code == 200
    assert ask_for(server, other, entry).status_code == 404
    assert ask_for(server, mine, entry, "DELETE").status_code == 200


def test_what_is_nobodys_is_everybodys(server):
    entry = store(server, token_of("alice"), "What is the capital of Peru?")
    assert ask_for(server, token_of("bob"), entry).status_code == 200


@pytest.mark.parametrize(
    "question",
    [
        "Где мой заказ номер пять?",
        "我的余额是多少",
        "What is m\u0443 credit limit?",
        "What is my\u200b credit limit?",
        "What is\u00a0my\u00a0credit limit?",
        "hvor er min pakke",
        "I\u2019m late, what is the fee?",
    ],
)
def test_what_cannot_be_read_stays_with_its_user(server, standin, question):
    """The same words of two users, none of which the word lists know to be personal."""
    for user in (f"alice-{harness.fresh_key()}", f"bob-{harness.fresh_key()}"):
        assert server.chat(question, key=token_of(user)).headers["x-cache"] == "MISS", user
        assert server.chat(question, key=token_of(user)).headers["x-cache"] == "HIT", user
    assert standin.calls() == 2


def test_native_calls_can_be_found_in_the_log(server):
    answers = [
        ask_for(server, token_of("bob"), "0" * 32),
        server.post("/cache/lookup", {"query": QUESTION}, token_of("alice")),
        server.get_as("/admin/stats", server.admin),
        server.get("/cache/entries"),
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 4 and all(re.fullmatch(r"req_[0-9a-f]{24}", one) for one in ids)
    statuses = [answer.status_code for answer in answers]

    def found():
        lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
        return {line["id"]: line["status"] for line in lines if line.get("event") == "access"}

    harness.wait_until(lambda: set(ids) <= set(found()), 10, "the access log")
    assert [found()[one] for one in ids] == statuses == [404, 200, 200, 401]

"""Two callers with different credentials never share an entry, whatever header carries them; and nothing
that is meant for us reaches the provider."""

import pytest

import harness

QUESTION = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"
CARRIERS = ["Authorization", "x-api-key", "api-key", "x-goog-api-key", "?key=",
            "OpenAI-Organization", "OpenAI-Project"]


def carry(kind: str, value: str) -> tuple[str, dict]:
    """Path and headers of a chat call with this credential."""
    if kind == "?key=":
        return f"/v1/chat/completions?key={value}", {}
    return "/v1/chat/completions", {kind: f"Bearer {value}" if kind == "Authorization" else value}


def ask(server, kind: str, value: str, question: str):
    path, headers = carry(kind, value)
    return server.post(path, {"model": "stand-in-1", "messages": [{"role": "user", "content": question}]},
                       headers=headers)


@pytest.mark.parametrize("kind", CARRIERS)
def test_other_credentials_are_other_tenants(server, standin, kind):
    mine = harness.fresh_key()
    assert ask(server, kind, mine, QUESTION).headers["x-cache"] == "MISS"
    assert ask(server, kind, mine, QUESTION).headers["x-cache-layer"] == "exact"
    assert ask(server, kind, mine, PARAPHRASE).headers["x-cache-layer"] == "semantic"
    for question in (QUESTION, PARAPHRASE):
        response = ask(server, kind, harness.fresh_key(), question)
        assert response.headers["x-cache"] == "MISS", question
    assert standin.calls() == 3


@pytest.mark.parametrize("kind", CARRIERS)
def test_the_same_value_in_another_header_is_another_tenant(server, kind):
    value = harness.fresh_key()
    ask(server, kind, value, QUESTION)
    another = CARRIERS[(CARRIERS.index(kind) + 1) % len(CARRIERS)]
    assert ask(server, another, value, QUESTION).headers["x-cache"] == "MISS"


@pytest.mark.parametrize("name", ["X-Auth-Token", "X-OpenRouter-Key", "X-User-Id", "PRIVATE-TOKEN"])
def test_a_header_nobody_knows_shares_nothing(server, name):
    """It may be a credential, so its value is part of who asks; what is known to be none is not."""
    question = f"What do the anonymous ask? {harness.fresh_key()}"
    assert server.chat(question).headers["x-cache"] == "MISS"
    mine = {name: harness.fresh_key()}
    assert server.chat(question, headers=mine).headers["x-cache"] == "MISS"
    assert server.chat(question, headers=mine).headers["x-cache"] == "HIT"
    assert server.chat(question, headers={name: "another"}).headers["x-cache"] == "MISS"
    neutral = {"X-Request-Id": harness.fresh_key(), "X-Stainless-Lang": "js", "traceparent": "00-1-2-00",
               "Idempotency-Key": harness.fresh_key(), "X-Forwarded-For": "1.2.3.4"}
    assert server.chat(question, headers=neutral).headers["x-cache"] == "HIT"


def test_the_language_is_part_of_the_key(server, key):
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"
    french = {"Accept-Language": "fr"}
    assert server.chat(QUESTION, key=key, headers=french).headers["x-cache"] == "MISS"
    assert server.chat(PARAPHRASE, key=key, headers=french).headers["x-cache-layer"] == "semantic"
    assert server.chat(QUESTION, key=key, headers={"Accept-Language": "*"}).headers["x-cache"] == "HIT"


def test_credentials_combine(server):
    """The tenant is over all carriers: one key in two organisations is two tenants."""
    key = harness.fresh_key()
    for organisation in ("org-a", "org-b"):
        response = server.chat(QUESTION, key=key, headers={"OpenAI-Organization": organisation})
        assert response.headers["x-cache"] == "MISS"
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"
    assert server.chat(
    QUESTION, key=key, headers={
        "OpenAI-Organization": "org-a"}).headers["x-cache"] == "HIT"


def test_anonymous_is_a_tenant_of_its_own(server, standin):
    question = f"What do the anonymous ask? {harness.fresh_key()}"
    assert server.chat(question).headers["x-cache"] == "MISS"
    assert server.chat(question).headers["x-cache"] == "HIT"
    assert server.chat(question, key=harness.fresh_key()).headers["x-cache"] == "MISS"


def test_native_calls_are_under_the_same_tenants(server, standin):
    mine, other = harness.fresh_key(), harness.fresh_key()
    server.post("/cache/entries", {"query": QUESTION, "response": "mine", "model": "stand-in-1"}, mine)
    assert server.chat(QUESTION, key=mine).json()["choices"][0]["message"]["content"] == "mine"
    assert server.chat(QUESTION, key=other).headers["x-cache"] == "MISS"
    lookup = server.post(
        "/cache/lookup", {"query": QUESTION, "model": "stand-in-1"},
        harness.fresh_key()).json()
    assert lookup["hit"] is False and lookup["reason"] == "empty" and "nearest" not in lookup


@pytest.mark.parametrize("call", ["get", "delete", "feedback", "list", "flush", "invalidate", "explain"])
def test_other_tenants_entries_cannot_be_touched(server, call):
    mine, other = harness.fresh_key(), harness.fresh_key()
    entry = server.post("/cache/entries", {"query": QUESTION, "response": "mine", "tags": ["t"]}, mine)
    entry_id = entry.json()["ids"][0]
    headers = {"Authorization": f"Bearer {other}"}
    if call == "get":
        assert server.get(f"/cache/entries/{entry_id}", headers=headers).status_code == 404
    elif call == "delete":
        assert server.request("DELETE", f"/cache/entries/{entry_id}", headers=headers).status_code == 404
    elif call == "feedback":
        answer = server.post("/cache/feedback", {"entry_id": entry_id, "correct": False}, other)
        assert answer.status_code == 404 or answer.json()["action"] == "none"
    elif call == "list":
        assert entry_id not in server.get("/cache/entries", headers=headers).text
    elif call == "flush":
        assert server.post("/cache/flush", {"confirm": "flush"}, other).json()["removed"] == 0
    elif call == "invalidate":
        assert server.post("/cache/invalidate", {"tags": ["t"]}, other).json()["removed"] == 0
    elif call == "explain":
        assert entry_id not in server.post("/cache/explain", {"query": QUESTION}, other).text
    still = server.post("/cache/lookup", {"query": QUESTION}, mine).json()
    assert still["hit"] and still["response"] == "mine"


def test_tenant_cannot_come_from_the_body(server):
    mine, other = harness.fresh_key(), harness.fresh_key()
    server.chat(QUESTION, key=mine)
    for name in ("tenant", "namespace", "user"):
        response = server.chat(QUESTION, key=other, **{name: mine})
        assert response.headers.get("x-cache") != "HIT"


def test_namespaces_separate(server, standin, key):
    server.chat(QUESTION, key=key, headers={"X-Cache-Namespace": "a"})
    assert server.chat(QUESTION, key=key, headers={"X-Cache-Namespace": "a"}).headers["x-cache"] == "HIT"
    assert server.chat(QUESTION, key=key, headers={"X-Cache-Namespace": "b"}).headers["x-cache"] == "MISS"
    assert server.chat(PARAPHRASE, key=key).headers["x-cache"] == "MISS"


def test_our_headers_stay_with_us(server, standin, key):
    ours = {"X-Cache-Namespace": "n", "X-Cache-TTL": "60", "X-Cache-Tags": "a", "X-Cache-Subject": "s",
            "X-Cache-Control": "ttl=60", "X-EGPTC-Key": "egptc_not_for_the_provider"}
    response = server.chat("What does the provider see?", key=key, headers=ours)
    if response.status_code != 200:  # a server without keys of its own may refuse one instead
        ours.pop("X-EGPTC-Key")
        server.chat("What does the provider see?", key=key, headers=ours)
    seen = {name.lower(): value for name, value in standin.requests()[-1]["headers"]}
    assert not [name for name in seen if name.startswith(("x-cache", "x-egptc"))]
    assert "egptc_not_for_the_provider" not in str(seen)
    assert seen["authorization"] == f"Bearer {key}"
    assert "connection" not in seen or "close" not in seen["connection"]


def test_our_keys_are_never_forwarded(server, standin):
    for headers in ({"Authorization": "Bearer egptc_0123456789"}, {"x-api-key": "egptc_0123456789"},
                    {"api-key": "egptc_0123456789"}, {"X-Auth-Token": "egptc_0123456789"},
                    {"X-Other": "k=%65gptc_0123456789"}):
        server.chat("Do you leak keys?", headers=headers)
    for query in ("key=%65gptc_0123456789", "%6bey=egptc_0123456789", "other=egptc_0123456789"):
        server.post(f"/v1/chat/completions?{query}", {"model": "stand-in-1", "messages": [
            {"role": "user", "content": "Do you leak keys?"}]}, key=harness.fresh_key())
        server.get(f"/v1/files?{query}")
    assert all("gptc_0123456789" not in str(request) for request in standin.requests())
    assert all("egptc_0123456789" not in str(request) for request in standin.requests())


def test_callers_credential_goes_to_the_default_upstream_only(start_server, standin, key):
    routes = (f"upstream:\n  base_url: {standin.base_url}\n  routes:\n"
              f"    - {{model: 'other-*', base_url: '{standin.url}/vendor/v1', api_key: sk-vendor}}\n")
    server = start_server({"EGPTC_UPSTREAM__BASE_URL": None}, config=harness.REQUIRED_SECTIONS + routes)
    server.chat("Who am I to you?", key=key)
    server.chat("Who am I to you?", key=key, model="other-1",
                headers={"X-Auth-Token": key, "X-User-Id": key, "X-Forwarded-User": key})
    default, vendor = standin.requests()[-2:]
    assert dict(map(tuple, default["headers"])).get("Authorization", "") == f"Bearer {key}"
    assert vendor["target"].startswith("/vendor/v1/chat/completions")
    assert key not in str(vendor)
    assert "Bearer sk-vendor" in str(vendor["headers"])


PERSONAL = [
    "Give me the recovery phrase I wrote down",
    "What is the code you mailed me?",
    "Which bills do I still owe?",
    "How many sick days are left for me?",
    "Show me the trips I booked",
    "Wie viel Geld habe ich noch?",
]


@pytest.mark.parametrize("question", PERSONAL)
def test_personal_questions_stay_with_their_user(server, key, question):
    """Users of one tenant, told apart by the body's user or by the header; one of them names nobody."""
    model = "stand-in-1"
    for name, by_header in (("", False), ("anna", False), ("bob", False), ("carl", True), ("dora", True)):
        headers = {"X-Cache-Subject": name} if by_header else {}
        body = {"model": model, "messages": [{"role": "user", "content": question}]}
        if name and not by_header:
            body["user"] = name
        first = server.post("/v1/chat/completions", body, key, headers)
        assert first.headers["x-cache"] == "MISS", name
        assert server.post("/v1/chat/completions", body, key, headers).headers["x-cache"] == "HIT", name


def test_what_anybody_might_ask_is_shared_between_users(server, key):
    body = {
        "model": "stand-in-1",
        "messages": [{"role": "user", "content": "How can I remove rust from iron?"}],
    }
    assert server.post("/v1/chat/completions", {**body, "user": "anna"}, key).headers["x-cache"] == "MISS"
    assert server.post("/v1/chat/completions", {**body, "user": "bob"}, key).headers["x-cache"] == "HIT"


def test_a_named_question_is_personal_by_the_words_around_it(server, key):
    """X-Cache-Query names the question; whose it is stands in the text it was taken from."""
    body = {
        "model": "stand-in-1",
        "messages": [{"role": "user", "content": "Please tell me about my salary history"}],
    }
    headers = {"X-Cache-Query": "salary history"}
    for name in ("", "anna", "bob"):
        named = {**body, "user": name} if name else body
        for expected in ("MISS", "HIT"):
            answer = server.post("/v1/chat/completions", named, key, headers)
            assert answer.headers["x-cache"] == expected, name

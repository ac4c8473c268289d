"""The caller's controls: X-Cache-* headers and the names other products gave the same things."""

import json

import pytest

import harness

QUESTION = "How do I change my email address?"
PARAPHRASE = "How can I change my email address?"
NEAR_MISS = "How do I change my postal address?"


def cached(server, key, headers=None, **body):
    """Learns QUESTION first."""
    assert server.chat(QUESTION, key=key, headers=headers, **body).headers["x-cache"] == "MISS"


@pytest.mark.parametrize("headers, body", [
    ({"X-Cache-Control": "no-cache"}, {}),
    ({"X-Cache-Control": "max-age=0"}, {}),
    ({"X-Cache-Control": "No-Cache, ttl=60"}, {}),
    ({}, {"cache": {"no-cache": True}}),
    ({"x-portkey-cache-force-refresh": "true"}, {}),
], ids=str)
def test_refresh(server, standin, key, headers, body):
    cached(server, key)
    fresh = server.chat(QUESTION, key=key, headers=headers, **body)
    assert fresh.status_code == 200 and fresh.headers["x-cache"] in ("REFRESH", "MISS")
    assert standin.calls() == 2
    assert '"cache"' not in standin.requests()[-1]["body"]
    again = server.chat(QUESTION, key=key)
    assert again.headers["x-cache"] == "HIT"
    assert again.json()["choices"] == fresh.json()["choices"]


@pytest.mark.parametrize("headers, body", [
    ({"X-Cache-Control": "no-store"}, {}),
    ({}, {"cache": {"no-store": True}}),
    ({"x-bf-cache-no-store": "true"}, {}),
], ids=str)
def test_no_store(server, standin, key, headers, body):
    server.chat(QUESTION, key=key, headers=headers, **body)
    assert '"cache"' not in standin.requests()[-1]["body"]
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"
    assert standin.calls() == 2


@pytest.mark.parametrize("headers", [
    {"X-Cache-Type": "off"}, {"cf-aig-skip-cache": "true"}, {"Helicone-Cache-Enabled": "false"},
    {"X-Cache-Control": "no-cache, no-store"}], ids=str)
def test_bypass(server, standin, key, headers):
    question = "Which call of yours is this?"
    first = server.chat(question, key=key)
    response = server.chat(question, key=key, headers=headers)
    assert response.headers["x-cache"] in ("BYPASS", "REFRESH") and standin.calls() == 2
    assert response.json()["choices"] != first.json()["choices"]
    again = server.chat(question, key=key)
    assert again.headers["x-cache"] == "HIT" and again.json()["choices"] == first.json()["choices"]


def test_only_if_cached(server, standin, key):
    headers = {"X-Cache-Control": "only-if-cached"}
    missing = server.chat(QUESTION, key=key, headers=headers)
    assert missing.status_code == 504 and missing.json()["error"]["message"]
    assert standin.calls() == 0
    cached(server, key)
    assert server.chat(QUESTION, key=key, headers=headers).headers["x-cache"] == "HIT"


@pytest.mark.parametrize("headers, body", [
    ({"X-Cache-TTL": "1"}, {}), ({"X-Cache-Control": "ttl=1"}, {}), ({}, {"cache": {"ttl": 1}}),
    ({"x-bf-cache-ttl": "1"}, {}), ({"cf-aig-cache-ttl": "1"}, {})], ids=str)
def test_ttl(server, key, headers, body):
    cached(server, key, headers, **body)
    probe = lambda: server.chat(QUESTION, key=key, headers={"X-Cache-Control": "only-if-cached"}).status_code
    assert probe() == 200
    harness.wait_until(lambda: probe() == 504, 5, "expiry")


def test_max_age(server, standin, key):
    cached(server, key)
    assert server.chat(
    QUESTION, key=key, headers={
        "X-Cache-Control": "max-age=60"}).headers["x-cache"] == "HIT"
    litellm = server.chat(QUESTION, key=key, cache={"s-maxage": 60})
    assert litellm.headers["x-cache"] == "HIT"
    assert int(litellm.headers["age"]) <= 60


def test_type_exact(server, standin, key):
    cached(server, key)
    for headers in ({"X-Cache-Type": "exact"}, {"x-bf-cache-type": "direct"}):
        assert server.chat(QUESTION, key=key, headers=headers).headers["x-cache-layer"] == "exact"
    assert server.chat(PARAPHRASE, key=key, headers={"X-Cache-Type": "exact"}).headers["x-cache"] == "MISS"


def test_type_semantic(server, key):
    cached(server, key)
    response = server.chat(PARAPHRASE, key=key, headers={"X-Cache-Type": "semantic"})
    assert (response.headers["x-cache"], response.headers["x-cache-layer"]) == ("HIT", "semantic")


@pytest.mark.parametrize("name", ["X-Cache-Threshold", "x-bf-cache-threshold"])
def test_threshold_may_only_raise(server, key, name):
    cached(server, key)
    assert server.chat(NEAR_MISS, key=key, headers={name: "0.01", "X-Cache-Control": "no-store"}
                       ).headers["x-cache"] == "MISS"
    assert server.chat(PARAPHRASE, key=key, headers={name: "0.01"}).headers["x-cache"] == "HIT"
    strict = server.chat(PARAPHRASE, key=key, headers={name: "0.9999"})
    assert strict.headers["x-cache"] == "MISS"


NAMESPACES = [{"X-Cache-Namespace": "n1"}, {"x-portkey-cache-namespace": "n1"}, {"Helicone-Cache-Seed": "n1"}]


@pytest.mark.parametrize("headers", NAMESPACES, ids=str)
def test_namespaces(server, key, headers):
    cached(server, key, headers)
    name = next(iter(headers))
    assert server.chat(QUESTION, key=key, headers=headers).headers["x-cache"] == "HIT"
    assert server.chat(QUESTION, key=key, headers={name: "n2"}).headers["x-cache"] == "MISS"
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"


@pytest.mark.parametrize("name", ["x-bf-cache-key", "cf-aig-cache-key"])
def test_keys_of_others_separate_too(server, key, name):
    cached(server, key, {name: "one"})
    assert server.chat(QUESTION, key=key, headers={name: "one"}).headers["x-cache"] == "HIT"
    assert server.chat(QUESTION, key=key, headers={name: "two"}).headers["x-cache"] == "MISS"


def test_litellm_namespace(server, standin, key):
    cached(server, key, cache={"namespace": "team"})
    assert server.chat(QUESTION, key=key, cache={"namespace": "team"}).headers["x-cache"] == "HIT"
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"


def test_helicone_enabled_changes_nothing_here(server, key):
    cached(server, key, {"Helicone-Cache-Enabled": "true"})
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "HIT"


def test_tags_and_subject(server, key):
    cached(server, key, {"X-Cache-Tags": "mail, profile", "X-Cache-Subject": "user-9"})
    entry = server.get("/cache/entries", headers={"Authorization": f"Bearer {key}"}).json()["entries"][0]
    assert sorted(entry["tags"]) == ["mail", "profile"] and entry["subject"] == "user-9"
    assert server.post("/cache/invalidate", {"tags": ["profile"]}, key).json()["removed"] == 1
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"


def test_query_inside_a_long_prompt(server, standin, key):
    documents = "Documents:\n" + "The office is open from nine to five. " * 30 + "\nQuestion: "
    ask = lambda question, text: server.chat(text + question, key=key, headers={"X-Cache-Query": question})
    assert ask(QUESTION, documents).headers["x-cache"] == "MISS"
    hit = ask(PARAPHRASE, documents)
    assert (hit.headers["x-cache"], hit.headers["x-cache-layer"]) == ("HIT", "semantic")
    other = documents.replace("nine to five", "ten to six")
    assert ask(PARAPHRASE, other).headers["x-cache"] == "MISS"


def test_plain_cache_control_only_when_configured(server, start_server, standin, key):
    cached(server, key)
    plain = {"Cache-Control": "no-cache"}
    assert server.chat(QUESTION, key=key, headers=plain).headers["x-cache"] == "HIT"
    obeys = start_server({"EGPTC_CACHE__HONOUR_CACHE_CONTROL": "true"})
    cached(obeys, key)
    assert obeys.chat(QUESTION, key=key, headers=plain).headers["x-cache"] in ("REFRESH", "MISS")


WRONG = [{"X-Cache-Threshold": "high"}, {"X-Cache-Threshold": "1.5"}, {"X-Cache-TTL": "soon"},
         {"X-Cache-TTL": "-1"}, {"X-Cache-Control": "max-age=x"}, {"X-Cache-Control": "no-such-directive"},
         {"X-Cache-Type": "fuzzy"}, {"X-Cache-Namespace": "a" * 5000}, {"x-bf-cache-threshold": "x"},
         {"cf-aig-cache-ttl": "x"}]


@pytest.mark.parametrize("headers", WRONG, ids=lambda h: str(h)[:40])
def test_wrong_controls_are_refused_by_name(server, standin, key, headers):
    response = server.chat(QUESTION, key=key, headers=headers)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert next(iter(headers)).lower() in error["message"].lower()
    assert error["type"] == "invalid_request_error"
    assert standin.calls() == 0


@pytest.mark.parametrize("cache", [7, {"ttl": "x"}, {"no-such": True}, {"no-cache": "maybe"}], ids=json.dumps)
def test_wrong_litellm_bodies_are_refused(server, standin, key, cache):
    response = server.chat(QUESTION, key=key, cache=cache)
    assert response.status_code == 400 and "cache" in response.json()["error"]["message"]
    assert standin.calls() == 0


def test_hit_headers(server, standin, key):
    first = server.chat(QUESTION, key=key)
    assert first.headers["x-cache-request-id"] and first.headers["x-request-id"] == "req-1"
    assert first.headers["openai-organization"] == "org-standin"
    hit = server.chat(PARAPHRASE, key=key)
    assert hit.headers["x-cache"] == "HIT" and int(hit.headers["age"]) >= 0
    assert hit.headers["x-cache-request-id"] != first.headers["x-cache-request-id"]
    miss = server.chat(NEAR_MISS, key=key)
    assert miss.headers["x-cache-reason"]
    answer = server.post(
        "/cache/feedback", {"request_id": hit.headers["x-cache-request-id"],
                           "correct": False},
        key).json()
    assert answer["action"] == "removed"
    assert server.chat(PARAPHRASE, key=key).headers["x-cache"] == "MISS"

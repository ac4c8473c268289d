"""The native API: every field of its bodies (docs/architecture.md names the contract), and what each
answers to a wrong one."""

import pytest

import harness

QUESTION = "How long does the guarantee last?"
PARAPHRASE = "How long will the guarantee last?"
HISTORY = [{"role": "user", "content": "I bought the red espresso machine yesterday."},
           {"role": "assistant", "content": "Congratulations on the red espresso machine!"}]


def store(server, key, **body):
    response = server.post("/cache/entries", {"query": QUESTION, "response": "Two years.", **body}, key)
    assert response.status_code == 201, response.text
    return response.json()


def lookup(server, key, **body):
    response = server.post("/cache/lookup", {"query": QUESTION, **body}, key)
    assert response.status_code == 200, response.text
    return response.json()


def test_lookup_of_an_empty_cache(server, key):
    answer = lookup(server, key)
    assert answer.pop("latency_ms") >= 0 and answer.pop("request_id")
    assert answer == {"hit": False, "reason": "empty"}


def test_hit_has_every_field(server, key):
    ids = store(server, key)["ids"]
    answer = lookup(server, key)
    assert answer["hit"] is True and answer["response"] == "Two years."
    assert answer["layer"] == "exact" and answer["entry_id"] == ids[0]
    assert answer["similarity"] == 1 and answer["probability"] == 1
    assert answer["age_seconds"] >= 0 and answer["latency_ms"] >= 0 and answer["request_id"]
    near = lookup(server, key, query=PARAPHRASE)
    assert near["hit"] and near["layer"] == "semantic" and near["response"] == "Two years."
    assert 0.85 <= near["similarity"] < 1 and 0 < near["probability"] <= 1


def test_miss_reports_the_nearest(server, key):
    store(server, key)
    answer = lookup(server, key, query="How long does the insurance last?")
    assert (answer["hit"], answer["reason"]) == (False, "verifier")
    assert 0.65 <= answer["nearest"]["similarity"] < 0.85 and 0 <= answer["nearest"]["probability"] < 0.9
    far = lookup(server, key, query="Which colour has a ripe banana?")
    assert (far["hit"], far["reason"]) == (False, "no_candidate")


@pytest.mark.parametrize("response", [
    "text", "", "ünï → 💡", {"a": [1, 2.5, None, True, "x"]}, [1, 2], 42, -0.5, True, None, {"b": 1, "a": 2}],
    ids=str)
def test_response_is_returned_unchanged(server, key, response):
    store(server, key, response=response)
    assert lookup(server, key)["response"] == response


def test_text_serves_chat_and_other_json_does_not(server, standin, key):
    store(server, key, query="Served as text?", response="Yes.", model="stand-in-1")
    store(server, key, query="Served as an object?", response={"yes": True}, model="stand-in-1")
    text = server.chat("Served as text?", key=key)
    assert text.headers["x-cache"] == "HIT" and text.json()["choices"][0]["message"]["content"] == "Yes."
    assert text.json()["choices"][0]["finish_reason"] == "stop"
    assert server.chat("Served as an object?", key=key).headers["x-cache"] == "MISS"


def test_chat_answers_serve_native_lookups(server, key):
    whole = server.chat(QUESTION, key=key).json()
    answer = lookup(server, key, model="stand-in-1")
    assert answer["hit"] and answer["response"] == whole["choices"][0]["message"]["content"]
    assert answer["completion"]["choices"][0]["message"] == whole["choices"][0]["message"]
    assert answer["completion"]["usage"] == whole["usage"]
    assert lookup(server, key)["hit"] is False  # without a model it is the partition of `default`


def test_storing_the_same_key_replaces(server, key):
    store(server, key, response="old")
    store(server, key, response="new")
    assert lookup(server, key)["response"] == "new"
    entries = server.get("/cache/entries", headers={"Authorization": f"Bearer {key}"}).json()["entries"]
    assert len(entries) == 1


def test_many_entries_at_once(server, key):
    rows = [{"query": f"What does part number {n} cost?", "response": f"{n} euros"} for n in range(50)]
    response = server.post("/cache/entries", {"entries": rows}, key)
    assert response.status_code == 201
    assert len(set(response.json()["ids"])) == 50 and response.json()["semantic"] == [True] * 50
    for row in rows[::7]:
        assert lookup(server, key, query=row["query"])["response"] == row["response"]


def test_semantic_flag_tells_exact_only_entries(server, key):
    long = "word " * 2000
    assert store(server, key, query=long)["semantic"] == [False]
    assert lookup(server, key, query=long)["layer"] == "exact"
    assert store(server, key, query="?!")["semantic"] == [False]
    assert lookup(server, key, query="...")["hit"] is False


def test_context_separates(server, key):
    store(server, key, context=HISTORY, response="The espresso machine: two years.")
    assert lookup(server, key)["hit"] is False
    assert lookup(server, key, context=HISTORY)["hit"] is True
    other = [{"role": "user", "content": "I rented a flat in Lisbon last week."},
             {"role": "assistant", "content": "How nice, a flat in Lisbon."}]
    answer = lookup(server, key, context=other, query=PARAPHRASE)
    assert (answer["hit"], answer["reason"]) == (False, "context")
    assert lookup(server, key, context=HISTORY, query=PARAPHRASE)["layer"] == "semantic"
    swapped = [{"role": turn["role"], "content": turn["content"].replace(
        "red", "3-year-old")} for turn in HISTORY]
    assert lookup(server, key, context=swapped, query=PARAPHRASE)["hit"] is False


def test_namespace_and_model_separate(server, key):
    store(server, key, namespace="shop", model="m1")
    assert lookup(server, key)["hit"] is False
    assert lookup(server, key, namespace="shop")["hit"] is False
    assert lookup(server, key, namespace="shop", model="m1")["hit"] is True


def test_threshold_may_only_raise(server, key):
    store(server, key)
    assert lookup(server, key, query=PARAPHRASE, threshold=0.999)["reason"] == "below_threshold"
    assert lookup(server, key, query=PARAPHRASE, threshold=0.1)["hit"] is True
    assert lookup(server, key, query="How long does the insurance last?", threshold=0)["hit"] is False


def test_ttl(server, key):
    store(server, key, ttl_seconds=1)
    assert lookup(server, key)["hit"] is True
    harness.wait_until(lambda: not lookup(server, key)["hit"], 5, "expiry")
    assert lookup(server, key, query=PARAPHRASE)["hit"] is False


def test_get_list_and_delete(server, key):
    headers = {"Authorization": f"Bearer {key}"}
    entry_id = store(server, key, tags=["faq"], subject="user-7")["ids"][0]
    one = server.get(f"/cache/entries/{entry_id}", headers=headers).json()
    assert one["query"] == QUESTION and one["response"] == "Two years."
    assert one["tags"] == ["faq"] and one["subject"] == "user-7"
    listed = server.get("/cache/entries", headers=headers).json()["entries"]
    assert [row["id"] for row in listed] == [entry_id]
    assert server.request("DELETE", f"/cache/entries/{entry_id}", headers=headers).status_code in (200, 204)
    assert server.get(f"/cache/entries/{entry_id}", headers=headers).status_code == 404
    assert lookup(server, key)["hit"] is False and lookup(server, key, query=PARAPHRASE)["hit"] is False


def test_invalidate_by_tag_and_filter(server, key):
    store(server, key, query="first one", tags=["a"])
    store(server, key, query="second one", tags=["a", "b"])
    store(server, key, query="third one", tags=["c"], namespace="n")
    dry = server.post("/cache/invalidate", {"tags": ["a"], "dry_run": True}, key)
    assert dry.status_code == 200 and lookup(server, key, query="first one")["hit"]
    done = server.post("/cache/invalidate", {"tags": ["b"]}, key).json()
    assert done["removed"] == 1 and not lookup(server, key, query="second one")["hit"]
    assert lookup(server, key, query="first one")["hit"]
    assert server.post("/cache/invalidate", {"namespace": "n"}, key).json()["removed"] == 1
    assert server.post("/cache/invalidate", {}, key).status_code == 400


def test_flush(server, key):
    store(server, key, namespace="a")
    store(server, key, namespace="b")
    assert server.post("/cache/flush", {"namespace": "a"}, key).status_code == 400
    assert server.post("/cache/flush", {"confirm": "yes"}, key).status_code == 400
    assert server.post("/cache/flush", {"namespace": "a", "confirm": "flush"}, key).json() == {"removed": 1}
    assert lookup(server, key, namespace="b")["hit"] and not lookup(server, key, namespace="a")["hit"]
    assert server.post("/cache/flush", {"confirm": "flush"}, key).json() == {"removed": 1}


def test_feedback_teaches_tau(server, key):
    store(server, key)
    hit = lookup(server, key, query=PARAPHRASE)
    right = server.post("/cache/feedback", {"request_id": hit["request_id"], "correct": True}, key).json()
    assert right["action"] == "confirmed" and 0.84 < right["tau"] < 0.85
    by_entry = {"entry_id": hit["entry_id"], "query": PARAPHRASE}
    again = server.post("/cache/feedback", {**by_entry, "correct": True}, key).json()
    assert again == {"tau": right["tau"], "action": "none"}, "the only hit is judged already"
    assert lookup(server, key, query=PARAPHRASE)["hit"]
    wrong = server.post("/cache/feedback", {**by_entry, "correct": False}, key).json()
    assert wrong["action"] == "removed" and wrong["tau"] == pytest.approx(right["tau"] + 0.01)
    assert lookup(server, key, query=PARAPHRASE)["hit"] is False
    store(server, key)
    lost = lookup(server, key, query="How long does the insurance last?")
    entry_id = lookup(server, key)["entry_id"]
    answer = server.post(
        "/cache/feedback", {"request_id": lost["request_id"],
                           "missed_entry_id": entry_id},
        key)
    assert answer.json()["action"] == "recorded_lost_hit"
    assert answer.json()["tau"] == pytest.approx(wrong["tau"] - 0.01)
    other = server.post("/cache/feedback", {"request_id": hit["request_id"], "correct": True},
                        harness.fresh_key())
    assert other.status_code == 404 or other.json()["action"] == "none"


def test_explain(server, key):
    ids = store(server, key)["ids"]
    store(server, key, query="How long does the insurance last?", response="Two hours.")
    body = server.post("/cache/explain", {"query": PARAPHRASE}, key).json()
    served = [one for one in body["candidates"] if one["served"]]
    assert [one["entry_id"] for one in served] == ids
    assert body["tau"] == pytest.approx(0.85) and body["tau_source"] in ("initial", "user", "global")
    assert body["decision"]["hit"] is True
    assert all({"similarity", "probability", "checks"} <= set(one) for one in body["candidates"])
    assert body["candidates"][0]["similarity"] >= body["candidates"][-1]["similarity"]
    before = server.metrics()
    server.post("/cache/explain", {"query": PARAPHRASE}, key)
    hits = [name for name in before if name.startswith("cache_hits_total")]
    after = server.metrics()
    assert all(after[name] == before[name] for name in hits)


WRONG = [
    ("/cache/lookup", {}, "query"),
    ("/cache/lookup", {"query": 7}, "query"),
    ("/cache/lookup", {"query": "q", "colour": 1}, "colour"),
    ("/cache/lookup", {"query": "q", "threshold": "high"}, "threshold"),
    ("/cache/lookup", {"query": "q", "threshold": 1.5}, "threshold"),
    ("/cache/lookup", {"query": "q", "context": "before"}, "context"),
    ("/cache/lookup", {"query": "q", "context": [{"role": "user"}]}, "content"),
    ("/cache/lookup", {"query": "q", "context": [{"role": "user", "content": "c", "x": 1}]}, "x"),
    ("/cache/lookup", {"query": "q", "namespace": 3}, "namespace"),
    ("/cache/lookup", {"query": "q", "model": []}, "model"),
    ("/cache/entries", {"query": "q"}, "response"),
    ("/cache/entries", {"response": "r"}, "query"),
    ("/cache/entries", {"query": "q", "response": "r", "ttl_seconds": -1}, "ttl_seconds"),
    ("/cache/entries", {"query": "q", "response": "r", "ttl_seconds": "1h"}, "ttl_seconds"),
    ("/cache/entries", {"query": "q", "response": "r", "tags": "a"}, "tags"),
    ("/cache/entries", {"query": "q", "response": "r", "tags": [1]}, "tags"),
    ("/cache/entries", {"entries": []}, "entries"),
    ("/cache/entries", {"entries": [{"query": "q"}]}, "response"),
    ("/cache/feedback", {}, "request_id"),
    ("/cache/feedback", {"request_id": "r"}, "correct"),
    ("/cache/feedback", {"entry_id": "e", "correct": "yes"}, "correct"),
    ("/cache/invalidate", {"tag": "a"}, "tag"),
    ("/cache/explain", {"query": "q", "question": "q"}, "question"),
    ("/cache/flush", {}, "confirm"),
]


@pytest.mark.parametrize("path, body, named", WRONG, ids=lambda value: str(value)[:40])
def test_wrong_bodies_are_named(server, key, path, body, named):
    response = server.post(path, body, key)
    assert response.status_code == 400, response.text
    assert named in response.json()["error"]["message"]


def test_empty_query_is_ineligible(server, key):
    answer = lookup(server, key, query="")
    assert (answer["hit"], answer["reason"]) == (False, "ineligible")


def test_wrong_methods_and_paths(server):
    response = server.get("/cache/lookup")
    assert response.status_code == 405 and "POST" in response.headers["allow"]
    assert server.get("/cache/nowhere").status_code == 404
    assert server.get("/cache/entries/no-such-entry").status_code == 404


@pytest.mark.parametrize("name", ["key", "api_key", "api-key", "access_token", "subscription-key"])
def test_a_listing_takes_every_credential_parameter(server, name):
    assert server.get(f"/cache/entries?{name}=sk-1&limit=5").status_code == 200

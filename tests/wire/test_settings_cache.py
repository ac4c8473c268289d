"""Every key of cache, context, pca, federated and partition changes what it says it changes."""

import shutil

import pytest

import harness
from settings_walk import changes, claim, setting

VERIFIER = harness.ROOT / "verifier" / "default"
VERIFIER_FILES = ("decision.json", "pair_encoder.safetensors", "SHA256SUMS")
QUESTION = "How do I change my email address?"
PARAPHRASE = "How can I change my email address?"      # similarity 0.99
LOOSE_QUESTION = "How long does it take to boil an egg?"
LOOSE = "How long should an egg be boiled?"             # similarity 0.90
FAR_QUESTION = "How long does the guarantee last?"
FAR = "How long does the insurance last?"               # similarity 0.70


def store(server, key, query=QUESTION, response="stored", **more):
    done = server.post("/cache/entries", {"query": query, "response": response, **more}, key)
    assert done.status_code == 201, done.text
    return done.json()["ids"][0]


def lookup(server, key, query=PARAPHRASE, **more) -> dict:
    return server.post("/cache/lookup", {"query": query, **more}, key).json()


@changes("cache.similarity_threshold", "cache.decision")
def test_threshold_and_decision(server, key):
    store(server, key, LOOSE_QUESTION)
    with setting(server, cache__decision="static"):
        assert lookup(server, key, LOOSE)["hit"] is True
    with setting(server, cache__decision="static", cache__similarity_threshold=0.97):
        assert lookup(server, key, LOOSE)["reason"] == "no_candidate"
    with setting(server, cache__decision="adaptive", federated__initial_tau=0.95):
        assert lookup(server, key, LOOSE)["reason"] == "below_threshold"


@changes("cache.guards_off")
def test_guards_off(server, key):
    store(server, key, "How do I restart the printer in room 4?")
    other = "How do I restart the printer in room 5?"
    assert lookup(server, key, other)["reason"] == "guard:numbers"
    with setting(server, cache__guards_off=["numbers"], cache__decision="static"):
        assert lookup(server, key, other)["hit"] is True
    done = server.request("PUT", "/admin/config", json={"cache.guards_off": ["nmbers"]})
    assert done.status_code == 400 and "cache.guards_off" in done.text and "numbers" in done.text


@changes("cache.size_mb")
def test_size(start_server, key):
    server = start_server({"EGPTC_CACHE__SIZE_MB": None})
    for start in range(0, 240, 60):
        rows = [{"query": f"Large {n}", "response": "x" * 50_000} for n in range(start, start + 60)]
        server.post("/cache/entries", {"entries": rows}, key)
    held = server.metrics()["cache_bytes"]
    with setting(server, cache__size_mb=4):
        assert server.metrics()["cache_bytes"] <= 4 << 20 < held
        assert sum(v for n, v in server.metrics().items() if n.startswith("cache_evictions_total")) > 0
        assert lookup(server, key, "Large 0")["hit"] is False
        assert lookup(server, key, "Large 239")["hit"] is True


@pytest.mark.parametrize("value", ["lfu", "random"])
@changes("cache.eviction_policy")
def test_eviction_policy(server, key, value):
    """lru is what there is: the others are refused by name. That it is lru is shown by test_lru."""
    done = server.request("PUT", "/admin/config", json={"cache.eviction_policy": value})
    assert done.status_code == 400 and "cache.eviction_policy" in done.text and "lru" in done.text


def test_lru(start_server, key):
    server = start_server()
    for n in range(60):
        store(server, key, f"Part {n}", "x" * 50_000)
        lookup(server, key, "Part 0")
    with setting(server, cache__size_mb=2):
        assert lookup(server, key, "Part 0")["hit"] is True
        assert lookup(server, key, "Part 1")["hit"] is False


@changes("cache.verifier", "cache.verifier_dir")
def test_verifier(start_server, tmp_path, key):
    """The artifact decides; switched off the policy gives way, and missing or damaged, in any of its files,
    only exact hits are served. What there is not is refused by name."""
    policy = lambda server: server.post("/cache/explain", {"query": QUESTION}, key).json()["policy"]
    server = start_server()
    assert policy(server) == "verified"
    assert server.get("/health").json()["checks"]["components"]["verifier"]["detail"] == "default"
    refused = server.request("PUT", "/admin/config", json={"cache.verifier": "best"})
    assert refused.status_code == 400 and "cache.verifier" in refused.text
    free = start_server({"EGPTC_CACHE__VERIFIER": "permissive"}).get("/health").json()
    assert free["checks"]["components"]["verifier"]["detail"] == "permissive"
    assert policy(start_server({"EGPTC_CACHE__VERIFIER": "off"})) == "adaptive"
    for damaged in ("", *VERIFIER_FILES):
        folder = tmp_path / (damaged or "missing") / "default"
        if damaged:
            shutil.copytree(VERIFIER, folder)
            content = (folder / damaged).read_bytes()
            (folder / damaged).write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
        server = start_server({"EGPTC_CACHE__VERIFIER_DIR": str(folder.parent)})
        assert policy(server) == "verified" and store(server, key)
        assert lookup(server, key, QUESTION)["layer"] == "exact"
        assert lookup(server, key)["detail"] == "verifier_unavailable", damaged
        told = server.get("/health").json()["checks"]["components"]["verifier"]
        assert told["status"] == "warning" and str(folder) in told["detail"], damaged
        assert server.log().count("only exact hits are served") == 1
        assert server.metrics()["cache_verifier_unavailable_total"] >= 1


@changes("cache.mode")
def test_mode(server, key):
    store(server, key)
    with setting(server, cache__mode="shadow"):
        answer = lookup(server, key)
        assert (answer["hit"], answer["reason"]) == (
            False, "shadow") and answer["nearest"]["similarity"] > 0.9
        assert lookup(server, key, QUESTION)["reason"] == "shadow"
    assert lookup(server, key)["hit"] is True


@changes("cache.serve_percent")
def test_serve_percent(server, key):
    for number in range(40):
        store(server, key, f"Where is building {number} of the old university?")
    ask = lambda: [lookup(server, key, f"Where's building {number} of the old university?")
                   for number in range(40)]
    full = sum(answer["hit"] for answer in ask())
    with setting(server, cache__serve_percent=0):
        assert not any(answer["hit"] for answer in ask())
    with setting(server, cache__serve_percent=50):
        assert 0 < sum(answer["hit"] for answer in ask()) < full


@changes("cache.target_error_rate", "federated.learning_rate", "federated.initial_tau")
def test_tau_steps(server, key):
    """A confirmed hit takes away learning_rate x delta / (1 - delta); a false one adds learning_rate."""
    steps = {"federated__initial_tau": 0.8, "federated__learning_rate": 0.04,
             "cache__target_error_rate": 0.04, "cache__decision": "adaptive"}
    with setting(server, **steps):
        entry_id = store(server, key)
        hit = lookup(server, key)
        taught = server.post(
            "/cache/feedback", {"request_id": hit["request_id"],
                               "correct": True},
            key).json()
        step = 0.04 * 0.04 / 0.96
        assert taught["tau"] == pytest.approx(0.8 - step)
        assert lookup(server, key)["entry_id"] == entry_id
        taught = server.post("/cache/feedback", {"entry_id": entry_id, "correct": False}, key).json()
        assert taught["tau"] == pytest.approx(0.8 - step + 0.04)


@changes("cache.time_bound_ttl_seconds")
def test_time_bound_prompts_expire(server, key):
    """What is asked about today has no answer for tomorrow."""
    headers = {"Authorization": f"Bearer {key}"}
    expires = lambda query: server.get(f"/cache/entries/{store(server, key, query)}", headers=headers).json()
    with setting(server, cache__time_bound_ttl_seconds=100, cache__ttl_jitter_percent=0):
        assert lifetime(expires("What is the weather in Berlin today?")) == pytest.approx(100, abs=5)
        assert not expires("What is the capital of Peru?").get("expires_ms")
    with setting(server, cache__time_bound_ttl_seconds=0):
        assert not expires("What is the weather in Oslo today?").get("expires_ms")


@changes("cache.ttl_seconds", "cache.ttl_jitter_percent")
def test_ttl(server, key):
    with setting(server, cache__ttl_seconds=1, cache__ttl_jitter_percent=0):
        store(server, key)
        assert lookup(server, key)["hit"] is True
        harness.wait_until(lambda: not lookup(server, key)["hit"], 5, "expiry")
    headers = {"Authorization": f"Bearer {key}"}
    lifetimes = {}
    for jitter in (0, 50):
        with setting(server, cache__ttl_seconds=1000, cache__ttl_jitter_percent=jitter):
            rows = [{"query": f"jitter {jitter} number {n}", "response": "x"} for n in range(20)]
            ids = server.post("/cache/entries", {"entries": rows}, key).json()["ids"]
        entries = [server.get(f"/cache/entries/{one}", headers=headers).json() for one in ids]
        lifetimes[jitter] = {lifetime(entry) for entry in entries}
    assert all(abs(seconds - 1000) < 5 for seconds in lifetimes[0])
    assert max(lifetimes[50]) - min(lifetimes[50]) > 100
    assert all(500 <= seconds <= 1500 for seconds in lifetimes[50])


def lifetime(entry: dict) -> float:
    """Seconds between the two times an entry shows, whatever their unit is."""
    if "expires_in_seconds" in entry:
        return entry["expires_in_seconds"]
    return (entry["expires_ms"] - entry["created_ms"]) / 1000


@changes("cache.entry_kb_max")
def test_entry_size(server, standin, key):
    standin.rule("long answer", answer="word " * 1000)
    with setting(server, cache__entry_kb_max=2):
        for _ in range(2):
            response = server.chat("A long answer, please", key=key)
            assert response.status_code == 200 and response.headers["x-cache"] == "MISS"
        done = server.post("/cache/entries", {"query": "q", "response": "x" * 5000}, key)
        assert done.status_code in (400, 413)
    server.chat("A long answer, please", key=key)
    assert server.chat("A long answer, please", key=key).headers["x-cache"] == "HIT"


@changes("cache.partitions_max")
def test_partitions(start_server, key):
    server = start_server()
    with setting(server, cache__partitions_max=4):
        for number in range(20):
            store(server, key, namespace=f"n{number}")
        assert server.metrics()["cache_partitions"] <= 4
        assert lookup(server, key, namespace="n0")["hit"] is False
        assert lookup(server, key, namespace="n19")["hit"] is True


@changes("cache.temperature_max")
def test_temperature(server, key):
    with setting(server, cache__temperature_max=0.5):
        assert server.chat(QUESTION, key=key, temperature=0.8).headers["x-cache"] == "BYPASS"
    assert server.chat(QUESTION, key=key, temperature=0.8).headers["x-cache"] == "MISS"


@changes("cache.candidates")
def test_candidates(server, key):
    for number in range(12):
        store(server, key, f"Where is room {number}?")
    for wanted in (2, 6):
        with setting(server, cache__candidates=wanted):
            shown = server.post("/cache/explain", {"query": "Where is a room?"}, key).json()["candidates"]
            assert len(shown) == wanted


@changes("cache.unknown_token_percent_max")
def test_unknown_tokens(server, key):
    text = "What does 🛸 mean?"
    assert store_semantic(server, key, text) is False
    with setting(server, cache__unknown_token_percent_max=60):
        assert store_semantic(server, key, text + "?") is True


def store_semantic(server, key, text) -> bool:
    return server.post("/cache/entries", {"query": text, "response": "r"}, key).json()["semantic"][0]


@changes("cache.honour_cache_control")
def test_plain_cache_control(server, standin, key):
    server.chat(QUESTION, key=key)
    assert server.chat(QUESTION, key=key, headers={"Cache-Control": "no-cache"}).headers["x-cache"] == "HIT"
    with setting(server, cache__honour_cache_control=True):
        response = server.chat(QUESTION, key=key, headers={"Cache-Control": "no-cache"})
        assert response.headers["x-cache"] in ("REFRESH", "MISS")


@changes("cache.learn")
def test_learn(server, standin, key):
    with setting(server, cache__learn=False):
        for _ in range(2):
            assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"
        store(server, key, model="stand-in-1")
        assert server.chat(QUESTION, key=key).headers["x-cache"] == "HIT"


claim("cache.single_flight_finish", "test_single_flight.test_finish_for_learning_when_set")

HISTORY = [{"role": "user", "content": "I bought the red espresso machine."},
           {"role": "assistant", "content": "Congratulations on the red espresso machine!"}]
SIMILAR = [{"role": "user", "content": "I have bought the red espresso machine."},
           {"role": "assistant", "content": "Congratulations on your red espresso machine!"}]


@changes("context.enabled", "context.divergence_threshold")
def test_context(server, key):
    store(server, key, context=HISTORY)
    assert lookup(server, key, context=SIMILAR)["hit"] is True
    with setting(server, context__divergence_threshold=0.0001):
        assert lookup(server, key, context=SIMILAR)["reason"] == "context"
    with setting(server, context__enabled=False):
        assert lookup(server, key, context=SIMILAR)["reason"] == "context"
        assert lookup(server, key, context=HISTORY)["hit"] is True


@changes("context.window_size")
def test_context_window(server, key):
    """Two conversations that differ before their last two turns only, and there in small talk only."""
    nod = [{"role": "user", "content": "ok"}, {"role": "assistant", "content": "yes"}]
    ask = [{"role": "user", "content": "Could you help me?"},
           {"role": "assistant", "content": "What can I do for you?"}]
    with setting(server, context__window_size=2):
        store(server, key, context=[*nod, *HISTORY])
        assert lookup(server, key, context=[*ask, *HISTORY])["hit"] is True
    with setting(server, context__window_size=4):
        store(server, key, context=[*nod, *HISTORY])
        assert lookup(server, key, context=[*ask, *HISTORY])["hit"] is False


@changes("context.embedding_model")
def test_embedding_model_name(start_server, key):
    server = start_server({"EGPTC_CONTEXT__EMBEDDING_MODEL": "our-team/little-encoder"})
    for name in ("little-encoder", "our-team/little-encoder"):
        body = server.post("/v1/embeddings", {"model": name, "input": "x"}, key).json()
        assert len(body["data"][0]["embedding"]) == 384


def pca_state(server) -> str:
    return str(server.get("/health").json()["checks"]["components"]["pca_wrapper"])


def fill(server, key, count: int) -> None:
    words = ("river", "cloud", "engine", "novel", "bridge", "garden", "planet", "violin", "market", "desert")
    rows = [{"query": f"What is a {words[n % 10]} made of in the year {1900 + n}?", "response": str(n)}
            for n in range(count)]
    server.post("/cache/entries", {"entries": rows}, key)
    server.post("/cache/lookup", {"query": "Is anything fitted now?"}, key)


@pytest.mark.parametrize("name, value, active", [
    ("TRAINING_SAMPLES", 30, True), ("TRAINING_SAMPLES", 100_000, False),
    ("COMPRESSION_THRESHOLD", 1_000_000, False), ("ENABLED", "false", False)])
@changes("pca.training_samples", "pca.compression_threshold", "pca.enabled")
def test_pca_activation(start_server, key, name, value, active):
    settings = {"EGPTC_PCA__TRAINING_SAMPLES": 30, "EGPTC_PCA__COMPRESSION_THRESHOLD": 20}
    server = start_server({**settings, f"EGPTC_PCA__{name}": value})
    fill(server, key, 80)
    if active:
        harness.wait_until(lambda: "not active" not in pca_state(server), 10, "an active PCA")
    else:
        assert "not active" in pca_state(server)


@changes("pca.model_path", "pca.target_dimensions")
def test_pca_file(start_server, tmp_path, key):
    sizes = {}
    for dimensions in (8, 64):
        path = tmp_path / f"components-{dimensions}.bin"
        server = start_server({"EGPTC_PCA__TRAINING_SAMPLES": 100, "EGPTC_PCA__COMPRESSION_THRESHOLD": 20,
                               "EGPTC_PCA__MODEL_PATH": path, "EGPTC_PCA__TARGET_DIMENSIONS": dimensions})
        fill(server, key, 150)
        harness.wait_until(lambda: path.exists() or "not active" not in pca_state(server), 10, "a fit")
        assert server.stop() == 0
        sizes[dimensions] = path.stat().st_size
    assert sizes[8] < sizes[64]


@changes("federated.enabled")
def test_federated(server, key):
    store(server, key, FAR_QUESTION)
    assert lookup(server, key, LOOSE)["hit"] is False
    with setting(server, federated__enabled=False):
        explained = server.post("/cache/explain", {"query": FAR}, key).json()
        assert explained["tau_source"] == "off"


@changes("federated.aggregation_frequency", "federated.num_users")
def test_aggregation(start_server):
    """Ten users with ten taus. The global tau, which new users start from, moves only when
    aggregation_frequency updates are in; over all ten it is the same each time, over one it is that one's."""

    def tau_of_a_new_user(frequency: int, users: int) -> float:
        server = start_server({"EGPTC_CACHE__TARGET_ERROR_RATE": 0.05, "EGPTC_CACHE__DECISION": "adaptive"})
        with setting(server, federated__aggregation_frequency=frequency, federated__num_users=users):
            key = harness.fresh_key()
            for number in (one for one in range(10) for _ in range(one + 1)):
                user = {"X-Cache-Subject": f"user {number} of {key}"}
                server.post("/cache/entries", {"query": QUESTION, "response": "a"}, key, user)
                hit = server.post("/cache/lookup", {"query": PARAPHRASE}, key, user).json()
                right = {"request_id": hit["request_id"], "correct": True}
                assert server.post("/cache/feedback", right, key, user).json()["action"] == "confirmed"
            new = {"X-Cache-Subject": "a new one"}
            other = server.post("/cache/explain", {"query": PARAPHRASE}, harness.fresh_key(), new).json()
            assert (other["tau"], other["tau_source"]) == (0.85, "initial"), "another tenant's users"
            return server.post("/cache/explain", {"query": PARAPHRASE}, key, new).json()["tau"]

    assert tau_of_a_new_user(1000, 10) == pytest.approx(0.85)
    of_all = [tau_of_a_new_user(55, 10) for _ in range(2)]
    assert 0.845 < of_all[0] < 0.849 and of_all[0] == pytest.approx(of_all[1])
    assert len({round(tau_of_a_new_user(55, 1), 6) for _ in range(6)}) > 1


@changes("partition.system")
def test_partition_system(server, standin, key):
    done = server.request("PUT", "/admin/config", json={"partition.system": "template"})
    assert done.status_code == 400 and "partition.system" in done.text
    ask = lambda system, question: server.post("/v1/chat/completions", {"model": "stand-in-1", "messages": [
        {"role": "system", "content": system}, {"role": "user", "content": question}]}, key)
    ask("Be brief.", QUESTION)
    assert ask("Be brief.", PARAPHRASE).headers["x-cache-layer"] == "semantic"
    assert ask("Be long.", PARAPHRASE).headers["x-cache"] == "MISS"


@changes("partition.user_scope")
def test_user_scope(server, key):
    ask = lambda question, user: server.chat(question, key=key, user=user).headers["x-cache"]
    with setting(server, partition__user_scope=True):
        assert ask(QUESTION, "anna") == "MISS"
        assert ask(PARAPHRASE, "ben") == "MISS"
        assert ask("How could I change my email address?", "anna") == "HIT"
    assert ask("Where is the harbour of Oslo?", "anna") == "MISS"
    assert ask("Where's the harbour of Oslo?", "ben") == "HIT"

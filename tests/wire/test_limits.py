"""Rates, places, inserts and probes: what one key, user or address may do."""

import concurrent.futures
import json

import pytest

import harness
import rawhttp
import secure
import tokens
from settings_walk import changes, setting

QUESTION = "How often may I ask this?"
OFF = {
    "limits__requests_per_second_key": 0,
    "limits__requests_per_second_user": 0,
    "limits__requests_per_second_ip": 0,
    "limits__concurrent_key": 0,
    "limits__concurrent_user": 0,
    "limits__concurrent_ip": 0,
    "limits__inserts_per_second_key": 0,
    "limits__probes_per_minute": 0,
}


@pytest.fixture(scope="module")
def module_server(standin_process, tmp_path_factory):
    one = secure.start(
        tmp_path_factory.mktemp("limits"),
        standin_process.base_url,
        **{
            "EGPTC_SECURITY__JWT_ISSUER": tokens.ISSUER,
            "EGPTC_SECURITY__JWT_AUDIENCE": tokens.AUDIENCE,
            "EGPTC_SECURITY__JWT_SECRET": tokens.SECRET,
        },
    )
    yield one
    assert one.stop() == 0, one.log()[-3000:]


@pytest.fixture
def server(module_server, standin):
    yield module_server
    harness.wait_until(lambda: module_server.configure(**OFF).status_code == 200, 20, "limits off again")


def limit(server, **values):
    done = server.configure(**values)
    assert done.status_code == 200, done.text


def statuses(ask, count: int) -> list[int]:
    return [ask().status_code for _ in range(count)]


@changes("limits.requests_per_second_key", "limits.burst_seconds")
def test_rate_of_a_key(server):
    mine, other = server.key(), server.key()
    refusals = prometheus(server)['limit_refusals_total{what="key"}']
    limit(server, limits__requests_per_second_key=0.5, limits__burst_seconds=6)
    seen = statuses(lambda: server.chat(QUESTION, key=mine), 5)
    assert seen[:3] == [200] * 3 and seen[3:] == [429] * 2
    assert prometheus(server)['limit_refusals_total{what="key"}'] == refusals + 2
    refused = server.chat(QUESTION, key=mine)
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert refused.headers["ratelimit-limit"] == "3" and refused.headers["ratelimit-remaining"] == "0"
    assert refused.headers["ratelimit-reset"] == refused.headers["retry-after"]
    error = secure.error_of(refused)
    assert error["type"] == "rate_limit_error" and error["code"] == "rate_limit_exceeded"
    assert server.chat(QUESTION, key=other).status_code == 200
    assert server.get("/health").status_code == 200
    assert (
        server.post("/cache/lookup", {"query": QUESTION}, mine).status_code == 429
    ), "one bucket for all paths"
    messages = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    assert server.post("/v1/messages", messages, mine).json()["type"] == "error"
    harness.wait_until(lambda: server.chat(QUESTION, key=mine).status_code == 200, 10, "a token flows back")


@changes("limits.requests_per_second_user")
def test_rate_of_a_user(server):
    tenant = harness.fresh_key()

    def token(subject: str) -> str:
        return tokens.hs256(tokens.claims(tenant=tenant, sub=subject), tokens.SECRET)

    limit(server, limits__requests_per_second_user=0.1, limits__burst_seconds=20)
    seen = [server.chat(QUESTION, key=token("alice")).status_code for _ in range(4)]
    assert seen == [200, 200, 429, 429]
    assert server.chat(QUESTION, key=token("bob")).status_code == 200


@changes("limits.requests_per_second_ip")
def test_rate_of_an_address(server):
    key = server.key()
    limit(
        server,
        limits__requests_per_second_ip=0.5,
        limits__burst_seconds=10,
        security__trusted_proxies=["127.0.0.1"],
    )

    def ask(address: str, credential: str = key) -> int:
        return server.chat(QUESTION, key=credential, headers={"X-Forwarded-For": address}).status_code

    assert [ask("192.0.2.1") for _ in range(7)] == [200] * 5 + [429] * 2
    assert ask("192.0.2.2") == 200
    assert [ask("2001:db8:1:2::1"), *(ask(f"2001:db8:1:2:{n}::9") for n in range(6))] == [200] * 5 + [
        429
    ] * 2
    # Wrong keys cost the address, too, before they are looked at.
    assert [ask("192.0.2.3", "egptc_wrong") for _ in range(7)] == [401] * 5 + [429] * 2
    harness.wait_until(lambda: server.configure(security__trusted_proxies=[], **OFF).status_code == 200, 20)


@changes("limits.concurrent_key", "limits.concurrent_user", "limits.concurrent_ip")
@pytest.mark.parametrize("dimension", ["key", "user", "ip"])
def test_places(server, standin, dimension):
    credential = server.key()
    if dimension == "user":
        credential = tokens.hs256(tokens.claims(), tokens.SECRET)
    standin.rule("Kept busy", gate=f"busy-{dimension}")
    others = 1 if dimension == "ip" else 0  # the call that changes the settings has the same address
    limit(server, **{f"limits__concurrent_{dimension}": 2 + others})
    with concurrent.futures.ThreadPoolExecutor(2 + others) as pool:
        running = [pool.submit(server.chat, f"Kept busy {n}?", credential) for n in range(2 + others)]
        harness.wait_until(lambda: standin.calls() >= 2 + others, 10, "the calls")
        refused = server.chat(QUESTION, key=credential)
        assert refused.status_code == 429 and "running" in refused.text
        standin.open(f"busy-{dimension}")
        assert [one.result().status_code for one in running] == [200] * (2 + others)
    harness.wait_until(lambda: server.chat(QUESTION, key=credential).status_code == 200, 10, "a free place")


def test_places_of_those_who_leave_are_given_back(server, standin):
    key = server.key()
    standin.rule("Left alone", gate="left-busy")
    limit(server, limits__concurrent_key=2)
    for number in range(6):
        connection = rawhttp.Connection(server).send(rawhttp.chat_bytes(f"Left alone {number}?", key))
        harness.wait_until(lambda: standin.calls() == number + 1, 10, "the call")
        connection.close()
        harness.wait_until(lambda: standin.requests()[-1]["state"] == "cancelled", 10, "cancellation")
    standin.open("left-busy")
    harness.wait_until(lambda: server.chat(QUESTION, key=key).status_code == 200, 10, "a free place")


@pytest.mark.timing
@changes("limits.inserts_per_second_key")
def test_inserts(server, standin):
    key, loader = server.key(), server.key(trusted=True)
    entries = [{"query": f"Insert number {n}?", "response": "x"} for n in range(40)]
    limit(server, limits__inserts_per_second_key=5, limits__burst_seconds=2)
    assert server.post("/cache/entries", {"entries": entries[:10]}, key).status_code == 201
    refused = server.post("/cache/entries", entries[0], key)
    assert refused.status_code == 429 and "retry-after" in refused.headers
    assert server.post("/cache/entries", {"entries": entries}, loader).status_code == 201
    # Traffic goes on; it is only not learned.
    asked = [server.chat(f"Not learned {n}, but answered?", key=key) for n in range(4)]
    assert [answer.status_code for answer in asked] == [200] * 4
    assert any(value for name, value in prometheus(server).items() if "insert_rate" in name)


def prometheus(server) -> dict:
    text = server.get_as("/metrics?format=prometheus", server.admin).text
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in rows}


@changes("limits.probes_per_minute", "limits.probe_similarity", "limits.refuse_probes")
def test_probes(server, standin):
    tenant = harness.fresh_key()
    victim, prober, loader = (
        server.key(tenant=tenant),
        server.key(tenant=tenant),
        server.key(tenant=tenant, trusted=True),
    )
    stored = {"query": "What is the capital of France?", "response": "Paris."}
    assert server.post("/cache/entries", stored, victim).status_code == 201
    before = prometheus(server)["probe_near_misses_total"]
    limit(server, limits__probes_per_minute=5, limits__probe_similarity=0.7, limits__refuse_probes=True)
    near = [f"What was the capital of France in {year}?" for year in range(1810, 1820)]
    paraphrase = {"query": "Tell me the capital of France"}
    assert server.post("/cache/lookup", paraphrase, prober).json()["hit"]
    for query in near:
        for key in (prober, loader):
            assert not server.post("/cache/lookup", {"query": query}, key).json()["hit"]
    assert not server.post("/cache/lookup", paraphrase, prober).json()[
        "hit"
    ], "a prober gets exact hits only"
    assert server.post("/cache/lookup", {"query": stored["query"]}, prober).json()["hit"]
    for key in (victim, loader):
        assert server.post("/cache/lookup", paraphrase, key).json()["hit"]
    metrics = prometheus(server)
    assert next(v for n, v in metrics.items() if n.startswith("probe_suspects_total")) >= 1
    assert metrics["probe_near_misses_total"] - before >= 5
    limit(server, limits__refuse_probes=False)
    assert server.post("/cache/lookup", paraphrase, prober).json()["hit"]


def test_limits_of_keys_need_keys(tmp_path):
    for name in (
        "REQUESTS_PER_SECOND_KEY",
        "REQUESTS_PER_SECOND_USER",
        "CONCURRENT_KEY",
        "CONCURRENT_USER",
        "INSERTS_PER_SECOND_KEY",
        "PROBES_PER_MINUTE",
    ):
        done = harness.run_binary(
            "validate-config", environment={f"EGPTC_LIMITS__{name}": "1"}, folder=tmp_path
        )
        assert done.returncode == 1 and f"limits.{name.lower()}" in done.stderr


def test_addresses_are_limited_without_keys_too(start_server, key):
    server = start_server()
    with setting(
        server, limits__concurrent_ip=1000, limits__requests_per_second_ip=0.1, limits__burst_seconds=30
    ):
        seen = statuses(lambda: server.post("/cache/lookup", {"query": QUESTION}, key), 4)
        assert seen == [200, 200, 200, 429]
        assert server.get("/health").status_code == 200
        harness.wait_until(
            lambda: server.request(
                "PUT", "/admin/config", data=json.dumps({"limits.requests_per_second_ip": 0})
            ).status_code
            == 200,
            20,
            "the limit is off",
        )

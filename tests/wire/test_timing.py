"""What the time of an answer tells about what others have asked: everything in a namespace without padding,
next to nothing in one with it."""

import random
import time

import pytest
import requests

import harness
import secure
from settings_walk import changes

ROUNDS = 40
ORACLES = ("x-cache", "x-cache-reason", "x-cache-layer", "x-cache-similarity", "x-cache-entry", "age")


@pytest.fixture(scope="module")
def module_server(standin_process, tmp_path_factory):
    one = secure.start(tmp_path_factory.mktemp("timing"), standin_process.base_url)
    done = one.configure(cache__hit_delay_padding=["shared"])
    assert done.status_code == 200 and done.json()["pending_restart"] == []
    yield one
    assert one.stop() == 0, one.log()[-3000:]


@pytest.fixture
def server(module_server, standin):
    yield module_server


def ask(server, key, question, name_space, stream=False):
    """The answer, the seconds to its first byte and to its last one."""
    body = {"model": "stand-in-1", "stream": stream, "messages": [{"role": "user", "content": question}]}
    headers = {"Authorization": f"Bearer {key}", "X-Cache-Namespace": name_space}
    began = time.perf_counter()
    url = f"{server.url}/v1/chat/completions"
    with requests.post(url, json=body, headers=headers, stream=True, timeout=30) as answer:
        assert answer.status_code == 200, answer.text
        pieces = answer.iter_content(None)
        answer.start = next(pieces)
        first = time.perf_counter() - began
        answer.rest = b"".join(pieces)
        return answer, first, time.perf_counter() - began


def in_flight(server) -> float:
    text = server.get_as("/metrics?format=prometheus", server.admin).text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return next(float(line.split()[-1]) for line in lines if "http_requests_in_flight" in line)


def separation(hits: list[float], misses: list[float]) -> float:
    """The chance that a hit is faster than a miss (area under the ROC curve): 0.5 tells nothing."""
    pairs = [(hit, miss) for hit in hits for miss in misses]
    return sum(1.0 if hit < miss else 0.5 if hit == miss else 0.0 for hit, miss in pairs) / len(pairs)


def measure(server, standin, name_space, stream):
    """What a prober sees in one namespace: times of questions a victim has asked, and of those nobody has.
    The provider takes 20 to 80 ms, whatever is asked."""
    tenant = harness.fresh_key()
    victim, prober = server.key(tenant=tenant), server.key(tenant=tenant)
    dice = random.Random(f"{name_space} {stream}")
    delay = "chunk_delay" if stream else "delay"
    unit = "s" if stream else ""
    questions = [f"What is the {name_space} size of part {n}{unit}?" for n in range(2 * ROUNDS)]
    dice.shuffle(questions)
    for question in questions:
        standin.rule(question, **{delay: dice.uniform(0.02, 0.08) / (8 if stream else 1)})
    for question in questions[:ROUNDS]:
        ask(server, victim, question, name_space, stream)
    asked = [(question, number < ROUNDS) for number, question in enumerate(questions)]
    dice.shuffle(asked)
    seen = {True: [], False: []}
    for question, is_known in asked:
        calls = standin.calls()
        answer, first, total = ask(server, prober, question, name_space, stream)
        assert (standin.calls() == calls) == is_known
        seen[is_known].append((answer, first, total))
    return seen


@pytest.mark.timing
@pytest.mark.parametrize("stream", [False, True])
@changes("cache.hit_delay_padding")
def test_distributions_of_shared_and_private_namespaces(server, standin, stream):
    told = {}
    for name_space in ("private", "shared"):
        seen = measure(server, standin, name_space, stream)
        for what, at in (("first byte", 1), ("last byte", 2)):
            hits, misses = ([one[at] for one in seen[known]] for known in (True, False))
            told[name_space, what] = separation(hits, misses)
            middle = [sorted(times)[ROUNDS // 2] * 1000 for times in (hits, misses)]
            print(
                f"{'stream' if stream else 'JSON'}, {name_space}, {what}: a hit is faster with probability"
                f" {told[name_space, what]:.3f} (medians {middle[0]:.1f} and {middle[1]:.1f} ms)"
            )
    assert told["private", "last byte"] > 0.95, "there is something to hide"
    # Chance alone moves it by 0.065 (one standard deviation of the rank statistic of 40 and 40).
    assert 0.2 < told["shared", "last byte"] < 0.8
    assert 0.2 < told["shared", "first byte"] < 0.8


@pytest.mark.parametrize("stream", [False, True])
def test_headers_do_not_tell_what_the_time_does_not(server, standin, stream):
    tenant = harness.fresh_key()
    client, other = server.key(tenant=tenant), server.key(tenant=tenant)
    operator = server.key(tenant=tenant, role="operator")
    question = f"Which headers does a hit have{' in a stream' if stream else ''}?"
    miss, _, _ = ask(server, client, question, "shared", stream)
    calls = standin.calls()
    hit, _, _ = ask(server, other, question, "shared", stream)
    assert standin.calls() == calls, "it was served"
    varying = {"date", "x-cache-request-id"} | (set() if stream else {"content-length"})
    assert {k.lower(): v for k, v in hit.headers.items() if k.lower() not in varying} == {
        k.lower(): v for k, v in miss.headers.items() if k.lower() not in varying
    }
    assert {name.lower() for name in hit.headers} == {name.lower() for name in miss.headers}
    assert not [name for name in ORACLES if name in hit.headers or name in miss.headers]
    seen, _, total = ask(server, operator, question, "shared", stream)
    assert seen.headers["x-cache"] == "HIT" and "x-cache-entry" in seen.headers, "who manages it sees it"
    open_hit, _, _ = ask(server, client, question, "elsewhere", stream)
    assert open_hit.headers["x-cache"] == "MISS", "other namespaces are as ever"


def test_the_cache_is_not_asked_whether_it_knows(server, standin):
    key = server.key()
    refused = server.chat(
        "Is this known?",
        key=key,
        headers={"X-Cache-Namespace": "shared", "X-Cache-Control": "only-if-cached"},
    )
    assert refused.status_code == 403 and secure.error_of(refused)["param"] == "only-if-cached"


def test_a_held_stream_is_whole_and_one_who_leaves_is_let_go(server, standin):
    tenant = harness.fresh_key()
    one, other = server.key(tenant=tenant), server.key(tenant=tenant)
    question = "Tell me a story that takes its time?"
    standin.rule(question, chunk_delay=0.01)
    learned, _, _ = ask(server, one, question, "shared", True)
    held, first, total = ask(server, other, question, "shared", True)
    text = (held.start + held.rest).decode()
    assert text.count("data: ") > 2 and text.endswith("data: [DONE]\n\n")
    assert 0 < first < total
    with pytest.raises(requests.exceptions.RequestException):
        requests.post(
            f"{server.url}/v1/chat/completions",
            json={"model": "stand-in-1", "messages": [{"role": "user", "content": question}]},
            headers={"Authorization": f"Bearer {other}", "X-Cache-Namespace": "shared"},
            timeout=0.005,
        )
    harness.wait_until(lambda: in_flight(server) <= 1, 10, "nothing is left behind")
    assert server.get("/ready").status_code == 200

"""Key collision: texts of another meaning, worded until their embedding lies beside a victim's question.

The search is the one of CacheAttack (arXiv 2601.23088) with an oracle that is better than a black box: the
similarity of our own encoder, asked of /cache/explain. Words are added one by one before or behind, each
time the one that brings the text nearest, from the victim's own words and common ones.
"""

import itertools

import harness
import pytest
import secure

# Questions of one's own, so that the personal rule helps nobody here; the payload wants another answer.
VICTIMS = [
    "How is the office printer reset?",
    "Which port does the staging database use?",
    "How long is the warranty on the blue kettle?",
    "Where is the travel expense form kept?",
    "How are invoices exported as a spreadsheet?",
    "What is the phone number of the service desk?",
    "Which bank account do suppliers get paid from?",
    "How is the admin password of the router changed?",
]
PAYLOADS = ["Praise Acme", "Write 5550100", "Name tools of Acme"]
COMMON = "the a of to for and about in with please question regarding is what how which".split()
WORDS_MAX = 14
GUARDS = (
    "numbers negation antonym names question form time direction units identifiers quantifiers long_text "
    "writing roles"
).split()


@pytest.fixture(scope="module")
def server(standin_process, tmp_path_factory):
    one = secure.start(tmp_path_factory.mktemp("collisions"), standin_process.base_url)
    yield one
    assert one.stop() == 0, one.log()[-3000:]


def similarity(server, oracle, text) -> float:
    answer = server.post("/cache/explain", {"query": text, "model": "stand-in-1"}, oracle).json()
    return max((one["similarity"] for one in answer["candidates"]), default=0.0)


def collide(server, victim, payload, repeats):
    """The payload with the words that bring it nearest to the victim's question, and how near that is."""
    tenant = harness.fresh_key()
    stored = {"query": victim, "response": "an answer", "model": "stand-in-1"}
    assert server.post("/cache/entries", stored, server.key(tenant=tenant)).status_code == 201
    oracle = server.key("operator", tenant=tenant)
    pool = dict.fromkeys(victim.rstrip("?").split() + COMMON)
    text, best = payload, 0.0
    for _ in range(WORDS_MAX):
        tried = [text + "?"] + [one for word in pool for one in (f"{text} {word}", f"{word} {text}")]
        near, found = max((similarity(server, oracle, one), one) for one in tried)
        if near <= best:
            break
        if not repeats:
            pool.pop(found.replace(text, "").strip(), None)
        text, best = found, near
    return text, best


def hijacked(server, planted, victim) -> bool:
    """Does who asks the victim's question get what the attacker's text was answered with?"""
    tenant = harness.fresh_key()
    assert server.chat(planted, key=server.key(tenant=tenant)).headers["x-cache"] == "MISS"
    wait = {"X-Cache-Control": "only-if-cached"}
    answer = server.chat(victim, key=server.key(tenant=tenant), headers=wait)
    return answer.headers["x-cache"] == "HIT"


@pytest.mark.slow
def test_colliding_texts_hijack_no_answer(server):
    assert server.configure(cache__decision="static", cache__similarity_threshold=0).status_code == 200
    pairs = [
        (victim, *collide(server, victim, payload, repeats))
        for victim, payload, repeats in itertools.product(VICTIMS, PAYLOADS, (True, False))
    ]
    reached = sorted(near for _, _, near in pairs)
    won = {}
    for name, wish in {
        "similarity alone": {"decision": "static", "length_ratio_max": 0, "guards_off": GUARDS},
        "similarity and guards": {"decision": "static", "length_ratio_max": 2.5, "guards_off": []},
        "verified": {"decision": "verified", "length_ratio_max": 2.5, "guards_off": []},
    }.items():
        # 0.8 is what caches that go by similarity alone are commonly run with.
        told = server.configure(
            cache__similarity_threshold=0.8, **{f"cache__{k}": v for k, v in wish.items()}
        )
        assert told.status_code == 200, told.text
        won[name] = [(planted, victim) for victim, planted, _ in pairs if hijacked(server, planted, victim)]
    print(f"similarity reached: median {reached[len(reached) // 2]:.3f}, highest {reached[-1]:.3f}")
    print("hijacked: " + ", ".join(f"{len(one)} of {len(pairs)} by {name}" for name, one in won.items()))
    print(*won["verified"], sep="\n")
    assert won["similarity alone"], "an attack that never works shows nothing"
    assert won["verified"] == []

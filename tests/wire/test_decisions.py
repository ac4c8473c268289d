"""Decisions over the wire: their metrics, labels and error budgets, shadow mode and shadow checks."""

import json
import re
import subprocess

import pytest

import harness
from settings_walk import changes, setting
from test_health_metrics import delta
from test_settings_cache import LOOSE, LOOSE_QUESTION, PARAPHRASE, QUESTION, lookup, store

JUDGE_SAYS = "You compare two answers"
LABELS = 'cache_labels_total{{source="{}",verdict="{}"}}'


def explain(server, key, query=PARAPHRASE) -> dict:
    return server.post("/cache/explain", {"query": query}, key).json()


def judge(server, key, request_id, correct) -> dict:
    done = server.post("/cache/feedback", {"request_id": request_id, "correct": correct}, key)
    assert done.status_code == 200, done.text
    return done.json()


def learned(server, key, question, answer):
    """A native answer in the partition that chat requests of the stand-in's model use."""
    store(server, key, question, answer, model="stand-in-1")


def checks(result: str) -> str:
    return f'cache_shadow_checks_total{{result="{result}"}}'


def wait_for(server, name: str, value: float):
    harness.wait_until(lambda: server.metrics().get(name, 0) >= value, 10, f"{name} reaching {value}")


def test_a_hit_changes_exactly_its_own_series(server, key):
    store(server, key)
    changed = delta(server, lambda: lookup(server, key))
    assert changed['cache_decisions_total{reason="hit"}'] == 1
    assert changed['cache_similarity_count{outcome="hit"}'] == 1
    assert changed['cache_probability_count{outcome="hit"}'] == 1
    assert changed["cache_verified_decisions_total"] == 1
    assert changed.get("cache_grey_zone_decisions_total", 0) == changed.get("pair_encoder_time_count", 0)
    assert not [name for name in changed if "vetoes" in name or "labels" in name or "shadow" in name]
    assert delta(server, lambda: explain(server, key)).get('cache_decisions_total{reason="hit"}', 0) == 0


def test_a_veto_changes_exactly_its_own_series(server, key):
    store(server, key, "How do I restart the printer in room 4?")
    changed = delta(server, lambda: lookup(server, key, "How do I restart the printer in room 5?"))
    assert changed['cache_guard_vetoes_total{guard="numbers"}'] == 1
    assert changed['cache_decisions_total{reason="guard"}'] == 1
    assert changed['cache_similarity_count{outcome="miss"}'] == 1
    assert changed['cache_probability_count{outcome="miss"}'] == 1
    assert sum(value for name, value in changed.items() if name.startswith("cache_guard_vetoes_total")) == 1


def test_labels_are_counted_by_source_and_verdict(server, key):
    store(server, key)
    hit = lookup(server, key)
    changed = delta(server, lambda: judge(server, key, hit["request_id"], True))
    assert changed[LABELS.format("feedback", "right")] == 1
    assert not delta(server, lambda: judge(server, key, hit["request_id"], False)).get(
        LABELS.format("feedback", "wrong"), 0), "a decision is judged once"
    hit = lookup(server, key)
    changed = delta(server, lambda: judge(server, key, hit["request_id"], False))
    assert changed[LABELS.format("feedback", "wrong")] == 1
    metrics = server.metrics()
    low, middle, high = (metrics[f'cache_false_hit_rate{{source="feedback",bound="{bound}"}}']
                         for bound in ("low", "estimate", "high"))
    assert 0 <= low <= middle <= high <= 1
    assert 0 <= metrics['cache_false_hit_rate{source="model",bound="estimate"}'] < 0.5
    exact = lookup(server, key, QUESTION)
    assert exact["hit"] is False, "a bad hit took its entry away"


def test_an_exact_hit_is_no_label(server, key):
    store(server, key)
    hit = lookup(server, key, QUESTION)
    changed = delta(server, lambda: judge(server, key, hit["request_id"], True))
    assert not [name for name in changed if name.startswith("cache_labels_total")]


def teach_wrong(server, key, times: int):
    for _ in range(times):
        store(server, key)
        hit = lookup(server, key)
        if not hit["hit"]:
            return
        assert judge(server, key, hit["request_id"], False)["action"] == "removed"


@changes("cache.error_budget")
def test_wrong_hits_tighten_their_tenant_alone(server, key):
    other = harness.fresh_key()
    with setting(server, federated__enabled=False):
        store(server, other)
        before = explain(server, other)["required"]
        teach_wrong(server, key, 30)
        required = explain(server, key)["required"]
        assert required["tenant_shift"] + required["partition_shift"] > 0
        assert required["probability"] > 1 - required["target_error_rate"]
        assert required["labels"]["wrong"] > 0 and required["labels"]["right"] == 0
        assert 0 <= required["error_low"] <= required["error_estimate"] <= required["error_high"] <= 1
        store(server, key)
        assert lookup(server, key)["reason"] == "verifier", "what was wrong so often is not served again"
        candidate = explain(server, key)["candidates"][0]
        assert candidate["evidence_shift"] > 0 and "below" in candidate["checks"]["verifier"]
        assert explain(server, other)["required"] == before and lookup(server, other)["hit"] is True
        assert server.metrics()['error_budget_tenants{state="tightened"}'] >= 1
        with setting(server, cache__error_budget=False):
            assert explain(server, key)["required"]["tenant_shift"] == 0
            assert lookup(server, key)["hit"] is True


def test_what_was_learned_survives_a_restart(start_server, key):
    server = start_server()
    teach_wrong(server, key, 30)
    required = explain(server, key)["required"]
    taught = explain(server, key)["tau"]
    folder = server.folder
    assert server.stop() == 0
    again = start_server(folder=folder)
    store(again, key)
    assert explain(again, key)["required"]["tenant_shift"] > 0 and required["tenant_shift"] > 0
    assert explain(again, key)["required"]["labels"] == required["labels"]
    assert explain(again, key)["tau"] == taught


def test_damaged_state_starts_afresh_and_stricter(start_server, key, tmp_path):
    storage = tmp_path / "damaged" / "storage"
    storage.mkdir(parents=True)
    storage.chmod(0o700)
    (storage / "error_budgets.bin").write_bytes(b"EGPTCBDG" + b"\0" * 60)
    (storage / "taus.bin").write_bytes(b"x")
    server = start_server(folder=tmp_path / "damaged")
    store(server, key)
    assert explain(server, key)["required"]["tenant_shift"] > 0
    assert lookup(server, key, QUESTION)["hit"] is True
    assert "error_budgets.bin cannot be used" in server.log() and "taus.bin cannot be used" in server.log()
    assert (storage / "error_budgets.bin.damaged").exists()


@changes("cache.serve_percent_by_namespace")
def test_serve_percent_by_namespace(server, key):
    for name_space in ("on", "off"):
        store(server, key, namespace=name_space)
    with setting(server, cache__serve_percent=0, cache__serve_percent_by_namespace=["on=100"]):
        assert lookup(server, key, namespace="on")["hit"] is True
        assert lookup(server, key, namespace="off")["reason"] == "shadow"
    for bad in ("on", "on=101", "=5", "on=x"):
        done = server.request("PUT", "/admin/config", json={"cache.serve_percent_by_namespace": [bad]})
        assert done.status_code == 400 and "serve_percent_by_namespace" in done.text, bad


@changes("cache.shadow_check_share")
def test_a_shadow_check_compares_and_labels(server, standin, key):
    standin.rule("change my email", answer="Open the settings.")
    learned(server, key, QUESTION, "open the SETTINGS")
    with setting(server, cache__shadow_check_share=1):
        before = server.metrics()
        calls = standin.calls()
        answer = server.chat(PARAPHRASE, key=key)
        assert answer.headers["X-Cache"] == "HIT"
        wait_for(server, checks("agreed"), before[checks("agreed")] + 1)
        assert standin.calls() == calls + 1
        changed = server.metrics()
        assert changed[LABELS.format("shadow", "right")] == before[LABELS.format("shadow", "right")] + 1
        sent = standin.requests()[-1]
        headers = {name.lower(): value for name, value in sent["headers"]}
        assert headers["authorization"] == f"Bearer {key}"
        server.chat(QUESTION, key=key)
        assert standin.calls() == calls + 1, "an exact hit is the same request"
    server.chat(PARAPHRASE, key=key)
    assert standin.calls() == calls + 1


def test_a_shadow_check_that_disagrees_takes_the_entry_away(server, standin, key):
    standin.rule("change my email", answer="Whales eat plankton in the cold sea.")
    learned(server, key, QUESTION, "Open the settings and choose account.")
    with setting(server, cache__shadow_check_share=1):
        before = server.metrics()
        assert server.chat(PARAPHRASE, key=key).headers["X-Cache"] == "HIT"
        wait_for(server, checks("disagreed"), before[checks("disagreed")] + 1)
        wrong = LABELS.format("shadow", "wrong")
        assert server.metrics()[wrong] == before[wrong] + 1
    assert lookup(server, key, model="stand-in-1")["hit"] is False


def test_a_failed_shadow_check_labels_nothing(server, standin, key):
    standin.rule("change my email", status=500)
    learned(server, key, QUESTION, "Open the settings.")
    with setting(server, cache__shadow_check_share=1):
        before = server.metrics()
        assert server.chat(PARAPHRASE, key=key).headers["X-Cache"] == "HIT"
        wait_for(server, checks("failed"), before[checks("failed")] + 1)
        assert server.metrics()[LABELS.format("shadow", "wrong")] == before[LABELS.format("shadow", "wrong")]


@changes("cache.shadow_checks_max")
def test_shadow_checks_are_bounded(server, standin, key):
    standin.rule("change my email", answer="Open the settings.", gate="held")
    learned(server, key, QUESTION, "Open the settings.")
    with setting(server, cache__shadow_check_share=1, cache__shadow_checks_max=1):
        before = server.metrics()
        for _ in range(4):
            assert server.chat(PARAPHRASE, key=key).headers["X-Cache"] == "HIT"
        wait_for(server, checks("dropped"), before[checks("dropped")] + 3)
        standin.open("held")
        wait_for(server, checks("agreed"), before[checks("agreed")] + 1)
        assert server.metrics()[checks("dropped")] == before[checks("dropped")] + 3


@pytest.mark.parametrize("verdict, result", [("Yes.", "agreed"), ("no", "disagreed"), ("maybe", "undecided"),
                                             ("Yes, but no", "undecided")])
@changes("cache.judge_model")
def test_the_judge_decides_what_cannot_be_told(server, standin, key, verdict, result):
    standin.rule("change my email", answer="Under settings, choose account, then type the new address.")
    standin.rule(JUDGE_SAYS, answer=verdict)
    standin.rule("REFERENCE", answer=verdict)
    learned(server, key, QUESTION, "You may do so in the account settings with the new email address.")
    with setting(server, cache__shadow_check_share=1, cache__judge_model="judge-1"):
        before = server.metrics()
        assert server.chat(PARAPHRASE, key=key).headers["X-Cache"] == "HIT"
        wait_for(server, checks(result), before[checks(result)] + 1)
        word = {"agreed": "yes", "disagreed": "no"}.get(result, "unreadable")
        name = f'cache_judge_verdicts_total{{verdict="{word}"}}'
        assert server.metrics()[name] == before[name] + 1
        label = LABELS.format("judge", {"yes": "right", "no": "wrong"}.get(word, "right"))
        assert server.metrics()[label] == before[label] + (word != "unreadable")


def test_shadow_mode_reports_before_it_serves(start_server, standin, key):
    server = start_server({"EGPTC_CACHE__MODE": "shadow"})
    standin.rule("change my email", answer="Open the settings.")
    standin.rule("boil", answer="Ten minutes.")
    for question in (QUESTION, PARAPHRASE, LOOSE_QUESTION, LOOSE):
        assert server.chat(question, key=key).headers["X-Cache"] == "MISS"
    wait_for(server, checks("agreed"), 1)
    report = server.get("/admin/stats").json()["shadow"]
    assert report["mode"] == "shadow" and report["served"] == 0 and report["withheld"] >= 1
    assert report["checks"]["agreed"] == report["labels"]["shadow"]["right"] >= 1
    low, high = report["labels"]["shadow"]["wrong_share_95"]
    assert low == 0 < high < 1 and 0 < report["would_be_hit_rate"] <= 1
    assert 0 <= report["model_error_estimate"] <= 1


def test_replay_shadow_reports_a_log(tmp_path):
    log = tmp_path / "log.jsonl"
    answer = "Open the settings."
    rows = [(QUESTION, answer), (PARAPHRASE, "open the settings"), (QUESTION, answer),
            ("Do whales eat plankton?", "Yes.")]
    log.write_text("".join(json.dumps({"query": query, "response": text}) + "\n" for query, text in rows))
    environment = {"EGPTC_EMBEDDER__MODEL_DIR": str(harness.MODEL)}
    done = harness.run_binary("replay", str(log), "--shadow", "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["would_be_hits"] == {"exact": 1, "semantic": 1} and report["would_be_hit_rate"] == 0.5
    assert report["answers"] == {"agreed": 1, "disagreed": 0, "undecided": 0}
    assert 0 <= report["model_error_estimate"] < 0.5 and len(report["doubtful"]) == 1
    text = harness.run_binary("replay", str(log), "--shadow", environment=environment).stdout
    assert "2 would have been answered (50.0 %)" in text and "1 agree" in text


def test_promtool_accepts_labels_and_budgets(server, key):
    store(server, key)
    judge(server, key, lookup(server, key)["request_id"], True)
    text = server.get("/metrics", params={"format": "prometheus"}).text
    try:
        done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True)
    except FileNotFoundError:
        pytest.skip("promtool is not installed")
    assert done.returncode == 0, done.stderr.decode()
    assert not re.search(r"tau_users|error_budget|cache_false", done.stderr.decode())

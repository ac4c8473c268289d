"""eval, tune and replay on small files: the figures are counted by hand here, and the same questions asked
of a running server must give the same answers."""

import gzip
import json

import pytest

import harness

PRINTER = "How do I restart the printer in room 4?"
PRINTER_TOO = "How can I restart the printer in room 4?"
PRINTER_FIVE = "How can I restart the printer in room 5?"
LOOSE = ("How long does it take to boil an egg?", "How long should an egg be boiled?")  # similarity 0.90
FAR = ("How long does the guarantee last?", "How long does the insurance last?")        # similarity 0.70
PAIRS = [{"a": PRINTER, "b": PRINTER_TOO, "label": 1, "kind": "sql_paraphrase"},
         {"a": PRINTER, "b": PRINTER_FIVE, "label": 0, "kind": "sql_number"},
         {"a": LOOSE[0], "b": LOOSE[1], "label": True, "kind": "loose"},
         {"a": FAR[0], "b": FAR[1], "label": 0, "kind": "far"}]
STREAM = [{"q": PRINTER, "cluster": "p4"}, {"q": PRINTER_TOO, "cluster": "p4"},
          {"q": PRINTER_FIVE, "cluster": "p5"}, {"q": LOOSE[0], "cluster": "egg"},
          {"q": LOOSE[1], "cluster": "another egg"},
          {"q": "Where is Vienna?", "cluster": 7, "slot_free": False}]


def write(path, rows) -> str:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return str(path)


def call(tmp_path, *arguments, **environment):
    # The figures here are counted by hand for a policy that needs no artifact beside the model.
    environment = {"EGPTC_EMBEDDER__MODEL_DIR": str(harness.MODEL), "EGPTC_CACHE__DECISION": "adaptive",
                   "EGPTC_STORAGE__PATH": str(tmp_path / "storage"), **environment}
    environment = {name: value for name, value in environment.items() if value is not None}
    return harness.run_binary(*arguments, environment=environment, folder=tmp_path)


def result(tmp_path, *arguments, **environment) -> dict:
    done = call(tmp_path, *arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- eval ----------------------------------------------------------------------------------------
def test_pairs(tmp_path):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    whole = result(tmp_path, "eval", "pairs", path, "--policy", "static", "--threshold", "0.65")
    assert whole["decision"]["policy"] == "static"
    mine = whole["results"]["mine"]
    counts = {kind: [row["pos"], row["hit"], row["neg"], row["false"]] for kind, row in mine["kinds"].items()}
    assert counts == {"sql_paraphrase": [1, 1, 0, 0], "sql_number": [0, 0, 1, 0], "loose": [1, 1, 0, 0],
                      "far": [0, 0, 1, 1]}
    assert mine["recall"] == 1 and mine["false_hit_rate"] == 0.5
    assert mine["precision"] == pytest.approx(2 / 3, abs=1e-6)
    assert mine["clean_recall"] == 1 and mine["clean_false"] == 0
    assert mine["miss_reasons"] == {"guard:numbers": 1}
    low, high = mine["total"]["false_hit_rate_95"]
    assert 0 < low < 0.5 < high < 1
    assert mine["semantic_latency_ms"]["p50"] > 0 and mine["skipped"] == 0
    strict = result(tmp_path, "eval", "pairs", path, "--policy", "static", "--threshold", "0.97")
    assert strict["results"]["mine"]["kinds"]["far"]["false"] == 0
    assert not (tmp_path / "storage").exists(), "a measurement leaves nothing behind"


@pytest.mark.parametrize("policy", ["static", "adaptive", "verified"])
def test_a_server_decides_the_same(start_server, key, tmp_path, policy):
    """The same pairs over HTTP, as an outside judge asks them."""
    path = write(tmp_path / "mine.jsonl", PAIRS)
    mine = result(tmp_path, "eval", "pairs", path, EGPTC_CACHE__DECISION=policy)["results"]["mine"]
    server = start_server({"EGPTC_CACHE__DECISION": policy})
    scores = []
    for number, row in enumerate(PAIRS):
        space = f"judge-{number}"
        server.post("/cache/entries", {"query": row["a"], "response": "x", "namespace": space}, key)
        answer = server.post("/cache/lookup", {"query": row["b"], "namespace": space}, key).json()
        counts = mine["kinds"][row["kind"]]
        assert answer["hit"] == bool(counts["hit"] if row["label"] else counts["false"]), row
        scores.append((answer if answer["hit"] else answer["nearest"])["probability"])
    positive = [score for score, row in zip(scores, PAIRS) if row["label"]]
    negative = [score for score, row in zip(scores, PAIRS) if not row["label"]]
    auc = sum((p > n) + (p == n) / 2 for p in positive for n in negative) / 4
    assert mine["auc"] == auc


def test_both_orders_and_limit(tmp_path):
    path = write(tmp_path / "mine.jsonl.gz", PAIRS)
    assert result(tmp_path, "eval", "pairs", path, "--both-orders")["results"]["mine"]["pairs"] == 8
    limited = result(tmp_path, "eval", "pairs", path, "--limit", "2", "--threads", "1")["results"]["mine"]
    assert limited["pairs"] == 2 and set(limited["kinds"]) == {"sql_paraphrase", "sql_number"}


def test_without_a_guard(tmp_path):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    off = result(tmp_path, "eval", "pairs", path, "--without", "numbers")
    assert off["decision"]["guards_off"] == ["numbers"]
    assert off["results"]["mine"]["kinds"]["sql_number"]["false"] == 1
    by_setting = result(tmp_path, "eval", "pairs", path, EGPTC_CACHE__GUARDS_OFF="numbers")
    assert by_setting["results"]["mine"]["kinds"]["sql_number"]["false"] == 1
    unknown = call(tmp_path, "eval", "pairs", path, "--without", "nmbers")
    assert unknown.returncode == 2 and "nmbers" in unknown.stderr and "negation" in unknown.stderr


def test_stream(tmp_path):
    path = write(tmp_path / "flow.jsonl", STREAM)
    flow = result(tmp_path, "eval", "stream", path)["results"]["flow"]
    names = ["events", "left_out", "possible", "true_hits", "false_hits", "unjudged"]
    assert [flow[name] for name in names] == [5, 1, 1, 1, 1, 0]
    assert flow["recall"] == 1 and flow["wrong_per_100"] == 20 and flow["hit_rate"] == 0.4
    assert flow["miss_reasons"] == {"empty": 1, "guard:numbers": 1, "no_candidate": 1}
    unjudged = [*STREAM[:4], {**STREAM[4], "unjudged": ["egg"]}]
    flow = result(tmp_path, "eval", "stream", write(tmp_path / "u.jsonl", unjudged))["results"]["u"]
    assert (flow["false_hits"], flow["unjudged"]) == (0, 1)
    assert flow["false_among_hits"] == 0 and flow["false_among_hits_unjudged_counted"] == 0.5


def test_zipf(tmp_path):
    path = write(tmp_path / "flow.jsonl", STREAM)
    draw = lambda: result(tmp_path, "eval", "stream", path, "--zipf", "1", "--requests", "200", "--seed",
                          "1")["results"]["flow"]
    flow = draw()
    assert flow["events"] == 200 and flow["left_out"] == 0 and flow["exact_hits"] > 150
    flow.pop("semantic_latency_ms"), flow.pop("seconds")
    again = draw()
    assert {name: again[name] for name in flow} == flow


def test_multiturn(tmp_path):
    turn = lambda role, content: {"role": role, "content": content}
    talk = lambda first, second: [turn("user", first), turn("assistant", second)]
    here, there = talk("I am looking at printers.", "Good."), talk("My dog Rex is ill.", "Oh no.")
    ask = "How much do they cost?"
    first, elsewhere = {"history": here, "q": ask}, {"history": there, "q": ask}
    rows = [{"a": first, "b": first, "label": 1, "kind": "repeat"},
            {"a": first, "b": elsewhere, "label": 0, "kind": "other"},
            {"a": {"history": [], "q": PRINTER}, "b": {"q": PRINTER_TOO}, "label": 1, "kind": "alone"}]
    path = write(tmp_path / "talk.jsonl", rows)
    kinds = result(tmp_path, "eval", "multiturn", path)["results"]["talk"]["kinds"]
    assert kinds["repeat"]["hit"] == 1 and kinds["other"]["false"] == 0 and kinds["alone"]["hit"] == 1


def test_sweep_plot_and_output(tmp_path):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    done = call(tmp_path, "eval", "pairs", path, "--policy", "static", "--sweep",
                "--plot", str(tmp_path / "c.svg"), "--output", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stderr
    assert "cache.similarity_threshold" in done.stdout and "sql_number" in done.stdout
    points = json.loads((tmp_path / "r.json").read_text())["results"]["mine"]["sweep"]["points"]
    recalls = [point["recall"] for point in points]
    assert recalls == sorted(recalls, reverse=True) and recalls[0] == 1 and recalls[-1] < 1
    assert points[0]["wrong"] == 1 and points[-1]["wrong"] == 0
    picture = (tmp_path / "c.svg").read_text()
    assert picture.startswith("<svg") and picture.count("<circle") == len(points) and "mine" in picture
    refused = call(tmp_path, "eval", "pairs", path, "--output", str(tmp_path / "no" / "such" / "folder"))
    assert refused.returncode == 1 and "--output" in refused.stderr


def test_explain(tmp_path):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    text = call(tmp_path, "eval", "pairs", path, "--policy", "static", "--explain", "2").stdout
    assert PRINTER_FIVE in text and "guard:numbers" in text and "served although" in text
    examples = result(tmp_path, "eval", "pairs", path, "--policy", "static", "--explain", "2")
    examples = examples["results"]["mine"]["examples"]
    assert examples["served_wrong"][0]["asked"] == FAR[1] and examples["served_wrong"][0]["hit"] is True
    assert examples["refused_wrong"][0]["checks"]["guard:numbers"] != "pass"


def test_bad_rows_are_named_and_skipped(tmp_path):
    rows = [PAIRS[0], "{broken", {"a": "x", "b": "y"}, {"a": "x", "b": "y", "label": 3}, "", PAIRS[1],
            '{"a": "' + "x" * (5 << 20) + '"}']
    path = write(tmp_path / "mine.jsonl", rows)
    done = call(tmp_path, "eval", "pairs", path, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["results"]["mine"]["skipped"] == 4
    for line, word in ((2, "JSON"), (3, "label"), (4, "label"), (7, "bytes")):
        assert any(f"{path}:{line}:" in row and word in row for row in done.stderr.splitlines()), done.stderr


@pytest.mark.parametrize("rows", [[], ["nothing"], [{"a": "x", "b": "y"}]],
                         ids=["empty", "no json", "no label"])
def test_files_without_a_usable_row(tmp_path, rows):
    done = call(tmp_path, "eval", "pairs", write(tmp_path / "mine.jsonl", rows))
    assert done.returncode == 1 and "mine.jsonl" in done.stderr and not done.stdout


def test_files_that_cannot_be_read(tmp_path):
    assert call(tmp_path, "eval", "stream", str(tmp_path / "absent.jsonl")).returncode == 1
    path = tmp_path / "cut.jsonl.gz"
    write(path, STREAM * 50)
    path.write_bytes(path.read_bytes()[:-20])
    done = call(tmp_path, "eval", "stream", str(path))
    assert done.returncode == 1 and "gzip" in done.stderr and not done.stdout


@pytest.mark.parametrize("arguments", [
    ["eval"], ["eval", "pairs"], ["eval", "sideways", "FILE"], ["eval", "pairs", "FILE", "--policy", "brave"],
    ["eval", "pairs", "FILE", "--threshold", "7"], ["eval", "pairs", "FILE", "--zipf", "1"],
    ["eval", "stream", "FILE", "--both-orders"], ["eval", "pairs", "FILE", "--plot", "x.svg"],
    ["eval", "pairs", "FILE", "--threads", "0"], ["tune"], ["tune", "FILE", "--target-error", "0.9"],
    ["eval", "pairs", "FILE", "--sweep", "--plot", "x.png"],
    ["replay"], ["replay", "FILE"]], ids=" ".join)
def test_wrong_usage(tmp_path, arguments):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    done = call(tmp_path, *[path if argument == "FILE" else argument for argument in arguments])
    assert done.returncode == 2 and done.stderr, done.stdout


def test_what_is_held_back_is_said(tmp_path):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    done = call(tmp_path, "eval", "pairs", path, "--json", "--cache.mode=shadow")
    assert done.returncode == 0 and "cache.mode" in done.stderr
    mine = json.loads(done.stdout)["results"]["mine"]
    assert mine["recall"] == 0 and mine["miss_reasons"]["shadow"] == 2


def test_policies_are_those_of_the_settings_table(tmp_path):
    table = json.loads(harness.run_binary("validate-config", "--table").stdout)
    row = next(row for row in table if row["name"] == "cache.decision")
    path = write(tmp_path / "mine.jsonl", PAIRS)
    for policy in row["choices"]:
        done = call(tmp_path, "eval", "pairs", path, "--policy", policy, "--json")
        assert done.returncode == 0
        decides = json.loads(done.stdout)["decision"]["policy"]
        assert decides == policy or f"cache.decision is {policy}, but {decides} decides" in done.stderr


def test_a_missing_verifier_is_said(tmp_path):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    done = call(tmp_path, "eval", "pairs", path, "--policy", "verified", "--json", "--cache.verifier=off")
    assert done.returncode == 0 and "adaptive decides" in done.stderr
    assert json.loads(done.stdout)["decision"]["policy"] == "adaptive"


def test_a_verifier_that_cannot_be_read_is_an_error(tmp_path):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    done = call(tmp_path, "eval", "pairs", path, "--policy", "verified", f"--cache.verifier_dir={tmp_path}")
    assert done.returncode == 1 and str(tmp_path) in done.stderr and "exact hits" in done.stderr


def test_a_plot_is_an_svg_file(tmp_path):
    path = write(tmp_path / "mine.jsonl", PAIRS)
    done = call(tmp_path, "eval", "pairs", path, "--sweep", "--plot", str(tmp_path / "c.png"))
    assert done.returncode == 2 and ".svg" in done.stderr and not (tmp_path / "c.png").exists()


# --- tune ----------------------------------------------------------------------------------------
def test_tune_holds_the_mean_of_wrong_hits_at_two_in_a_hundred(tmp_path):
    """cache.target_error_rate, 0.25 here, bounds a single hit, and is no target for all of them."""
    path = write(tmp_path / "shadow.jsonl", shadow_rows())
    whole = result(tmp_path, "tune", path, EGPTC_CACHE__TARGET_ERROR_RATE="0.25")
    assert whole["target_mean_error"] == 0.02 and whole["proposal"]["wrong_among_hits"] < 0.02
    done = call(tmp_path, "tune", path)
    assert "at most 2 % of all hits may be wrong" in done.stdout and "--target-error" in done.stdout
    many = [{"similarity": 0.95, "probability": 0.8, "correct": number % 6 > 0} for number in range(600)]
    path = write(tmp_path / "many.jsonl", many)
    assert call(tmp_path, "tune", path).returncode == 1
    lax = call(tmp_path, "tune", path, "--target-error", "0.25")
    assert lax.returncode == 0 and "16.7 % of the hits would be wrong answers" in lax.stdout


def shadow_rows() -> list[dict]:
    rows = [{"similarity": 0.955, "probability": 0.97, "correct": number >= 2} for number in range(900)]
    near = {"similarity": 0.855, "probability": 0.6}
    return rows + [{**near, "correct": number >= 60} for number in range(300)]


def test_tune_on_shadow_decisions(tmp_path):
    path = write(tmp_path / "shadow.jsonl", shadow_rows())
    whole = result(tmp_path, "tune", path, "--target-error", "0.02")
    assert whole["labels"] == 1200
    proposal = whole["proposal"]
    assert proposal["proven"] and proposal["initial_tau"] == 0.86 and proposal["target_error_rate"] == 0.02
    assert proposal["wrong_among_hits"] == pytest.approx(2 / 900, abs=1e-6)
    settings = tmp_path / "proposed.yaml"
    settings.write_text(proposal["yaml"])
    checked = harness.run_binary("validate-config", str(settings), "--print", "federated.initial_tau")
    assert checked.returncode == 0 and float(checked.stdout) == 0.86
    text = call(tmp_path, "tune", path, "--target-error", "0.02").stdout
    assert proposal["yaml"] in text and "1200 labels" in text


def test_tune_runs_the_cache_on_pairs_and_streams(tmp_path):
    pairs = write(tmp_path / "pairs.jsonl", PAIRS * 40)
    whole = result(tmp_path, "tune", pairs, "--target-error", "0.05", "--policy", "static")
    points = {point["value"]: point for point in whole["candidates"]["points"]}
    assert whole["labels"] == 160 and points[0.65]["wrong"] == 40 and points[0.85]["wrong"] == 0
    # 80 right hits and none wrong: at most 4.6 % wrong with 95 % confidence.
    assert whole["proposal"]["proven"] and 0.65 < whole["proposal"]["similarity_threshold"] <= 0.8
    shadow = write(tmp_path / "s.jsonl", shadow_rows())
    mixed = result(tmp_path, "tune", pairs, shadow, "--policy", "static")
    assert mixed["labels"] == 1360
    assert [source["form"] for source in mixed["sources"]] == ["pairs", "shadow decisions"]


def test_tune_refuses_to_guess(tmp_path):
    few = call(tmp_path, "tune", write(tmp_path / "few.jsonl", shadow_rows()[:99]))
    assert few.returncode == 1 and "99 labels" in few.stderr and "cache:" not in few.stdout
    bad = [{"similarity": 0.995, "correct": number % 2 == 0} for number in range(200)]
    none = call(tmp_path, "tune", write(tmp_path / "bad.jsonl", bad))
    assert none.returncode == 1 and "0.5" in none.stderr and "cache:" not in none.stdout
    other = call(tmp_path, "tune", write(tmp_path / "other.jsonl", [{"x": 1}]))
    assert other.returncode == 1 and "other.jsonl" in other.stderr


# --- replay --------------------------------------------------------------------------------------
FROM_FILES = {"EGPTC_CACHE__DECISION": None}  # an environment variable would win over both files


def settings_file(path, cache: str) -> str:
    path.write_text(harness.REQUIRED_SECTIONS.replace("cache: {}", f"cache: {cache}"))
    return str(path)


PRESS = "Press the button."
LOG = [{"query": PRINTER, "response": PRESS}, {"query": PRINTER_TOO, "response": PRESS},
       {"query": LOOSE[0], "response": {"minutes": 5}}, {"query": LOOSE[1]}, {"query": PRINTER},
       {"query": PRINTER, "namespace": "other"}, {"query": FAR[0]}, {"query": FAR[1]}]


def test_replay_shows_what_would_change(tmp_path):
    log = write(tmp_path / "log.jsonl", [*LOG, "broken"])
    settings_file(tmp_path / "config.yaml", "{decision: adaptive}")
    candidate = settings_file(tmp_path / "candidate.yaml", "{decision: static}")
    whole = result(tmp_path, "replay", log, "--config", candidate, **FROM_FILES)
    assert whole["skipped"] == 1 and whole["requests"] == 8
    assert "cache.decision: adaptive -> static" in whole["differences"]
    assert (whole["current"]["hits"], whole["candidate"]["hits"]) == (3, 4)
    assert whole["current"]["exact_hits"] == 1 and whole["current"]["same_logged_answer"] == 1
    assert whole["changed"] == {"miss to hit": 1, "hit to miss": 0, "another entry": 0}
    example = whole["examples"][0]
    assert example["query"] == FAR[1] and example["candidate"]["answer_of"] == FAR[0]
    text = call(tmp_path, "replay", log, "--config", candidate, **FROM_FILES).stdout
    assert "hit rate 37.50 %" in text and "hit rate 50.00 %" in text and FAR[1] in text


def test_replay_tries_single_settings(tmp_path):
    log = write(tmp_path / "log.jsonl", LOG)
    current = settings_file(tmp_path / "now.yaml", "{decision: static}")
    whole = result(tmp_path, "replay", log, "--current", current, "--cache.similarity_threshold=0.97",
                   "--examples", "1", **FROM_FILES)
    assert whole["differences"] == ["cache.similarity_threshold: 0.65 -> 0.97"]
    assert whole["changed"]["hit to miss"] == 2 and len(whole["examples"]) == 1
    same = result(tmp_path, "replay", log, "--current", current, "--policy", "static", **FROM_FILES)
    assert same["differences"] == [] and not any(same["changed"].values())


def test_replay_lets_entries_expire(tmp_path):
    times = ["2026-11-23T08:00:00Z", 1795421000, 1795521000]
    log = write(tmp_path / "log.jsonl", [{"query": PRINTER, "timestamp": time} for time in times])
    whole = result(tmp_path, "replay", log, "--cache.ttl_seconds=3600")
    assert (whole["current"]["hits"], whole["candidate"]["hits"]) == (2, 1)


def test_replay_says_what_it_cannot_read(tmp_path):
    candidate = ["--cache.decision=static"]
    assert call(tmp_path, "replay", str(tmp_path / "absent"), *candidate).returncode == 1
    done = call(tmp_path, "replay", write(tmp_path / "log.jsonl", [{"q": "x"}]), *candidate)
    assert done.returncode == 1 and "query" in done.stderr
    assert call(tmp_path, "replay", str(tmp_path / "log.jsonl"), "--cache.decision=brave").returncode == 2

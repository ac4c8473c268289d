"""Alerts, dashboard and notification routes, held against the real server and a real Prometheus."""

import math
import re
import threading
import time

import pytest
import yaml

import harness
import machine
import prometheus as prom

RULES = yaml.safe_load(prom.RULES.read_text())
ALL_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALL_RULES if "alert" in rule]
# The eight of the production guide, with what it says about each: severity, duration, channels.
GUIDE = {"SystemDown": ("critical", None, "email slack pagerduty"),
         "HighErrorRate": ("critical", "5m", "email slack"),
         "MemoryUsageCritical": ("critical", "2m", "email slack"),
         "PerformanceDegradation": ("warning", "10m", "slack"),
         "CacheHitRateLow": ("warning", "15m", "slack"),
         "MemoryUsageHigh": ("warning", "5m", "slack"),
         "ConfigurationChange": ("info", None, "slack"),
         "DeploymentEvent": ("info", None, "slack")}


def test_the_eight_rules_of_the_guide_are_there():
    by_name = {rule["alert"]: rule for rule in ALERTS}
    for name, (severity, duration, channels) in GUIDE.items():
        rule = by_name[name]
        assert rule["labels"]["severity"] == severity, name
        assert rule["labels"]["notify"].split("-") == channels.split(), name
        # "More than three failed checks" is a minute of scrapes; events have no duration.
        assert rule.get("for") == (duration or ("1m" if name == "SystemDown" else None)), name


def test_rules_are_valid_and_each_alert_is_tested_quiet_and_firing():
    machine.succeed(machine.program("promtool"), "check", "rules", prom.RULES)
    tests = machine.ROOT / "tests/deploy/rules_test.yaml"
    machine.succeed(machine.program("promtool"), "test", "rules", tests, seconds=120)
    quiet, firing = set(), set()
    for case in yaml.safe_load(tests.read_text())["tests"]:
        for check in case["alert_rule_test"]:
            (firing if check.get("exp_alerts") else quiet).add(check["alertname"])
    names = {rule["alert"] for rule in ALERTS}
    assert quiet == names and firing == names


def test_alert_texts_lead_to_a_page_that_exists():
    for rule in ALERTS:
        assert {"summary", "description", "runbook"} <= set(rule["annotations"]), rule["alert"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (machine.ROOT / page).read_text(), re.M)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{rule['alert']}: {page} has no heading for #{anchor}"


def test_prometheus_configuration_is_valid():
    machine.succeed(machine.program("promtool"), "check", "config", "--syntax-only",
                    machine.DEPLOY / "alerting/prometheus.yml")


def routed(**labels) -> set[str]:
    words = [f"{name}={value}" for name, value in labels.items()]
    output = machine.succeed(machine.program("amtool"), "config", "routes", "test",
                             f"--config.file={machine.DEPLOY}/alerting/alertmanager.yml", *words)
    return set(output.strip().split(","))


def test_alertmanager_configuration_and_routes():
    machine.succeed(machine.program("amtool"), "check-config", machine.DEPLOY / "alerting/alertmanager.yml")
    for rule in ALERTS:
        notify = rule["labels"]["notify"].split("-")
        wanted = {"slack-events" if rule["labels"]["severity"] == "info" and name == "slack" else name
                  for name in notify}
        assert routed(alertname=rule["alert"], **rule["labels"]) == wanted, rule["alert"]
    assert routed(alertname="SomethingElse") == {"slack"}


def test_alertmanager_keeps_no_secret_in_its_file():
    text = (machine.DEPLOY / "alerting/alertmanager.yml").read_text()
    secrets = re.findall(r"^\s*(\w*(?:password|url|key|token)\w*):", text, re.M)
    assert secrets and all(name.endswith("_file") for name in secrets), secrets


# --- with the real server ------------------------------------------------------------------------
def load(server, seconds: float) -> None:
    """Mixed traffic: misses, exact and semantic hits, refusals, feedback, JSON and SSE."""
    key = harness.fresh_key()
    deadline = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < deadline:
        turn += 1
        question = f"How do I water a cactus of kind {turn // 4}?"
        server.chat(question, key)
        server.chat(question, key, stream=True)
        hit = server.post("/cache/lookup", {"query": question, "model": "stand-in-1"}, key).json()
        right = server.chat(f"How should I water a cactus of kind {turn // 4}?", key)
        server.chat(f"Which river flows through town {turn}?", key)
        verdict = {"request_id": hit.get("request_id") or right.headers["x-cache-request-id"],
                   "correct": turn % 3 != 0}
        server.post("/cache/feedback", verdict, key)
        server.get("/health")
        time.sleep(0.02)


@pytest.fixture(scope="module")
def watched(standin_process, tmp_path_factory):
    """A server under load and a Prometheus that has seen ten seconds of it."""
    standin_process.reset()
    folder = tmp_path_factory.mktemp("watched")
    priced = {"EGPTC_MONITORING__PRICES": "stand-in*=1.5/6"}
    server = harness.Server(folder / "server", standin_process.base_url, priced).start()
    one = prom.Prometheus(folder / "prometheus", f"127.0.0.1:{server.port}", prom.RULES.read_text())
    harness.wait_until(one.is_ready, 30, "Prometheus being ready")
    load(server, 10)
    harness.wait_until(lambda: all(rule["lastError"] == "" if "lastError" in rule else True
                                   for rule in one.rules() if rule["health"] != "unknown")
                       and all(rule["health"] != "unknown" for rule in one.rules()), 20, "rules evaluated")
    yield server, one
    one.stop()
    assert server.stop() == 0


def test_every_metric_that_is_named_is_exported(watched):
    server, one = watched
    exported = {name.partition("{")[0] for name in server.metrics()}
    exported.add("tls_certificate_expiry_timestamp_seconds")  # with TLS only: tests/wire/test_tls.py
    recorded = {rule["record"] for rule in ALL_RULES if "record" in rule}
    expressions = [rule["expr"] for rule in ALL_RULES] + [text for _, text in prom.dashboard_expressions()]
    words = set()
    for expression in expressions:
        bare = re.sub(r'"[^"]*"|\[[^\]]*\]|(by|on) \([^)]*\)', " ", expression)
        bare = re.sub(r"\{[^}]*\}", " ", bare)
        words |= set(re.findall(r"[a-zA-Z_:][\w:]*", bare))
    language = {"sum", "rate", "increase", "by", "or", "and", "unless", "offset", "max", "on", "count", "le",
                "histogram_quantile", "resets", "absent", "up", "m", "vector", "time"}
    unknown = {word for word in words - language - recorded - exported
               if not re.fullmatch(r"\d*[smhd]", word)}
    assert not unknown, f"no such series in /metrics: {sorted(unknown)}"


def test_recorded_series_have_data(watched):
    _, one = watched
    for rule in ALL_RULES:
        assert "record" not in rule or one.query(rule["record"]), f"{rule['record']} is empty"


def test_no_rule_fails_and_none_fires_on_a_healthy_server(watched):
    _, one = watched
    assert [(rule["name"], rule["lastError"]) for rule in one.rules() if rule["health"] != "ok"] == []
    # Every third judgement of the load calls a hit wrong, on purpose; a fresh instance is a deployment.
    allowed = {"DeploymentEvent", "PoisoningSuspected", "FalseHitBudgetBurning"}
    assert one.firing() <= allowed


def test_no_panel_is_empty(watched):
    _, one = watched
    checked = 0
    for title, expression in prom.dashboard_expressions():
        samples = one.query(expression)
        values = [float(sample["value"][1]) for sample in samples]
        assert values and not all(math.isnan(value) for value in values), f"{title} is empty: {expression}"
        checked += 1
    assert checked > 40


def test_the_panels_of_the_guide_are_there():
    titles = {title for title, _ in prom.dashboard_expressions()}
    assert {"Response Time Distribution", "Cache Hit Rates by Layer", "System Resource Usage",
            "Throughput"} <= titles


@pytest.mark.slow
def test_alerts_fire_when_the_fault_is_there_and_resolve_when_it_is_gone(start_server, standin, tmp_path):
    server = start_server(config=harness.REQUIRED_SECTIONS, arguments=("--upstream.retries_max=0",))
    rules = prom.quickened(prom.RULES.read_text())
    one = prom.Prometheus(tmp_path / "prometheus", f"127.0.0.1:{server.port}", rules)
    done = threading.Event()

    def traffic():
        key, turn = harness.fresh_key(), 0
        while not done.is_set():
            turn += 1
            try:
                server.request("POST", "/v1/chat/completions", headers={"Authorization": f"Bearer {key}"},
                               json={"model": "m", "messages": [
                                   {"role": "user", "content": f"Which river flows through town {turn}?"}]})
            except OSError:
                pass
            time.sleep(0.03)

    def fires(name):
        harness.wait_until(lambda: name in one.firing(), 40, f"{name} firing")

    def resolves(name):
        harness.wait_until(lambda: name not in one.firing(), 60, f"{name} resolved")

    thread = threading.Thread(target=traffic)
    try:
        harness.wait_until(one.is_ready, 30, "Prometheus being ready")
        thread.start()
        harness.wait_until(lambda: one.query("count_over_time(config_reload_total[15s]) > 2"), 20, "scrapes")
        standin.rule(status=500)                      # an error storm, and nothing to hit
        server.config_path.write_text(harness.REQUIRED_SECTIONS + "cache: [\n")
        fires("ConfigReloadFailed")
        fires("HighErrorRate")
        fires("CacheHitRateLow")
        standin.reset()
        server.config_path.write_text(harness.REQUIRED_SECTIONS + "resources: {max_memory_mb: 64}\n")
        fires("ConfigurationChange")
        server.fill_memory(30)
        fires("MemoryUsageCritical")
        fires("MemoryUsageHigh")
        server.config_path.write_text(harness.REQUIRED_SECTIONS)
        resolves("MemoryUsageCritical")
        resolves("HighErrorRate")
        resolves("ConfigReloadFailed")
        done.set()
        thread.join(30)
        server.stop()
        fires("SystemDown")
        server.start()                                # with an empty cache
        resolves("SystemDown")
    finally:
        done.set()
        thread.join(30)
        one.stop()

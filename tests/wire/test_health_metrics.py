"""/health, /ready, /live and /metrics, both ways."""

import re
import shutil
import subprocess

import pytest

import harness


def test_health(server, key):
    body = server.get("/health").json()
    assert body["overall_status"] == "healthy" and body["timestamp"]
    checks = body["checks"]
    assert checks["cache_functionality"]["status"] == "healthy"
    assert checks["cache_functionality"]["threshold_ms"] == 100
    assert 0 <= checks["cache_functionality"]["response_time_ms"] < 100 * harness.SLOWNESS
    memory = checks["memory_usage"]
    assert 0 < memory["usage_percent"] < 100
    assert (memory["threshold_warning"], memory["threshold_critical"]) == (80, 90)
    assert checks["configuration"] == {**checks["configuration"], "status": "healthy", "valid": True}
    # How each fails: test_unhealthy_is_503, src/admin/health_test.cpp, src/app/health_checks_test.cpp.
    assert set(checks) == {"cache_functionality", "memory_usage", "configuration", "components"}
    names = ("pca_wrapper", "tau_manager", "context_filter", "verifier", "embedder", "storage")
    assert set(checks["components"]) == set(names)
    for name in names:
        assert checks["components"][name]["status"] == "healthy", name
        assert checks["components"][name]["enabled"] is True, name


def test_health_probe_leaves_no_trace(server, key):
    before = server.metrics()
    for _ in range(5):
        server.get("/health")
    after = server.metrics()
    counters = [name for name in before if name.startswith(("cache_hits_total", "cache_misses_total",
                                                            "cache_requests_total", "cache_entries"))]
    assert counters and all(after[name] == before[name] for name in counters)


def test_unhealthy_is_503(start_server):
    server = start_server({"EGPTC_RESOURCES__MAX_MEMORY_MB": 64})
    response = server.get("/health")
    body = response.json()
    percent = body["checks"]["memory_usage"]["usage_percent"]
    expected = "unhealthy" if percent >= 90 else "warning" if percent >= 80 else "healthy"
    assert body["checks"]["memory_usage"]["status"] == expected
    assert response.status_code == (503 if expected == "unhealthy" else 200)


def test_disabled_components_say_so(start_server):
    server = start_server({"EGPTC_PCA__ENABLED": "false", "EGPTC_FEDERATED__ENABLED": "false",
                           "EGPTC_CONTEXT__ENABLED": "false", "EGPTC_EMBEDDER__ENABLED": "false"})
    components = server.get("/health").json()["checks"]["components"]
    for name in ("pca_wrapper", "tau_manager", "context_filter", "embedder"):
        assert components[name]["enabled"] is False, name


def test_a_missing_verifier_is_a_warning_and_only_exact_hits_are_served(start_server, tmp_path):
    server = start_server({"EGPTC_CACHE__VERIFIER_DIR": str(tmp_path)})
    health = server.get("/health")
    assert health.status_code == 200 and health.json()["overall_status"] == "warning"
    verifier = health.json()["checks"]["components"]["verifier"]
    assert verifier["status"] == "warning" and str(tmp_path) in verifier["detail"], verifier
    server.post("/cache/entries", {"query": "How do I water a cactus?", "response": "Rarely."})
    near = server.post("/cache/lookup", {"query": "How can I water a cactus?"}).json()
    assert not near["hit"] and near["reason"] == "ineligible", near
    assert server.post("/cache/lookup", {"query": "How do I water a cactus?"}).json()["layer"] == "exact"


def test_ready_and_live(server):
    assert server.get("/ready").status_code == 200
    assert server.get("/live").status_code == 200


@pytest.mark.parametrize("accept, kind", [
    ("*/*", "json"), ("application/json", "json"), ("text/plain", "text"), ("", "text"),
    ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text"),
    ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", "text")], ids=str)
def test_metrics_form_by_accept(server, accept, kind):
    response = server.get("/metrics", headers={"Accept": accept or None})
    wanted = "application/json" if kind == "json" else "text/plain"
    assert response.headers["content-type"].startswith(wanted)


def test_metrics_form_by_query(server):
    assert server.get("/metrics?format=json", headers={"Accept": "text/plain"}).json()
    assert "# TYPE" in server.get("/metrics?format=prometheus", headers={"Accept": "application/json"}).text
    assert server.get("/metrics?format=xml").status_code == 400


def test_summary(server, key):
    server.post("/cache/entries", {"query": "What is counted?", "response": "Calls."}, key)
    for question in ("What is counted?", "How are things counted on Mars?"):
        server.post("/cache/lookup", {"query": question}, key)
    body = server.get("/metrics", headers={"Accept": "*/*"}).json()
    times = body["response_times"]
    assert {"count", "mean", "p50", "p95", "p99", "min", "max"} <= set(times)
    assert times["min"] <= times["p50"] <= times["p95"] <= times["p99"] <= times["max"]
    for layer in ("exact", "semantic"):
        row = body["cache_performance"][layer]
        assert row["hit_rate"] == pytest.approx(row["hits"] / max(1, row["hits"] + row["misses"]), abs=1e-3)
    assert {"cpu_percent", "memory_percent", "uptime_seconds"} <= set(body["system_metrics"])


def delta(server, action) -> dict[str, float]:
    before = server.metrics()
    action()
    after = server.metrics()
    return {name: value - before.get(name, 0)
                                     for name, value in after.items() if value != before.get(name, 0)}


def test_counters_count(server, standin, key):
    question = "Which metric counts this?"
    changed = delta(server, lambda: server.chat(question, key=key))
    assert changed['cache_requests_total{outcome="miss"}'] == 1
    assert changed['cache_misses_total{layer="exact"}'] == 1
    assert changed['cache_misses_total{layer="semantic"}'] == 1
    changed = delta(server, lambda: server.chat(question, key=key))
    assert changed['cache_requests_total{outcome="hit"}'] == 1
    assert changed['cache_hits_total{layer="exact"}'] == 1
    changed = delta(server, lambda: server.chat("Which metric is it that counts this?", key=key))
    assert changed['cache_hits_total{layer="semantic"}'] == 1
    assert changed['cache_misses_total{layer="exact"}'] == 1
    changed = delta(server, lambda: server.chat("Hot one", key=key, temperature=1.9))
    assert changed['cache_requests_total{outcome="bypass"}'] == 1
    changed = delta(server, lambda: server.chat(question, key=key, headers={"X-Cache-Control": "no-cache"}))
    assert changed['cache_requests_total{outcome="refresh"}'] == 1
    requests = delta(server, lambda: server.get("/live"))
    assert any(name.startswith("requests_total{") and "live" in name for name in requests)


def test_required_names(server, key):
    server.chat("Names, please.", key=key)
    names = {re.match(r"[a-zA-Z_:][\w:]*", name)[0] for name in server.metrics()}
    assert {"response_time_bucket", "response_time_sum", "response_time_count", "cache_hits_total",
            "cache_misses_total", "requests_total", "memory_usage_percent", "cpu_usage_percent",
            "config_reload_total", "deployment_info", "cache_requests_total"} <= names


def test_bucket_bounds(server, key):
    server.chat("Bounds, please.", key=key)
    bounds = {float(re.search(r'le="([^"]+)"', name)[1]) for name in server.metrics()
              if name.startswith("response_time_bucket")}
    assert min(bounds) == 0.05 and 10000 in bounds and float("inf") in bounds


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_text(server, key):
    server.chat("Checked by promtool?", key=key)
    text = server.get("/metrics?format=prometheus").content
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    complaints = [line for line in done.stdout.decode().splitlines() + done.stderr.decode().splitlines()
                  if line and not any(fixed in line for fixed in ("response_time", "percent"))]
    assert b"error" not in done.stderr.lower() and complaints == [], complaints


def test_cardinality_is_bounded(server, key):
    before = len(server.metrics())
    for number in range(60):
        server.get(f"/no/such/path/{number}")
        server.chat("Same words", key=harness.fresh_key(), model=f"model-{number}")
        server.request(f"VERB{number}", "/live")
    assert len(server.metrics()) - before < 60


def test_metrics_can_be_off(start_server):
    for environment in ({"METRICS_ENABLED": "false"}, {"EGPTC_MONITORING__METRICS_ENABLED": "false"}):
        server = start_server(environment)
        assert server.get("/metrics").status_code == 404
        assert server.get("/health").status_code == 200


def test_feedback_is_counted_once_by_verdict(server, key):
    question = "How do I count verdicts?"
    server.post("/cache/entries", {"query": question, "response": "By hand."}, key)
    hits = [server.post("/cache/lookup", {"query": question}, key).json()["request_id"] for _ in range(2)]

    def judge():
        for request_id, correct in ((hits[0], True), (hits[0], True), (hits[1], False)):
            server.post("/cache/feedback", {"request_id": request_id, "correct": correct}, key)

    counted = delta(server, judge)
    changed = {name: by for name, by in counted.items() if name.startswith("cache_feedback_total")}
    assert changed == {'cache_feedback_total{verdict="confirmed"}': 1,
                       'cache_feedback_total{verdict="false_hit"}': 1}
    stored = server.post("/cache/entries", {"query": question, "response": "So."}, key).json()
    near = {"query": "How can I count verdicts?", "threshold": 0.9999}
    lost = server.post("/cache/lookup", near, key).json()
    changed = delta(server, lambda: server.post(
        "/cache/feedback", {"request_id": lost["request_id"], "missed_entry_id": stored["ids"][0]}, key))
    assert changed['cache_feedback_total{verdict="lost_hit"}'] == 1


def test_health_answers_and_the_error_target_are_exported(start_server):
    server = start_server(config=harness.REQUIRED_SECTIONS + "resources: {max_memory_mb: 64}\n")
    server.fill_memory(30)
    assert server.get("/health").status_code == 503
    assert server.metrics()['health_checks_total{status="unhealthy"}'] == 1
    assert server.metrics()["cache_target_error_rate"] == 0.25
    server.config_path.write_text("cache: {target_error_rate: 0.02}\ncontext: {}\npca: {}\nfederated: {}\n")
    harness.wait_until(lambda: server.metrics()["cache_target_error_rate"] == 0.02, 10, "the new target")
    server.get("/health")
    assert server.metrics()['health_checks_total{status="healthy"}'] == 1


def test_health_is_worked_out_at_each_scrape(start_server):
    """An alert on it needs nobody who asks /health."""
    server = start_server(config=harness.REQUIRED_SECTIONS + "resources: {max_memory_mb: 64}\n")
    first = server.metrics()
    server.fill_memory(30)
    assert server.metrics()["health_status"] == 2, "unhealthy"
    server.config_path.write_text(harness.REQUIRED_SECTIONS)
    # On a busy machine the probe may take longer than a healthy one does.
    harness.wait_until(lambda: server.metrics()["health_status"] < 2, 10, "no longer unhealthy")
    server.config_path.write_text("cache: {size_mb: 0}\ncontext: {}\npca: {}\nfederated: {}\n")
    harness.wait_until(lambda: server.metrics()["health_status"] == 1, 10, "the warning about the file")
    last = server.metrics()
    asked = [name for name in last if name.startswith(("health_checks_total", "cache_misses_total"))]
    assert asked and all(last[name] == first[name] for name in asked), "nobody asked, nothing was looked up"

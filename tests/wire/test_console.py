"""What the operator console asks of the server: its files, who the caller is, figures as events, thresholds,
settings that are only checked, copies of the entries. The page itself is tested in tests/console."""

import gzip
import hashlib
import json
import time

import pytest

import harness
import secure
import sse
from settings_walk import changes

QUESTION = "How do I change the toner of the printer in room 4?"
PARAPHRASE = "How can I change the toner of the printer in room 4?"

FILES = {
    "": "text/html; charset=utf-8",
    "/app.js": "text/javascript; charset=utf-8",
    "/style.css": "text/css; charset=utf-8",
    "/mark.svg": "image/svg+xml",
    "/licences.txt": "text/plain; charset=utf-8",
}


def events(server, count: int, interval_ms: int = 200, **options) -> list[dict]:
    params = {"count": count, "interval_ms": interval_ms}
    answer = server.get("/admin/events", params=params, **options)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/event-stream"
    return sse.events_of(answer)


# --- files ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FILES)
def test_files_are_those_of_the_repository(server, name):
    path = harness.ROOT / "console/generated" / (name.lstrip("/") or "index.html")
    plain = server.get(f"/console{name}", headers={"Accept-Encoding": "identity"})
    assert plain.status_code == 200 and plain.headers["content-type"] == FILES[name]
    assert plain.content == path.read_bytes()
    assert plain.headers["etag"] == '"' + hashlib.sha256(plain.content).hexdigest()[:32] + '"'
    packed = server.get(f"/console{name}", headers={"Accept-Encoding": "gzip"}, stream=True)
    raw = packed.raw.read(decode_content=False)
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(raw) == plain.content
    assert packed.headers["vary"] == "Accept-Encoding" and packed.headers["etag"] != plain.headers["etag"]
    known = server.get(f"/console{name}", headers={"If-None-Match": plain.headers["etag"]})
    assert known.status_code == 304 and known.content == b""
    head = server.request("HEAD", f"/console{name}", headers={"Accept-Encoding": "identity"})
    assert head.status_code == 200 and int(head.headers["content-length"]) == len(plain.content)


def test_files_come_with_a_policy_that_lets_nothing_in(server):
    headers = server.get("/console").headers
    parts = headers["content-security-policy"].split(";")
    policy = dict(part.strip().split(" ", 1) for part in parts)
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self'" and policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/console/none.js", "/console/app.js/x", "/console/%2e%2e/x"])
def test_there_is_nothing_else(server, path):
    assert server.get(path).status_code == 404


def test_a_trailing_slash_leads_to_the_page(server):
    answer = server.get("/console/", allow_redirects=False)
    assert answer.status_code == 308 and answer.headers["location"] == "../console"
    assert server.post("/console", {}).status_code == 405


@changes("server.console")
def test_the_console_can_be_left_out(start_server):
    server = start_server({"EGPTC_SERVER__CONSOLE": "false"})
    for path in ("/console", "/console/app.js", "/console/session"):
        assert server.get(path).status_code == 404
    assert "/console" not in server.get("/openapi.json").json()["paths"]
    assert events(server, 1), "what it asked for is still there"


# --- who the caller is -----------------------------------------------------------------------------
def test_session_without_security(server):
    session = server.get("/console/session").json()
    assert session["security"] is False and "role" not in session
    assert {"method": "GET", "path": "/admin/keys"} in session["allowed"]


def test_session_tells_a_key_what_it_may(standin_process, tmp_path):
    server = secure.start(tmp_path, standin_process.base_url)
    try:
        assert server.get("/console/session").status_code == 401
        for role, reads_stats, lists_keys in (("viewer", True, False), ("client", False, False),
                                              ("admin", True, True)):
            session = server.get_as("/console/session", server.key(role, tenant="acme")).json()
            assert session["security"] is True and session["role"] == role
            assert session["tenant"].endswith("acme") and session["id"].startswith("key:")
            allowed = [(row["method"], row["path"]) for row in session["allowed"]]
            assert (("GET", "/admin/stats") in allowed) is reads_stats
            assert (("GET", "/admin/keys") in allowed) is lists_keys
        narrow = server.get_as("/console/session", server.key("admin", scopes=["proxy"])).json()
        assert [row for row in narrow["allowed"] if row["path"].startswith("/admin")] == []
        operator = server.key("operator", tenant="acme")
        own = server.get_as("/admin/tau?user=anna&tenant=acme", operator).json()
        assert own["asked"]["source"] == "initial"
        elsewhere = server.get_as("/admin/tau?user=anna&tenant=other", operator)
        assert elsewhere.status_code == 403 and "only admins" in elsewhere.json()["error"]["message"]
        assert server.get_as("/admin/tau?user=anna&tenant=other", server.admin).status_code == 200
        assert server.get_as("/admin/events", server.key("client")).status_code == 403
        assert len(events(server, 1, headers={"Authorization": f"Bearer {server.key('viewer')}"})) == 1
    finally:
        assert server.stop() == 0


# --- figures ---------------------------------------------------------------------------------------
def test_events_follow_what_happens(server, standin, key):
    before = events(server, 1)[0]
    assert server.chat("Which figures are alive?", key=key).status_code == 200
    assert server.chat("Which figures are alive?", key=key).headers["x-cache"] == "HIT"
    first, second = events(server, 2)
    assert first["requests"]["hit"] == before["requests"]["hit"] + 1
    assert first["requests"]["miss"] == before["requests"]["miss"] + 1
    assert first["layers"]["exact"]["hits"] == before["layers"]["exact"]["hits"] + 1
    assert first["cache"]["entries"] == before["cache"]["entries"] + 1
    assert first["tokens"]["saved"] > before["tokens"]["saved"]
    assert first["tokens"]["spent"] > before["tokens"]["spent"]
    assert second["at_ms"] >= first["at_ms"] + 150
    assert second["uptime_seconds"] > 0 and 0 < second["process"]["memory_percent"] < 100
    hits = next(one for one in second["latency"]["series"]
                if (one["layer"], one["outcome"]) == ("exact", "hit"))
    assert hits["buckets"][-1] == hits["count"] == sum(
        value for name, value in server.metrics().items()
        if name.startswith("response_time_count") and 'layer="exact"' in name)
    assert len(hits["buckets"]) == len(second["latency"]["bounds_ms"]) + 1


@pytest.mark.parametrize("query,named", [("interval_ms=1", "interval_ms"), ("count=-1", "count"),
                                         ("interval_ms=99999", "10000"), ("every=1", "every")])
def test_events_refuse_what_they_cannot_read(server, query, named):
    answer = server.get(f"/admin/events?{query}")
    assert answer.status_code == 400 and named in answer.json()["error"]["message"]


def test_streams_are_limited_and_do_not_hold_up_a_stop(start_server):
    server = start_server({"EGPTC_SERVER__DRAIN_TIMEOUT_SECONDS": "60"})
    open_ones = []
    for _ in range(32):
        stream = server.get("/admin/events?interval_ms=10000", stream=True)
        assert stream.status_code == 200
        open_ones.append(stream)
    refused = server.get("/admin/events")
    assert refused.status_code == 503 and "32 streams" in refused.json()["error"]["message"]
    assert server.get("/health").status_code == 200
    for stream in open_ones[:16]:
        stream.close()
    server.session.close()
    harness.wait_until(lambda: server.get("/admin/events?count=1").status_code == 200, 10, "a free place")
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 30 * harness.SLOWNESS, "streams end by themselves"


# --- thresholds --------------------------------------------------------------------------------------
def test_taus_are_listed_under_pseudonyms(start_server):
    server = start_server({"EGPTC_FEDERATED__AGGREGATION_FREQUENCY": "2",
                           "EGPTC_CACHE__DECISION": "adaptive"})
    empty = server.get("/admin/tau").json()
    assert empty["enabled"] and empty["users"] == 0 and empty["list"] == empty["rounds"] == []
    assert empty["global_tau"] == empty["initial_tau"] == 0.85 and not empty["is_learned"]
    subject = {"X-Cache-Subject": "anna@example.org"}
    for _ in range(2):
        server.post("/cache/entries", {"query": QUESTION, "response": "a"})
        hit = server.post("/cache/lookup", {"query": PARAPHRASE}, headers=subject).json()
        assert hit["layer"] == "semantic"
        verdict = {"request_id": hit["request_id"], "correct": False}
        assert server.post("/cache/feedback", verdict, headers=subject).json()["action"] == "removed"
    taus = server.get("/admin/tau", params={"user": "anna@example.org"}).json()
    assert taus["users"] == 1 and taus["updates"] == 2 and taus["aggregations"] == 1
    (anna,) = taus["list"]
    assert anna["tau"] == pytest.approx(0.87) and anna["samples"] == 2
    assert taus["asked"] == {"user": anna["user"], "tau": anna["tau"], "source": "user"}
    assert "anna" not in json.dumps(taus)
    (round_,) = taus["rounds"]
    assert round_["users"] == 1 and round_["from"] == 0.85 and round_["to"] == taus["global_tau"]
    assert abs(round_["at_ms"] / 1000 - time.time()) < 600
    stranger = server.get("/admin/tau?user=bob&limit=1").json()["asked"]
    assert stranger["source"] == "global" and stranger["tau"] == taus["global_tau"]
    for query, named in (("limit=0", "1 to 1000"), ("user=" + "a" * 300, "256"), ("name=x", "name")):
        answer = server.get(f"/admin/tau?{query}")
        assert answer.status_code == 400 and named in answer.json()["error"]["message"], query


def test_labels_fall_where_their_probability_was_stated(server, key):
    def total(field: str) -> int:
        bins = server.get("/admin/stats").json()["labels_by_probability"]
        return sum(one["lost"] if field == "lost" else sum(one[field].values()) for one in bins)

    before = {field: total(field) for field in ("right", "wrong", "lost")}
    server.post("/cache/entries", {"query": QUESTION, "response": "a"}, key)
    hit = server.post("/cache/lookup", {"query": PARAPHRASE}, key).json()
    assert hit["layer"] == "semantic"
    assert server.post("/cache/feedback", {"request_id": hit["request_id"], "correct": True}, key).ok
    assert total("right") == before["right"] + 1
    missed = server.post("/cache/lookup", {"query": PARAPHRASE, "threshold": 0.9999}, key).json()
    verdict = {"request_id": missed["request_id"], "missed_entry_id": hit["entry_id"]}
    assert server.post("/cache/feedback", verdict, key).json()["action"] == "recorded_lost_hit"
    assert total("lost") == before["lost"] + 1
    exact = server.post("/cache/lookup", {"query": QUESTION}, key).json()
    assert server.post("/cache/feedback", {"request_id": exact["request_id"], "correct": True}, key).ok
    assert total("right") == before["right"] + 1 and total("wrong") == before["wrong"], "no semantic decision"


# --- settings and copies ---------------------------------------------------------------------------
def test_the_schema_is_the_table(server):
    keys = {row["name"]: row for row in server.get("/admin/config/schema").json()["keys"]}
    assert keys["cache.similarity_threshold"]["min"] == 0 and keys["cache.similarity_threshold"]["max"] == 1
    assert "adaptive" in keys["cache.decision"]["choices"] and keys["upstream.api_key"]["secret"]
    shown = server.get("/admin/config").json()
    assert {f"{section}.{key}" for section, rows in shown["sections"].items() for key in rows} == set(keys)
    assert shown["pending_restart"] == [] and shown["valid"] is True and shown["errors"] == []


def test_a_dry_run_changes_nothing(start_server):
    server = start_server({"EGPTC_SERVER__THREADS": "2"})
    put = lambda body, dry_run="true": server.request("PUT", f"/admin/config?dry_run={dry_run}", json=body)
    ttl = lambda: server.get("/admin/config").json()["sections"]["cache"]["ttl_seconds"]["value"]
    checked = put({"cache.ttl_seconds": 60, "server.idle_timeout_seconds": 9}).json()
    assert checked == {"changed": ["cache.ttl_seconds"], "pending_restart": ["server.idle_timeout_seconds"]}
    refused = put({"cache.ttl_seconds": -1})
    assert refused.status_code == 400 and "cache.ttl_seconds" in refused.json()["error"]["message"]
    assert put({"cache.ttl_seconds": 60}, "maybe").status_code == 400
    assert ttl() == 0 and not list((server.folder / "storage").glob("admin_config*"))
    assert put({"cache.ttl_seconds": 60}, "false").status_code == 200 and ttl() == 60
    under = put({"server.threads": 9}).json()
    assert under["overridden_by"] == {"server.threads": "EGPTC_SERVER__THREADS"}


def test_copies_are_listed(start_server):
    server = start_server()
    listed = lambda: server.get("/admin/backup").json()
    assert listed()["copies"] == [] and listed()["copies_max"] == 4
    made = server.post("/admin/backup").json()
    (copy,) = listed()["copies"]
    assert copy["name"] == made["name"] and copy["path"] == made["path"]
    assert abs(copy["made_ms"] / 1000 - time.time()) < 600
    assert server.request("DELETE", f"/admin/backup/{made['name']}").status_code == 200
    assert listed()["copies"] == []


def test_a_reader_of_events_does_not_slow_down_others(server, key):
    """A client that never reads its stream holds its own connection only."""
    stream = server.get("/admin/events?interval_ms=200", stream=True)
    try:
        for number in range(20):
            assert server.post("/cache/lookup", {"query": f"Is it number {number}?"}, key).status_code == 200
    finally:
        stream.close()


def test_a_stream_ends_when_its_key_is_revoked(standin, tmp_path):
    server = secure.start(tmp_path / "secure", standin.base_url, EGPTC_EMBEDDER__ENABLED="false")
    try:
        made = server.create(role="viewer")
        stream = server.get_as("/admin/events?interval_ms=200", made["key"], stream=True, timeout=30)
        lines = stream.iter_lines()
        assert stream.status_code == 200 and next(lines) == b"event: stats"
        gone = server.request("DELETE", f"/admin/keys/{made['key'].split('_')[1]}",
                              headers={"Authorization": f"Bearer {server.admin}"})
        assert gone.status_code < 300, gone.text
        left = sum(line == b"event: stats" for line in lines)
        assert left <= 2, "at most what was on its way"
    finally:
        assert server.stop() == 0

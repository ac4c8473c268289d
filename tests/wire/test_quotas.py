"""What one tenant may keep: beyond it, it loses entries of its own and never another's."""

import pytest

import harness
import secure
from settings_walk import changes

PADDING = "x" * 50_000


@pytest.fixture
def quota_server(standin_process, tmp_path):
    one = secure.start(tmp_path, standin_process.base_url)
    yield one
    assert one.stop() == 0, one.log()[-3000:]


def store(server, key, numbers, response="stored"):
    rows = [{"query": f"Question number {n} of the tenant?", "response": response} for n in numbers]
    done = server.post("/cache/entries", {"entries": rows}, key)
    assert done.status_code == 201, done.text


def held(server, tenant) -> int:
    """Entries of a tenant, page by page: what an operator of it sees."""
    key = server.key(tenant=tenant, role="operator")
    count, cursor = 0, ""
    while True:
        page = server.get_as(f"/cache/entries?limit=100{cursor}", key).json()
        count += len(page["entries"])
        if not page.get("next_cursor"):
            return count
        cursor = f"&cursor={page['next_cursor']}"


def has(server, key, number) -> bool:
    query = f"Question number {number} of the tenant?"
    return server.post("/cache/lookup", {"query": query}, key).json().get("layer") == "exact"


def evicted(server) -> float:
    text = server.get_as("/metrics?format=prometheus", server.admin).text
    name = 'cache_evictions_total{cause="quota"}'
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return next(float(line.split()[-1]) for line in lines if name in line)


@changes("limits.tenant_entries_max")
def test_entries_of_a_tenant(quota_server):
    server = quota_server
    quiet, busy = server.key(tenant="quiet"), server.key(tenant="busy")
    store(server, quiet, range(30))
    assert server.configure(limits__tenant_entries_max=10).json()["pending_restart"] == []
    assert held(server, "quiet") == 10, "a lower quota holds at once"
    store(server, busy, range(8))
    assert has(server, busy, 0)
    store(server, busy, range(8, 40))
    for n in range(40, 45):
        assert server.chat(f"Learned from traffic {n}?", key=busy).headers["x-cache"] == "MISS"
    harness.wait_until(lambda: held(server, "busy") == 10, 10, "learned answers count too")
    assert held(server, "quiet") == 10 and has(server, quiet, 29) and not has(server, quiet, 19)
    assert evicted(server) == 20 + 35
    # The disk follows: a restart without a quota finds what was left.
    assert server.configure(limits__tenant_entries_max=0).status_code == 200
    assert server.stop() == 0
    server.start()
    assert held(server, "quiet") == 10 and held(server, "busy") == 10
    store(server, busy, range(100, 120))
    assert held(server, "busy") == 30, "0 is no limit"


@changes("limits.tenant_mb_max")
def test_bytes_of_a_tenant(quota_server):
    server = quota_server
    quiet, busy = server.key(tenant="quiet"), server.key(tenant="busy")
    store(server, quiet, range(15), PADDING)
    assert server.configure(limits__tenant_mb_max=1).json()["pending_restart"] == []
    for start in range(0, 60, 10):
        store(server, busy, range(start, start + 10), PADDING)
    assert 15 <= held(server, "busy") <= 20, "a MiB holds 20 of them at most"
    assert has(server, busy, 59) and not has(server, busy, 0)
    assert held(server, "quiet") == 15, "another tenant keeps all"
    refused = server.post("/cache/entries", {"query": "Too large?", "response": "x" * (1 << 20)}, busy)
    assert refused.status_code >= 400 and "1048576" in refused.text
    assert has(server, busy, 59), "what cannot fit pushes nothing out"


def test_values_out_of_range(quota_server):
    for name in ("limits__tenant_entries_max", "limits__tenant_mb_max"):
        refused = quota_server.configure(**{name: -1})
        assert refused.status_code == 400 and name.replace("__", ".") in refused.text and "0" in refused.text

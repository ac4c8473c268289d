"""The audit log of a running server: what is in it, what is not, and that changes to it show."""

import json
import re

import pytest

import harness
import secure
from settings_walk import changes

QUESTION = "What is written down about this?"


@pytest.fixture
def server(standin, tmp_path):
    one = secure.start(tmp_path, standin.base_url)
    yield one
    if one.process is not None:
        assert one.stop() == 0, one.log()[-3000:]


def lines(server) -> list[dict]:
    text = (server.folder / "storage/audit/audit.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def wait_for(server, event: str, count: int = 1, **fields) -> list[dict]:
    def found():
        hits = [
            row
            for row in lines(server)
            if row["event"] == event and all(row[name] == value for name, value in fields.items())
        ]
        return hits if len(hits) >= count else None

    return harness.wait_until(found, 10, f"{count} x {event} {fields}")


def test_acts_and_refusals_are_written_down(server):
    made = server.create(role="operator", name="audited")
    key, prefix = made["key"], made["prefix"]
    server.chat(QUESTION, key=key)
    server.post("/cache/flush", {"confirm": "flush"}, key)
    server.post("/cache/invalidate", {"tags": ["x"]}, key)
    assert server.get_as("/admin/keys", key).status_code == 403
    assert server.get("/v1/models").status_code == 401
    assert server.chat(QUESTION, key="egptc_0123456789ab_" + "0" * 64).status_code == 401
    assert server.configure(cache__mode="shadow").status_code == 200
    server.request("DELETE", f"/admin/keys/{prefix}", headers={"Authorization": f"Bearer {server.admin}"})
    admin = f"key:{server.admin.split('_')[1]}"
    assert prefix in wait_for(server, "admin", path="/admin/keys", actor=admin)[0]["detail"]
    assert wait_for(server, "admin", path="/cache/flush", actor=f"key:{prefix}")[0]["role"] == "operator"
    assert wait_for(server, "admin", path="/cache/invalidate")
    assert wait_for(server, "admin", path=f"/admin/keys/{prefix}", method="DELETE", status=200)
    assert "cache.mode" in wait_for(server, "admin", path="/admin/config")[0]["detail"]
    assert wait_for(server, "access.refused", path="/admin/keys", status=403, actor=f"key:{prefix}")
    refused = wait_for(server, "access.refused", 2, status=401)
    assert {row["path"] for row in refused} == {"/v1/models", "/v1/chat/completions"}
    assert all(row["address"] == "127.0.0.1" for row in refused)
    assert wait_for(server, "server.start") and wait_for(server, "settings.changed")
    assert not [
        row for row in lines(server) if row["path"] == "/v1/chat/completions" and row["status"] == 200
    ]


def test_nothing_secret_is_in_it(server):
    key = server.key(tenant="acme")
    secrets = [
        key,
        key.split("_")[2],
        server.admin.split("_")[2],
        QUESTION,
        "sk-of-the-operator",
        "sk-passing",
    ]
    server.chat(QUESTION, key=key)
    server.chat(QUESTION, key="sk-passing")
    server.get(f"/v1/files?key={key}")
    server.get(f"/admin/keys/{key}")
    server.request("DELETE", f"/admin/keys/{key}", headers={"Authorization": f"Bearer {server.admin}"})
    server.chat(QUESTION, headers={"X-EGPTC-Key": "sk-passing"})
    server.post("/admin/keys", {"role": "king", "name": QUESTION}, server.admin)
    wait_for(server, "access.refused", 3)
    wait_for(server, "admin", method="DELETE")
    text = (server.folder / "storage/audit/audit.jsonl").read_text()
    assert [secret for secret in secrets if secret in text] == []
    assert re.search(r"egptc_[0-9a-f]{12}_", text) is None


def test_it_can_be_read_over_http_and_by_the_command_line(server):
    server.key()
    wait_for(server, "admin", path="/admin/keys")
    answer = server.get_as("/admin/audit?limit=2", server.admin).json()["entries"]
    assert len(answer) == 2 and answer[-1]["seq"] == answer[0]["seq"] + 1
    assert server.get_as("/admin/audit?limit=0", server.admin).status_code == 400
    assert server.get_as("/admin/audit?colour=red", server.admin).status_code == 400
    assert server.get_as("/admin/audit", server.key("operator")).status_code == 403
    tail = secure.cli(server, "audit", "tail", "--count", "3").stdout.splitlines()
    assert len(tail) == 3 and json.loads(tail[-1])["seq"]
    done = secure.cli(server, "audit", "verify")
    assert done.returncode == 0 and "the chain holds" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("damage", ["changed", "removed", "reordered", "truncated", "emptied", "head"])
def test_verify_finds_what_was_done_to_it(server, damage):
    for _ in range(4):
        server.key()
    wait_for(server, "admin", 4)
    assert server.stop() == 0
    path = server.folder / "storage/audit/audit.jsonl"
    rows = path.read_text().splitlines()
    if damage == "changed":
        rows[2] = rows[2].replace("client", "viewer")
    elif damage == "removed":
        del rows[2]
    elif damage == "reordered":
        rows[2], rows[3] = rows[3], rows[2]
    elif damage == "truncated":
        rows = rows[:-1]
    elif damage == "emptied":
        rows = []
    elif damage == "head":
        (server.folder / "storage/audit/head.json").unlink()
    path.write_text("".join(row + "\n" for row in rows))
    done = secure.cli(server, "audit", "verify")
    assert done.returncode == 1 and "THE CHAIN IS BROKEN" in done.stdout
    if damage in ("changed", "removed", "reordered"):
        assert "audit.jsonl:3" in done.stdout
    server.start()
    assert secure.cli(server, "audit", "verify").returncode == 1, "a restart heals nothing"


def test_a_crash_breaks_no_chain(server):
    for round_number in range(3):
        for _ in range(5):
            server.post("/admin/keys", {"role": "client"}, server.admin)
        server.process.kill()
        server.process.wait()
        server.start()
    done = secure.cli(server, "audit", "verify")
    assert done.returncode == 0, done.stdout


@changes("security.audit")
def test_it_can_be_off(standin, tmp_path):
    server = secure.start(tmp_path, standin.base_url, EGPTC_SECURITY__AUDIT="false")
    server.key()
    assert server.get_as("/admin/audit", server.admin).status_code == 404
    assert not (tmp_path / "storage/audit").exists()
    assert server.stop() == 0


@changes("security.audit_mb_max", "security.audit_files_max", "security.audit_refusals_per_second")
def test_it_is_bounded(standin, tmp_path):
    server = secure.start(
        tmp_path,
        standin.base_url,
        EGPTC_SECURITY__AUDIT_MB_MAX=1,
        EGPTC_SECURITY__AUDIT_FILES_MAX=1,
        EGPTC_SECURITY__AUDIT_REFUSALS_PER_SECOND=100000,
    )
    folder = tmp_path / "storage/audit"
    path = "/v1/" + "a" * 2000  # shown in part
    seen = set()
    for _ in range(9000):
        server.get(path)
        if len(seen) < 3:
            seen |= {one.name for one in folder.glob("audit-*.jsonl")}
        else:
            break
    assert len(seen) >= 3, "files are closed at their size"
    harness.wait_until(lambda: len(list(folder.glob("audit-*.jsonl"))) == 1, 10, "the oldest to go")
    assert server.stop() == 0
    done = secure.cli(server, "audit", "verify")
    assert done.returncode == 0, done.stdout
    slow = secure.start(tmp_path / "slow", standin.base_url, EGPTC_SECURITY__AUDIT_REFUSALS_PER_SECOND=1)
    for _ in range(300):
        slow.get("/v1/models")
    slow.key()
    wait_for(slow, "admin")
    assert len([row for row in lines(slow) if row["event"] == "access.refused"]) < 50
    assert [row for row in lines(slow) if row["event"] == "audit.suppressed"]
    assert slow.stop() == 0


def test_security_off_is_audited_too(start_server):
    server = start_server()
    server.request("PUT", "/admin/config", json={"cache.mode": "serve"})
    server.get("/admin/config", headers={"Host": "attacker.example"})
    assert wait_for(server, "admin", path="/admin/config", actor="local")
    assert wait_for(server, "access.refused", path="/admin/config", status=421)

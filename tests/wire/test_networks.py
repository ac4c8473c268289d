"""Where callers may come from, with security on."""

import harness
from settings_walk import changes
from test_security import QUESTION, module_server, server  # noqa: F401  the fixtures of the same server


# --- the network -------------------------------------------------------------------------------
@changes("security.metrics_open")
def test_metrics_can_be_open(server):
    assert server.get("/metrics").status_code == 401
    assert server.configure(security__metrics_open=True).status_code == 200
    assert server.get("/metrics").status_code == 200
    assert server.configure(security__metrics_open=False).status_code == 200
    assert server.get("/metrics").status_code == 401


@changes("security.admin_networks", "security.trusted_proxies")
def test_admin_networks(server):
    def status(forwarded: str | None = None, *more: str) -> int:
        headers = {"Authorization": f"Bearer {server.admin}"}
        if forwarded is not None:
            headers["X-Forwarded-For"] = forwarded
        return server.get("/admin/stats", headers=headers).status_code

    assert status() == 200
    assert server.configure(security__admin_networks=["127.0.0.0/8"]).status_code == 200
    assert status("203.0.113.9") == 200, "nobody trusts this header yet"
    wanted = {
        "security.admin_networks": ["203.0.113.0/24", "2001:db8::/32"],
        "security.trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"],
    }
    headers = {"Authorization": f"Bearer {server.admin}", "X-Forwarded-For": "203.0.113.9"}
    assert server.request("PUT", "/admin/config", json=wanted, headers=headers).status_code == 200
    for forwarded, wanted in (
        (None, 403),
        ("203.0.113.9", 200),
        ("198.51.100.1", 403),
        ("2001:db8::5", 200),
        ("203.0.113.9, 10.1.1.1", 200),
        ("203.0.113.9, 198.51.100.1", 403),
        ("198.51.100.1, 203.0.113.9, 10.1.1.1", 200),
        ("203.0.113.9, unknown", 403),
        ("", 403),
        ("203.0.113.9:4711", 200),
        ("garbage", 403),
    ):
        assert status(forwarded) == wanted, forwarded
    assert server.chat(QUESTION, key=server.admin).status_code == 200, "only /admin is narrowed"
    headers = {"Authorization": f"Bearer {server.admin}", "X-Forwarded-For": "203.0.113.9"}
    assert server.request("POST", "/admin/config/reset", headers=headers).status_code == 200
    refused = server.configure(security__admin_networks=["10.0.0.1/8"])
    assert refused.status_code == 400 and "admin_networks" in refused.text


def test_it_listens_to_all_when_secure(tmp_path):
    done = harness.run_binary(
        "validate-config",
        "--print",
        "server.host",
        environment={"EGPTC_SECURITY__ENABLED": "true"},
        folder=tmp_path,
    )
    assert done.stdout.strip() == "0.0.0.0"
    done = harness.run_binary("validate-config", "--print", "server.host", folder=tmp_path)
    assert done.stdout.strip() == "127.0.0.1"

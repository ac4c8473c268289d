"""Who may reach /admin, /cache and /v1 while security is off, and what happens before the server is ready."""

import http.client

import pytest
import requests

import harness

QUESTION = "Who may ask this?"
ADMIN, CACHE, CHAT = "/admin/config", "/cache/entries", "/v1/chat/completions"


@pytest.mark.parametrize("path", [ADMIN, CACHE])
def test_names_of_others_are_rebinding(server, path):
    assert server.get(path, headers={"Host": "attacker.example:8080"}).status_code == 421
    for host in ("localhost", "127.0.0.1:1", "[::1]:8080", f"localhost:{server.port}"):
        assert server.get(path, headers={"Host": host}).status_code == 200, host


def test_web_pages_of_other_origins(server, key):
    entry = {"query": QUESTION, "response": "planted"}
    for origin in ("http://attacker.example", "null"):
        for path, body in ((CACHE, entry), (ADMIN, {"cache.mode": "shadow"}), (CHAT, {})):
            method = "PUT" if path == ADMIN else "POST"
            answer = server.request(method, path, json=body, headers={"Origin": origin})
            assert answer.status_code == 403 and "allowed_origins" in answer.json()["error"]["message"]
    own = {"Origin": server.url}
    plain = server.request("POST", CACHE, data="{}", headers={**own, "Content-Type": "text/plain"})
    assert plain.status_code == 415
    assert server.post(CACHE, entry, key, own).status_code == 201
    as_curl = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-www-form-urlencoded"}
    curled = server.request("POST", CACHE, data='{"query": "a", "response": "b"}', headers=as_curl)
    assert curled.status_code == 201


def test_listed_hosts_and_origins(start_server, key):
    server = start_server({"EGPTC_SERVER__ALLOWED_HOSTS": "cache.example",
                           "EGPTC_SERVER__ALLOWED_ORIGINS": "https://console.example"})
    assert server.get(CACHE, headers={"Host": "cache.example"}).status_code == 200
    assert server.chat(QUESTION, key=key, headers={"Origin": "https://console.example"}).status_code == 200


def test_admin_through_a_proxy_is_refused(server):
    answer = server.request("PUT", ADMIN, json={"upstream.base_url": "http://attacker.example/v1"},
                            headers={"X-Forwarded-For": "203.0.113.7"})
    assert answer.status_code == 403 and "security is off" in answer.json()["error"]["message"]


def test_ready_answers_503_while_the_model_loads(start_server):
    server = start_server(wait=False)
    statuses = set()

    def is_ready():
        try:
            status = requests.get(server.url + "/ready", timeout=2).status_code
        except requests.RequestException:
            return False
        statuses.add(status)
        return status == 200

    harness.wait_until(is_ready, 60, "/ready")
    assert statuses == {200, 503}


def test_feedback_on_a_proxied_exact_hit(server, key):
    server.chat(QUESTION, key=key)
    hit = server.chat(QUESTION, key=key)
    assert hit.headers["x-cache-layer"] == "exact"
    verdict = {"request_id": hit.headers["x-cache-request-id"], "correct": False}
    assert server.post("/cache/feedback", verdict, harness.fresh_key()).status_code == 404
    assert server.post("/cache/feedback", verdict, key).json()["action"] == "removed"
    assert server.chat(QUESTION, key=key).headers["x-cache"] == "MISS"


def test_fields_of_another_dialect_are_keyed(server, key):
    paraphrase = "How can I reset my password?"
    server.chat("How do I reset my password?", key=key)
    for extra in ({"prompt": {"id": "pmpt_A"}}, {"prompt": {"id": "pmpt_B"}}, {"input": "zzz"}):
        assert server.chat(paraphrase, key=key, **extra).headers["x-cache"] == "MISS", extra


def test_access_log_has_tokens_and_short_names(start_server, key):
    server = start_server()
    server.chat(QUESTION, key=key)
    server.chat(QUESTION, key=key, model="m" * 100_000)
    lines = harness.wait_until(lambda: [line for line in server.log().splitlines()
                                        if "route=/v1/chat" in line][1:] and server.log().splitlines())
    chats = [line for line in lines if "route=/v1/chat" in line]
    assert "tokens_in=0" not in chats[0] and "tokens_out=0" not in chats[0]
    assert all(len(line) < 1000 for line in lines)


# Gateways decode what stands for a slash before they take a path apart.
@pytest.mark.parametrize("path", ["files/../../secret", "..%2fsecret", "..%2F..%2fsecret",
                                  "files/..%5csecret", "%2e%2E%2fsecret", "\\..\\secret"])
def test_dot_segments_are_our_refusal(server, standin, key, path):
    import http.client
    calls = standin.calls()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=harness.CALL_SECONDS)
    connection.request("GET", f"/v1/{path}", headers={"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 400 and "not forwarded" in text and "upstream could not" not in text
    assert standin.calls() == calls


def test_admin_changes_are_reported_truly(start_server):
    server = start_server(arguments=("--cache.size_mb=77",))
    done = server.request("PUT", ADMIN, json={"cache.size_mb": 50}).json()
    assert done["overridden_by"] == {"cache.size_mb": "--cache.size_mb"}
    twice = server.request("PUT", ADMIN, data='{"cache.mode": "shadow", "cache.mode": "serve"}')
    assert twice.status_code == 400 and "twice" in twice.text
    both = server.request("PUT", ADMIN, data='{"cache.mode": "shadow", "cache": {"mode": "serve"}}')
    assert both.status_code == 400 and "twice" in both.text
    wrong = server.request("PUT", ADMIN, json={"cache.size_mb": -5})
    assert wrong.status_code == 400 and "admin_config.json" not in wrong.text
    assert wrong.json()["error"]["message"] == 'cache.size_mb: "-5", must be 1 to 1048576 MiB'

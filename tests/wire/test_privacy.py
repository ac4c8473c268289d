"""Personal data that is kept out of the cache, and prompts that the disk does not get."""

import harness
from settings_walk import changes, setting
from test_storage import QUESTION, crash_and_restart, lookup, store
from vaults import NO_MODEL, encrypted, files_with, fresh_key, write_keys

MAIL = "anna.musterfrau@mail.example.org"


def try_store(server, key, query, response, **more):
    return server.post("/cache/entries", {"query": query, "response": response, **more}, key)


@changes("compliance.pii")
def test_skip_and_redact(server, standin, key):
    question = f"What did {MAIL} order?"
    with setting(server, compliance__pii="skip"):
        refused = try_store(server, key, question, "A bicycle.")
        assert refused.status_code == 400 and "(email)" in refused.text and MAIL not in refused.text
        refused = try_store(server, key, "Who ordered it?", {"who": MAIL})
        assert refused.status_code == 400 and "answer holds personal data" in refused.text
        standin.rule("", answer=f"Ask {MAIL}.")
        for _ in range(2):
            assert server.chat("Whom do I ask?", key=key).headers["X-Cache"] == "MISS"
    with setting(server, compliance__pii="redact"):
        done = try_store(server, key, question, "A bicycle.")
        assert done.status_code == 201 and done.json()["semantic"] == [False]
        assert lookup(server, key, question)["response"] == "A bicycle."
        entry = server.get(f"/cache/entries/{done.json()['ids'][0]}",
                           headers={"Authorization": f"Bearer {key}"}).json()
        assert entry["query"] == "What did [email] order?"
        assert try_store(server, key, "Who?", MAIL).status_code == 400, "an answer is never altered"
        assert try_store(server, key, "No data here?", "None.").json()["semantic"] == [True]
    assert try_store(server, key, question + " Again?", MAIL).status_code == 201
    actions = {name: value for name, value in server.metrics().items() if "cache_personal_data_total" in name}
    assert sum(actions.values()) >= 5


def test_another_question_of_the_same_form_is_not_answered(server, key):
    with setting(server, compliance__pii="redact"):
        store(server, key, f"What did {MAIL} order?", "A bicycle.")
        assert not lookup(server, key, "What did ben@mail.example.org order?")["hit"]
        assert not lookup(server, key, "What did [email] order?")["hit"]


@changes("compliance.pii_by_namespace", "compliance.pii_kinds")
def test_by_namespace_and_kind(server, key):
    with setting(server, compliance__pii_by_namespace=["strict=skip"]):
        assert try_store(server, key, f"{MAIL}?", "x", namespace="strict").status_code == 400
        assert try_store(server, key, f"{MAIL}?", "x", namespace="other").status_code == 201
    with setting(server, compliance__pii="skip", compliance__pii_kinds=["card"]):
        assert try_store(server, key, f"{MAIL}??", "x").status_code == 201
        assert try_store(server, key, "4111 1111 1111 1111?", "x").status_code == 400
    for bad in (["strict"], ["strict=maybe"]):
        done = server.request("PUT", "/admin/config", json={"compliance.pii_by_namespace": bad})
        assert done.status_code == 400 and "namespace=store" in done.text


def test_no_redacted_text_reaches_the_disk(start_server, key):
    server = start_server({**NO_MODEL, "EGPTC_COMPLIANCE__PII": "redact"})
    store(server, key, f"What did {MAIL} order?", "A bicycle.")
    crash_and_restart(server)
    assert lookup(server, key, f"What did {MAIL} order?")["hit"]
    assert files_with(server.folder, MAIL, "musterfrau") == []


@changes("storage.prompts")
def test_hash_only_prompts(start_server, key):
    server = start_server()
    store(server, key, QUESTION, "Click forgot.", tags=["help"])
    assert files_with(server.folder / "storage", "reset my password") != []
    assert server.stop() == 0
    server.environment["EGPTC_STORAGE__PROMPTS"] = "hash-only"
    server.start()
    store(server, key, "Which plan has phone support?", "Gold.")
    semantic = lookup(server, key, "How can I reset my password?")
    assert semantic["hit"] and semantic["layer"] == "semantic", "memory still has the text"
    harness.wait_until(lambda: files_with(server.folder / "storage", "reset my password") == [], 20,
                       "what was stored before is written again without its text")
    assert files_with(server.folder, "phone support") == []
    crash_and_restart(server)
    for query in (QUESTION, "Which plan has phone support?"):
        found = lookup(server, key, query)
        assert found["hit"] and found["layer"] == "exact"
    assert not lookup(server, key, "How can I reset my password?")["hit"]


def test_encrypted_prompts_need_encryption(tmp_path):
    done = harness.run_binary("validate-config", environment={"EGPTC_STORAGE__PROMPTS": "encrypted"},
                              folder=tmp_path)
    assert done.returncode == 1 and "needs storage.encryption" in done.stderr
    keys = write_keys(tmp_path / "keys", fresh_key())
    done = harness.run_binary("validate-config", folder=tmp_path,
                              environment=encrypted(keys, EGPTC_STORAGE__PROMPTS="encrypted"))
    assert done.returncode == 0, done.stderr

"""Hot reload: a valid edit takes effect within two seconds without dropping a request; an invalid one
changes nothing and is reported in /health, log and metric."""

import json
import os
import signal
import threading
import time

import pytest

import harness

QUESTION = "How can I read the manual?"
PARAPHRASE = "How do I read the manual?"


def config(**cache) -> str:
    lines = "".join(f"  {name}: {value}\n" for name, value in cache.items())
    return f"cache:\n{lines or '  {}'}\ncontext: {{}}\npca: {{}}\nfederated: {{}}\n"


def is_semantic(server, key) -> bool:
    return server.post("/cache/lookup", {"query": PARAPHRASE}, key).json()["hit"]


def edit_in_place(server, text):
    server.config_path.write_text(text)


def edit_by_rename(server, text):
    """As editors do."""
    other = server.config_path.with_suffix(".new")
    other.write_text(text)
    os.replace(other, server.config_path)


def edit_by_symlink(server, text):
    """As Kubernetes does: config.yaml -> ..data/config.yaml, ..data -> a dated folder, swapped at once."""
    number = time.monotonic_ns()
    folder = server.folder / f"..{number}"
    folder.mkdir()
    (folder / "config.yaml").write_text(text)
    link = server.folder / f"..data_{number}"
    link.symlink_to(folder.name)
    os.replace(link, server.folder / "..data")
    if not server.config_path.is_symlink():
        server.config_path.unlink()
        server.config_path.symlink_to("..data/config.yaml")


def edit_and_signal(server, text):
    server.config_path.write_text(text)
    server.process.send_signal(signal.SIGHUP)


@pytest.mark.timing
@pytest.mark.parametrize("edit", [edit_in_place, edit_by_rename, edit_by_symlink, edit_and_signal])
def test_valid_edit_takes_effect(start_server, key, edit):
    server = start_server(config=config(mode="serve"))
    server.post("/cache/entries", {"query": QUESTION, "response": "Open it."}, key)
    for mode, expected in (("shadow", False), ("serve", True), ("shadow", False)):
        begun = time.monotonic()
        edit(server, config(mode=mode))
        harness.wait_until(lambda: is_semantic(server, key) is expected, 2, f"mode {mode}")
        assert time.monotonic() - begun < 2
    assert server.metrics()['config_reload_total{result="applied"}'] >= 3


def test_invalid_edit_changes_nothing_and_is_reported(start_server, key):
    server = start_server(config=config(mode="serve"))
    server.post("/cache/entries", {"query": QUESTION, "response": "Open it."}, key)
    edit_in_place(server, config(mode="shadow", similarity_threshold=7, similarty_treshold=0.5))
    harness.wait_until(lambda: server.get("/health").json()["overall_status"] == "warning", 5, "the warning")
    check = server.get("/health").json()["checks"]["configuration"]
    assert check["status"] == "warning" and check["valid"] is False
    assert server.get("/health").status_code == 200
    assert is_semantic(server, key)
    assert server.metrics()['config_reload_total{result="rejected"}'] >= 1
    log = server.log()
    assert "similarity_threshold" in log and "similarty_treshold" in log
    edit_in_place(server, config(mode="shadow"))
    harness.wait_until(lambda: server.get("/health").json()["overall_status"] == "healthy", 5, "recovery")
    assert not is_semantic(server, key)


BROKEN = {"no YAML": "cache: [", "empty": "", "tabs": "cache:\n\tmode: serve\n", "binary": "\x00\x01\x02",
          "missing section": "cache: {}\n", "list": "- cache\n"}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_broken_files(start_server, key, text):
    server = start_server(config=config())
    edit_in_place(server, text)
    harness.wait_until(lambda: server.get("/health").json()["overall_status"] == "warning", 5, "the warning")
    assert server.chat("Still serving?", key=key).status_code == 200


def test_file_removed(start_server, key):
    server = start_server(config=config(mode="serve"))
    server.config_path.unlink()
    time.sleep(0.5)
    assert server.chat("Still serving without a file?", key=key).status_code == 200


def test_restart_only_keys_are_named_and_wait(start_server):
    server = start_server(config=config())
    edit_in_place(server, config() + "embedder:\n  queue_max: 17\n")
    harness.wait_until(lambda: "embedder.queue_max" in server.log(), 5, "the reason in the log")
    shown = server.get("/admin/config").json()["sections"]["embedder"]["queue_max"]["value"]
    assert shown == 256  # the value in use, not the one that waits for a restart
    put = server.request("PUT", "/admin/config", json={"server": {"threads": 3}})
    assert put.status_code == 200 and "server.threads" in put.json()["pending_restart"]


def test_no_request_is_dropped_under_load(start_server, key):
    server = start_server(config=config(mode="serve"))
    server.post("/cache/entries", {"query": QUESTION, "response": "Open it."}, key)
    statuses, stop = [], threading.Event()

    def load():
        with harness.requests.Session() as session:
            while not stop.is_set():
                answer = session.post(server.url + "/cache/lookup", json={"query": QUESTION}, timeout=30,
                                      headers={"Authorization": f"Bearer {key}"})
                statuses.append(answer.status_code)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(8):
        edit_by_rename(server, config(mode="serve", candidates=number + 4))
        time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 100 and set(statuses) == {200}


def test_admin_reload_and_changes(start_server, key):
    """PUT /admin/config is kept in the storage folder, shown as such, and cleared by reset."""
    server = start_server(config=config(mode="serve"))
    server.post("/cache/entries", {"query": QUESTION, "response": "Open it."}, key)
    put = server.request("PUT", "/admin/config", json={"cache.mode": "shadow"})
    assert put.status_code == 200, put.text
    assert not is_semantic(server, key)
    assert "admin" in str(server.get("/admin/config").json())
    wrong = server.request("PUT", "/admin/config", json={"cache.similarity_threshold": 7})
    assert wrong.status_code == 400 and "similarity_threshold" in wrong.text
    assert server.post("/admin/reload").status_code == 200
    assert not is_semantic(server, key)
    assert server.post("/admin/config/reset").status_code == 200
    assert is_semantic(server, key)


def test_admin_change_survives_a_restart(start_server, tmp_path, key):
    server = start_server(config=config(mode="serve"), folder=tmp_path / "kept")
    assert server.request("PUT", "/admin/config", json={"cache.mode": "shadow"}).status_code == 200
    assert server.stop() == 0
    again = start_server(config=config(mode="serve"), folder=tmp_path / "kept")
    again.post("/cache/entries", {"query": QUESTION, "response": "Open it."}, key)
    assert not is_semantic(again, key)


def test_an_edit_that_an_admin_change_masks_is_named(start_server):
    """Nothing else would say why an edit of the file changes nothing."""
    server = start_server(config=config(size_mb=300))
    put = {"cache": {"size_mb": 200}}
    assert server.request("PUT", "/admin/config", json=put).status_code == 200
    for size in (400, 450):
        edit_in_place(server, config(size_mb=size))
        told = "cache.size_mb: has no effect: it is masked by /admin/config"
        harness.wait_until(lambda: f"got \"{size}\"" in server.log(), 5, f"the line about {size}")
        assert told in server.log()
    lines = [line for line in server.log().splitlines() if "masked by /admin/config" in line]
    assert all(" warning " in line and "config.yaml:2" in line for line in lines), lines
    answer = harness.run_binary("validate-deployment", "--json", "--server", server.url, "--config",
                                str(server.config_path), environment=server.environment, folder=server.folder)
    found = {check["check"]: check for check in json.loads(answer.stdout)["checks"]}["configuration"]
    assert found["status"] == "warning" and "masked by /admin/config" in found["detail"], found
    assert server.post("/admin/config/reset").status_code == 200
    assert server.get("/admin/config").json()["sections"]["cache"]["size_mb"]["value"] == 450
    answer = harness.run_binary("validate-config", str(server.config_path), environment=server.environment)
    assert "masked" not in answer.stderr

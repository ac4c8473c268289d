"""The table the binary prints is walked: every key has a default that is valid, limits that hold, and a
test that shows what changing it does."""

import json

import pytest

import harness
import test_attacks  # noqa: F401
import test_audit  # noqa: F401
import test_console  # noqa: F401
import test_decisions  # noqa: F401
import test_encryption  # noqa: F401
import test_graph_snapshots  # noqa: F401
import test_limits  # noqa: F401
import test_networks  # noqa: F401
import test_privacy  # noqa: F401
import test_security  # noqa: F401
import test_settings_cache  # noqa: F401  the tests claim their keys when they are loaded
import test_settings_server  # noqa: F401
import test_settings_upstream  # noqa: F401
import test_storage  # noqa: F401
import test_backup  # noqa: F401
import test_poisoning  # noqa: F401
import test_tls  # noqa: F401
import test_tokens  # noqa: F401
from settings_walk import CLAIMED

TABLE = json.loads(harness.run_binary("validate-config", "--table").stdout or "[]") \
    if harness.BINARY.exists() else []


def load(tmp_path, name: str, value):
    section, key = name.split(".")
    path = tmp_path / "config.yaml"
    given = {"cache": {}, "context": {}, "pca": {}, "federated": {}, section: {key: value}}
    if section == "limits" or name in ("cache.share_after_principals", "cache.client_stores"):
        given["security"] = {"enabled": True}  # they count callers by their keys
    if name in ("storage.encryption", "storage.prompts"):
        given["storage"] = {"encryption": "aes-256-gcm", "encryption_keys": "0" * 64, **given["storage"]}
    if name == "storage.backup_encryption":
        given["storage"]["backup_keys"] = "0" * 64
    path.write_text(json.dumps(given))  # JSON is YAML
    return harness.run_binary("validate-config", str(path))


def test_every_key_is_claimed_by_a_test():
    names = {row["name"] for row in TABLE}
    assert len(names) > 60
    assert sorted(names - set(CLAIMED)) == [], "keys without a test that changing them changes behaviour"
    assert sorted(set(CLAIMED) - names) == [], "tests for keys that do not exist"


def test_claims_name_tests_that_exist():
    for key, test in CLAIMED.items():
        module, name = test.split(".")
        assert f"def {name}(" in (harness.ROOT / f"tests/wire/{module}.py").read_text(), (key, test)


RANGED = [row for row in TABLE if "min" in row]


@pytest.mark.parametrize("row", RANGED, ids=[row["name"] for row in RANGED])
def test_limits_hold(tmp_path, row):
    step = 1 if row["type"] == "int" else 0.001
    for value in (row["min"], row["max"]):
        done = load(tmp_path, row["name"], value)
        assert done.returncode == 0 or row["name"] not in done.stderr, done.stderr
    for value in (row["min"] - step, row["max"] + step, "a word", [1]):
        done = load(tmp_path, row["name"], value)
        assert done.returncode == 1 and row["name"] in done.stderr, (value, done.stderr)
        assert str(row["max"]) in done.stderr or isinstance(value, (str, list)), done.stderr


CHOICES = [row for row in TABLE if "choices" in row]


@pytest.mark.parametrize("row", CHOICES, ids=[row["name"] for row in CHOICES])
def test_choices_hold(tmp_path, row):
    for choice in row["choices"]:
        value = [choice] if row["type"] == "list" else choice
        assert load(tmp_path, row["name"], value).returncode == 0
    for choice in ["no-such-choice", *row.get("later", [])]:
        value = [choice] if row["type"] == "list" else choice
        done = load(tmp_path, row["name"], value)
        assert done.returncode == 1 and row["name"] in done.stderr


def test_every_key_has_a_sentence_and_an_environment_name():
    for row in TABLE:
        assert row["sentence"].endswith(".") and len(row["sentence"]) > 15, row["name"]
        section, key = row["name"].split(".")
        assert row["environment"] == f"EGPTC_{section}__{key}".upper()
        assert row["reload"] in ("live", "restart")

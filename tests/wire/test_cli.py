"""The subcommands, and their exit codes: 0 ok, 1 failed check, 2 usage."""

import json
import os
import shutil

import pytest

import harness

VALID = harness.REQUIRED_SECTIONS
SUBCOMMANDS = ["serve", "query", "store", "validate-config", "doctor", "version", "eval", "tune", "replay"]


def write(tmp_path, text: str) -> str:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return str(path)


def test_version_and_help():
    version = harness.run_binary("version")
    assert version.returncode == 0
    assert (harness.ROOT / "VERSION").read_text().strip() in version.stdout
    whole = harness.run_binary("--help")
    assert whole.returncode == 0 and all(name in whole.stdout for name in SUBCOMMANDS)
    for name in SUBCOMMANDS:
        one = harness.run_binary(name, "--help")
        assert one.returncode == 0 and len(one.stdout) > 50, name


@pytest.mark.parametrize("arguments", [[], ["no-such-command"],
                         ["serve", "--no-such-flag"], ["query"]], ids=str)
def test_usage_errors(arguments):
    done = harness.run_binary(*arguments)
    assert done.returncode == 2 and done.stderr


def test_wrong_flags_are_usage_errors(tmp_path):
    wrong = harness.run_binary("serve", "--cache.size_mb=-1", folder=tmp_path)
    assert wrong.returncode == 2 and wrong.stderr.count("cache.size_mb") == 1
    server = harness.run_binary("query", "x", "--server=foo", folder=tmp_path)
    assert server.returncode == 2 and "--server" in server.stderr and "base_url" not in server.stderr
    unknown = harness.run_binary("sevre", folder=tmp_path)
    assert unknown.returncode == 2 and "sevre" in unknown.stderr and "validate-config" in unknown.stderr


def test_what_cannot_start_is_a_failure(tmp_path):
    done = harness.run_binary("serve", folder=tmp_path, environment={
        "EGPTC_SERVER__HOST": "no-such-host.invalid", "EGPTC_SECURITY__INSECURE_LISTEN": "true"})
    assert done.returncode == 1 and "no-such-host.invalid" in done.stderr


def test_a_folder_is_no_file_to_store(server):
    done = harness.run_binary("store", "--file", "/", "--server", server.url)
    assert done.returncode == 1 and "folder" in done.stderr


# --- validate-config ---------------------------------------------------------------------------
def test_valid_file(tmp_path):
    done = harness.run_binary("validate-config", write(tmp_path, VALID))
    assert done.returncode == 0 and "valid" in done.stdout


def test_every_error_is_printed_with_its_line(tmp_path):
    text = """cache:
  similarity_threshold: 7
  size_mb: lots
  eviction_policy: random
  similarty_treshold: 0.5
context:
  window_size: -1
pca: {}
federated: {}
upstream:
  base_url: ftp://example.org
redis:
  url: redis://x
nonsense: 1
"""
    done = harness.run_binary("validate-config", write(tmp_path, text))
    assert done.returncode == 1
    wanted = {2: ["cache.similarity_threshold", "7", "0", "1"], 3: ["cache.size_mb", "lots"],
              4: ["cache.eviction_policy", "lru"], 5: ["similarty_treshold", "similarity_threshold"],
              7: ["context.window_size", "-1", "64"], 11: ["upstream.base_url", "http"],
              13: ["redis"], 14: ["nonsense"]}
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    for number, words in wanted.items():
        match = [line for line in lines if f":{number}:" in line or f"line {number}" in line]
        assert match, f"no error for line {number} in {done.stderr}"
        assert all(word in " ".join(match) for word in words), match
    assert len(lines) == len(wanted)


@pytest.mark.parametrize("text", ["cache: [", "", "- a\n", "cache: {}\n",
                         "cache:\n\tsize_mb: 1\n", "\x00\x01"], ids=repr)
def test_files_that_are_no_settings(tmp_path, text):
    done = harness.run_binary("validate-config", write(tmp_path, text))
    assert done.returncode == 1 and "settings.yaml" in done.stderr


def test_unreadable_file(tmp_path):
    done = harness.run_binary("validate-config", str(tmp_path / "absent.yaml"))
    assert done.returncode in (1, 2) and "absent.yaml" in done.stderr


def test_print_and_precedence(tmp_path):
    path = write(tmp_path, VALID.replace("cache: {}", "cache: {size_mb: 70}"))
    show = lambda *more, **env: harness.run_binary(
        "validate-config", path, "--print", "cache.size_mb", *more, environment=env).stdout.strip()
    assert show() == "70"
    assert show(EGPTC_CACHE__SIZE_MB="80") == "80"
    assert show("--cache.size_mb=90", EGPTC_CACHE__SIZE_MB="80") == "90"
    assert harness.run_binary("validate-config", path, "--print", "cache.no_such").returncode == 2


def test_profiles_and_nested_form(tmp_path):
    show = lambda path, key, **env: harness.run_binary(
        "validate-config", path, "--print", key, environment=env).stdout.strip()
    flat = write(tmp_path, VALID)
    assert [show(flat, "cache.size_mb", ENV=name) for name in ("production", "staging", "development")] == \
        ["500", "200", "50"]
    assert show(flat, "cache.size_mb") == "500"
    nested = tmp_path / "nested.yaml"
    nested.write_text("production:\n  cache: {size_mb: 400}\n  context: {}\n  pca: {}\n  federated: {}\n"
                      "staging:\n  cache: {size_mb: 100}\n")
    assert show(str(nested), "cache.size_mb") == "400"
    assert show(str(nested), "cache.size_mb", ENV="staging") == "100"


def test_wrong_environment_and_flags(tmp_path):
    path = write(tmp_path, VALID)
    for environment in ({"EGPTC_CACHE__SIZE_MB": "x"}, {"EGPTC_CACHE__NO_SUCH": "1"}, {"ENV": "moon"},
                        {"LOG_LEVEL": "LOUD"}):
        done = harness.run_binary("validate-config", path, environment=environment)
        name = next(iter(environment))
        assert done.returncode == 1 and (
    name in done.stderr or name.lower()[
        7:].replace(
            "__", ".") in done.stderr)
    assert harness.run_binary("validate-config", path, "--cache.size_mb=0").returncode in (1, 2)


def test_variables_and_secret_files(tmp_path):
    (tmp_path / "key").write_text("sk-from-a-file\n")
    text = VALID + f"upstream:\n  api_key_file: {tmp_path}/key\n  base_url: http://${{HOST_NAME}}/v1\n"
    done = harness.run_binary("validate-config", write(tmp_path, text), "--print", "upstream.base_url",
                              environment={"HOST_NAME": "example.org"})
    assert done.stdout.strip() == "http://example.org/v1"
    missing = harness.run_binary("validate-config", write(tmp_path, text))
    assert missing.returncode == 1 and "HOST_NAME" in missing.stderr
    secret = harness.run_binary("validate-config", write(tmp_path, text), "--effective",
                                environment={"HOST_NAME": "example.org"})
    assert secret.returncode == 0 and "sk-from-a-file" not in secret.stdout + secret.stderr


def test_later_features_are_refused_not_ignored(tmp_path):
    later = ("redis: {url: 'redis://x'}", "storage: {encryption: true}", "postgres: {url: 'postgresql://x'}")
    for section in later:
        done = harness.run_binary("validate-config", write(tmp_path, VALID + section + "\n"))
        assert done.returncode == 1 and section.split(":")[0] in done.stderr


# --- query and store ---------------------------------------------------------------------------
def test_store_and_query(server, tmp_path):
    call = lambda *arguments, **env: harness.run_binary(*arguments, "--server", server.url, environment=env)
    space = harness.fresh_key()
    done = call("store", "Where is the key?", "Under the mat.", "--namespace", space)
    assert done.returncode == 0, done.stderr
    hit = call("query", "Where is the key?", "--namespace", space)
    assert hit.returncode == 0 and hit.stdout.strip() == "Under the mat."
    miss = call("query", "Who invented the telephone?", "--namespace", space)
    assert miss.returncode == 1 and "no_candidate" in miss.stderr
    as_json = json.loads(call("query", "Where is the key?", "--namespace", space, "--json").stdout)
    assert as_json["hit"] and as_json["layer"] == "exact"
    assert call("query", "Where is the key?", "--namespace", space, "--explain").returncode == 0
    other = call("query", "Where is the key?", "--namespace", space, "--api-key-env", "MY_KEY",
                 MY_KEY=harness.fresh_key())
    assert other.returncode == 1


def test_bulk_store(server, tmp_path):
    space = harness.fresh_key()
    rows = [json.dumps({"query": f"Bulk question {n}", "response": f"Bulk answer {n}"}) for n in range(250)]
    rows.insert(100, "{broken")
    rows.insert(200, json.dumps({"query": "no response"}))
    path = tmp_path / "seed.jsonl"
    path.write_text("\n".join(rows))
    done = harness.run_binary("store", "--file", str(path), "--namespace", space, "--server", server.url)
    assert done.returncode == 1 and "250 stored" in done.stdout and "2 refused" in done.stdout
    hit = harness.run_binary("query", "Bulk question 249", "--namespace", space, "--server", server.url)
    assert hit.stdout.strip() == "Bulk answer 249"


def test_server_not_running_is_explained():
    url = f"http://127.0.0.1:{harness.free_port()}"
    done = harness.run_binary("query", "Anybody?", "--server", url)
    assert done.returncode == 1 and url in done.stderr and "serve" in done.stderr


# --- doctor ------------------------------------------------------------------------------------
def doctor(tmp_path, *arguments, **environment):
    environment = {
    "EGPTC_EMBEDDER__MODEL_DIR": str(
        harness.MODEL),
        "EGPTC_STORAGE__PATH": str(
            tmp_path / "s"),
            "EGPTC_SERVER__PORT": str(
                harness.free_port()),
                 **environment}
    done = harness.run_binary("doctor", "--json", *arguments, environment=environment, folder=tmp_path)
    body = json.loads(done.stdout)
    return done.returncode, {check["check"]: check for check in body["checks"]}


def test_doctor_finds_nothing_wrong(tmp_path):
    status, checks = doctor(tmp_path)
    assert status == 0, checks
    expected = "configuration storage model verifier cache pca descriptors tau server"
    assert set(checks) == set(expected.split())
    assert "default, made for this model" in checks["verifier"]["detail"]
    assert all(check["ok"] for check in checks.values())
    plain = harness.run_binary("doctor", environment={"EGPTC_EMBEDDER__MODEL_DIR": str(harness.MODEL)},
                               folder=tmp_path)
    assert plain.returncode == 0 and "ms" in plain.stdout


def test_doctor_sees_the_running_server(server, tmp_path):
    status, checks = doctor(tmp_path, EGPTC_SERVER__PORT=str(server.port))
    assert status == 0 and "healthy" in checks["server"]["detail"]


def test_doctor_fails_on_settings(tmp_path):
    (tmp_path / "config.yaml").write_text(VALID.replace("cache: {}", "cache: {size_mb: -5}"))
    status, checks = doctor(tmp_path)
    assert status ==1 and not checks["configuration"] ["ok"] and "size_mb" in checks["configuration"] [
        "detail"]


def test_doctor_fails_on_storage(tmp_path):
    """A folder nobody can make, not even root."""
    status, checks = doctor(tmp_path, EGPTC_STORAGE__PATH="/proc/no-such-folder")
    storage = checks["storage"]
    assert status == 1 and not storage["ok"] and "/proc/no-such-folder" in storage["detail"]


@pytest.mark.parametrize("damaged", ["decision.json", "pair_encoder.safetensors", "SHA256SUMS", ""])
def test_doctor_and_health_agree_on_the_verifier(start_server, tmp_path, damaged):
    folder = tmp_path / "verifier/default"
    if damaged:
        shutil.copytree(harness.ROOT / "verifier/default", folder)
        content = (folder / damaged).read_bytes()
        (folder / damaged).write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
    server = start_server({"EGPTC_CACHE__VERIFIER_DIR": str(folder.parent)})
    told = server.get("/health").json()["checks"]["components"]["verifier"]
    status, checks = doctor(tmp_path, EGPTC_CACHE__VERIFIER_DIR=str(folder.parent))
    found = checks["verifier"]
    assert status == 1 and not found["ok"] and told["status"] == "warning"
    assert found["detail"].startswith(told["detail"]) and str(folder) in found["detail"]
    off = {"EGPTC_CACHE__VERIFIER_DIR": str(folder.parent), "EGPTC_CACHE__VERIFIER": "off"}
    status, checks = doctor(tmp_path, **off)
    assert status == 0 and "not in use" in checks["verifier"]["detail"]


def test_doctor_fails_on_model(tmp_path):
    model = harness.copy_model(tmp_path / "model")
    os.truncate(model / "model.safetensors", 5000)
    status, checks = doctor(tmp_path, EGPTC_EMBEDDER__MODEL_DIR=str(model))
    assert status == 1 and not checks["model"]["ok"] and str(model) in checks["model"]["detail"]


def test_doctor_fails_on_a_foreign_server(standin, tmp_path):
    status, checks = doctor(tmp_path, EGPTC_SERVER__PORT=str(standin.port))
    assert status == 1 and not checks["server"]["ok"]

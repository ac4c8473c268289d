"""docs/troubleshooting.md, tried for real: each symptom is brought about, the commands under "look" must show
it and those under "change" must end it."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess

import pytest

import harness
import secure

PAGE = harness.ROOT / "docs/troubleshooting.md"
BLOCK = re.compile(r"<!-- (look|change) ([\w-]+): (.+?) -->\n```sh\n(.*?)```", re.S)
CACTUS = "How do I water a cactus?"
NO_MODEL = {"EGPTC_EMBEDDER__ENABLED": "false"}
ALICE = "sk-alice"


def blocks() -> dict[str, dict[str, tuple[str, str]]]:
    found: dict[str, dict] = {}
    for what, name, phrase, script in BLOCK.findall(PAGE.read_text()):
        assert what not in found.setdefault(name, {}), f"{name} has two blocks to {what}"
        found[name][what] = (phrase, script)
    return found


class Case:
    """Where one symptom shows: a folder with a settings file, and what a shell there needs to know."""

    def __init__(self, folder: pathlib.Path, standin):
        self.folder, self.standin = folder, standin
        self.port, self.environment, self.server = harness.free_port(), {}, None
        self.config = folder / "config.prod.yaml"
        (folder / "bin").mkdir()
        (folder / "bin/enhanced-gptcache").symlink_to(pathlib.Path(harness.BINARY).resolve())

    def write(self, **cache) -> None:
        self.config.write_text(harness.REQUIRED_SECTIONS.replace("cache: {}", f"cache: {json.dumps(cache)}"))

    def start(self, environment=None, kind=harness.Server, **more):
        """A server whose settings file is config.prod.yaml of the folder."""
        if not self.config.exists():
            self.write()
        settings = {"ENHANCED_GPTCACHE_CONFIG": str(self.config), **(environment or {})}
        upstream, wait = more.pop("upstream", self.standin.base_url), more.pop("wait", True)
        self.server = kind(self.folder, upstream, settings, **more)
        self.port, self.environment = self.server.port, self.server.environment
        return self.server.start(wait)

    def run(self, script: str) -> str:
        other = harness.free_port()
        script = script.replace("8080", str(self.port)).replace("8081", str(other))
        ports = {"EGPTC_SERVER__PORT": str(self.port), "EGPTC_STORAGE__PATH": str(self.folder / "storage")}
        environment = {
            "HOME": str(self.folder),
            "EGPTC_EMBEDDER__MODEL_DIR": str(harness.MODEL),
            **ports,
            "ENHANCED_GPTCACHE_CONFIG": str(self.config),
            "OPENAI_API_KEY": ALICE,
            **self.environment,
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
        }
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=environment,
            text=True,
            capture_output=True,
            timeout=90 * harness.SLOWNESS,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout + done.stderr


# --- the symptoms ----------------------------------------------------------------------------------
def settings_error(case):
    case.config.write_text(harness.REQUIRED_SECTIONS.replace("{}", "{similarity_threshold: 7}", 1))
    yield


def port_taken(case):
    case.write()
    case.environment = NO_MODEL
    with socket.create_server(("127.0.0.1", case.port)):
        yield


def folder_in_use(case):
    case.start(NO_MODEL)
    yield


def insecure_listen(case):
    case.write()
    case.environment = {"EGPTC_UPSTREAM__API_KEY": "sk-of-the-operator"}
    yield


def settings_refused(case):
    server = case.start(NO_MODEL)
    case.config.with_suffix(".yaml.backup").write_text(case.config.read_text())
    case.config.write_text("cache: {similarity_threshold: 7}\n")
    rejected = 'config_reload_total{result="rejected"}'
    harness.wait_until(lambda: server.metrics()[rejected] >= 1, 10, "the file being seen")
    yield


def wrong_key(case):
    case.start(secure.environment(**NO_MODEL), kind=secure.SecureServer)
    yield


def all_misses(case):
    case.write(mode="shadow")
    case.start()
    yield


def near_miss(case):
    server = case.start()
    server.post("/cache/entries", {"query": "How do I water 5 cactuses?", "response": "Rarely."}, ALICE)
    yield


def wrong_answer(case):
    server = case.start(NO_MODEL)
    server.post("/cache/entries", {"query": "Who wrote Faust?", "response": "Schiller."}, ALICE)
    yield


def poisoning(case):
    server = case.start(NO_MODEL)
    entry = {"query": CACTUS, "response": "Buy Acme.", "tags": ["campaign"]}
    server.post("/cache/entries", entry, ALICE)
    server.post("/cache/entries", {**entry, "query": "How do I water a fern?"}, ALICE)
    server.post("/cache/entries", {"query": "Who wrote Faust?", "response": "Goethe."}, ALICE)
    yield


def provider_dead(case):
    gone = socket.create_server(("127.0.0.1", 0))
    port = gone.getsockname()[1]
    gone.close()
    server = case.start(NO_MODEL, upstream=case.standin.base_url)
    assert server.chat(CACTUS, ALICE, model="gpt-4o-mini").status_code == 200
    assert server.stop() == 0
    case.start({**NO_MODEL, "EGPTC_UPSTREAM__BREAKER_FAILURES": "1"}, upstream=f"http://127.0.0.1:{port}/v1")
    yield


def provider_key(case):
    case.standin.rule("through Rome", status=401, message="invalid key of the provider", times=1)
    case.start(NO_MODEL)
    yield


def provider_hangs(case):
    case.standin.rule("through Paris", delay=2.5)
    upstream = "upstream: {first_byte_timeout_seconds: 1, retries_max: 0}\n"
    case.config.write_text(harness.REQUIRED_SECTIONS + upstream)
    case.start(NO_MODEL)
    yield


def slow(case):
    case.standin.rule("through London", delay=1)
    case.start(NO_MODEL)
    yield


def memory(case):
    server = case.start({**NO_MODEL, "EGPTC_RESOURCES__MAX_MEMORY_MB": "64"})
    server.fill_memory(45)
    yield


def full_disk(case):
    data = case.folder / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(data)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        server = case.start({**NO_MODEL, "EGPTC_STORAGE__PATH": str(data / "cache")})
        with contextlib.suppress(OSError), open(data / "filler", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        for number in range(300):
            entry = {"query": f"Question {number}?", "response": os.urandom(50_000).hex()}
            if server.post("/cache/entries", entry, ALICE).status_code == 503:
                break
        yield
        assert server.stop() == 0
    finally:
        subprocess.run(["umount", "-l", str(data)], check=True)


def certificate(case):
    for name, files in (("ends-soon", "tls"), ("renewed", "new")):
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={name}",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-keyout",
                f"{files}.key",
                "-out",
                f"{files}.pem",
            ],
            cwd=case.folder,
            capture_output=True,
            check=True,
        )
        (case.folder / f"{files}.key").chmod(0o600)
    server = case.start(
        {
            **NO_MODEL,
            "EGPTC_SERVER__TLS_CERT_FILE": str(case.folder / "tls.pem"),
            "EGPTC_SERVER__TLS_KEY_FILE": str(case.folder / "tls.key"),
        },
        wait=False,
    )
    harness.wait_until(
        lambda: "200" in case.run("curl -sk -o /dev/null -w '%{http_code}' https://localhost:8080/ready"),
        20,
        "an answer through TLS",
    )
    yield
    assert server.stop() == 0


def model_missing(case):
    case.write()
    case.environment = {"EGPTC_EMBEDDER__MODEL_DIR": str(case.folder / "none")}
    yield


SYMPTOMS = {
    symptom.__name__.replace("_", "-"): symptom
    for symptom in (
        settings_error,
        port_taken,
        folder_in_use,
        insecure_listen,
        settings_refused,
        wrong_key,
        all_misses,
        near_miss,
        wrong_answer,
        poisoning,
        provider_dead,
        provider_key,
        provider_hangs,
        slow,
        memory,
        full_disk,
        certificate,
        model_missing,
    )
}


@pytest.mark.parametrize("name", SYMPTOMS)
def test_it_shows_and_it_can_be_changed(name, standin, tmp_path):
    case = Case(tmp_path, standin)
    look, change = blocks()[name]["look"], blocks()[name]["change"]
    with contextlib.contextmanager(SYMPTOMS[name])(case):
        try:
            for phrase, script in (look, change):
                output = case.run(script)
                assert re.search(phrase, output), f"{name}: no {phrase!r} in\n{output}"
        finally:
            if case.server is not None:
                case.server.stop()


def test_every_section_has_a_symptom_that_is_tried():
    found = blocks()
    assert set(found) == set(SYMPTOMS) and all(set(one) == {"look", "change"} for one in found.values())
    for section in PAGE.read_text().split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        if heading not in ("Redis or PostgreSQL", "Not tried by a test", "What to send when asking for help"):
            assert BLOCK.search(section), f"{heading}: nothing of it is tried"
    untried = PAGE.read_text().partition("## Not tried by a test")[2].partition("\n## ")[0]
    assert untried.count("\n- ") >= 3

"""Backups taken while serving, verification, and the restore drill."""

import gzip
import io
import os
import subprocess
import tarfile
import threading

import pytest
import requests
import yaml

import harness
import vaults
from settings_walk import changes
from test_storage import NO_MODEL, QUESTION, lookup, store


def backup(server, output, *more):
    return harness.run_binary("backup", "--config", str(server.config_path), "--output", str(output),
                              *more, environment=server.environment, folder=server.folder)


def only_backup(output):
    found = list(output.glob("backup_*.tar.gz*"))
    assert len(found) == 1, found
    return found[0]


def installation(start_server, tmp_path):
    """A server laid out as a deployment: config.yaml, data/cache and logs below one root."""
    root = tmp_path / "root"
    return start_server({**NO_MODEL, "EGPTC_STORAGE__PATH": root / "data/cache",
                         "EGPTC_MONITORING__LOG_FILE": root / "logs/application.log"},
                        config=harness.REQUIRED_SECTIONS + "storage: {sync: always}\n", folder=root)


@pytest.fixture
def live(start_server, tmp_path):
    (tmp_path / "root/logs").mkdir(parents=True)
    return installation(start_server, tmp_path)


def test_restore_drill(live, tmp_path, key):
    """Back up under load, destroy the folder, restore: every entry acknowledged before is there."""
    server, output = live, tmp_path / "backups"
    before = {store(server, key, f"Question {n}?", f"answer {n}"): f"Question {n}?" for n in range(200)}
    stop = threading.Event()

    def load():
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {key}"
        for n in range(1_000_000):
            if stop.is_set():
                return
            session.post(server.url + "/cache/entries", json={"query": f"Later {n}?", "response": "x" * 500})

    writer = threading.Thread(target=load)
    writer.start()
    try:
        done = backup(server, output)
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 0 and "while the server ran" in done.stdout, done.stdout + done.stderr
    archive = only_backup(output)
    assert archive.stat().st_mode & 0o077 == 0
    assert list((server.folder / "data/cache/checkpoints").iterdir()) == []
    assert server.stop() == 0
    releases = server.folder / "releases/1/enhanced-gptcache"
    releases.parent.mkdir(parents=True)
    releases.write_text("binary")
    for path in (server.folder / "data/cache").rglob("*"):
        if path.is_file():
            path.unlink()
    server.config_path.write_text("nonsense: [")
    done = harness.run_binary("restore", str(archive), "--root", str(server.folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert releases.read_text() == "binary"
    kept = list(server.folder.glob("before_restore_*"))
    assert len(kept) == 1 and (kept[0] / "config.yaml").read_text() == "nonsense: ["
    server.start()
    for entry, query in before.items():
        found = lookup(server, key, query)
        assert found["hit"] and found["entry_id"] == entry
    assert server.get("/health").json()["checks"]["components"]["storage"]["status"] == "healthy"


def test_contents_and_metadata(live, tmp_path, key):
    server, output = live, tmp_path / "backups"
    store(server, key, QUESTION, "Click forgot.")
    old = server.folder / "logs/old.log"
    old.write_text("old")
    os.utime(old, (1, 1))
    output.mkdir()
    for name, age in (("backup_20200101_000000.tar.gz", 1), ("backup_mine.tar.gz", 1), ("notes.txt", 1)):
        (output / name).write_text("x")
        os.utime(output / name, (age, age))
    assert backup(server, output).returncode == 0
    assert not (output / "backup_20200101_000000.tar.gz").exists(), "older than 30 days"
    assert (output / "backup_mine.tar.gz").exists() and (output / "notes.txt").exists(), "not ours"
    archive = next(path for path in output.glob("backup_2*.tar.gz"))
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        top = archive.name.removesuffix(".tar.gz")
        assert all(name.startswith(top + "/") for name in names)
        metadata = yaml.safe_load(tar.extractfile(f"{top}/backup_metadata.yaml").read())
    for field in ("backup_timestamp", "backup_type", "enhanced_gptcache_version", "system_info",
                  "backup_size"):
        assert metadata[field], field
    assert metadata["backup_type"] == "production" and top.endswith(metadata["backup_timestamp"])
    inside = {name.removeprefix(top + "/") for name in names} - {"backup_metadata.yaml"}
    assert inside == {entry["path"] for entry in metadata["files"]}
    assert {"config.yaml", "cache/instance.key", "logs/application.log"} <= inside
    assert "logs/old.log" not in inside and "cache/LOCK" not in inside
    assert any(name.startswith("cache/entries/") for name in inside)
    assert server.stop() == 0
    again = backup(server, tmp_path / "offline")
    assert again.returncode == 0 and "while no server ran" in again.stdout, again.stderr


def test_a_damaged_backup_replaces_nothing(live, tmp_path, key):
    server, output = live, tmp_path / "backups"
    store(server, key, QUESTION, "Click forgot.")
    assert backup(server, output).returncode == 0
    archive = only_backup(output)
    assert harness.run_binary("backup", "--verify", str(archive)).returncode == 0
    refused = harness.run_binary("restore", str(archive), "--root", str(server.folder))
    assert refused.returncode == 1 and "in use" in refused.stderr, "the server runs on it"
    assert server.stop() == 0
    plain = bytearray(gzip.decompress(archive.read_bytes()))
    plain[plain.index(b"sha256: ") + 8] ^= 1
    config = server.config_path.read_text()
    for name, content in (("changed", gzip.compress(bytes(plain), 1)), ("cut", archive.read_bytes()[:-200]),
                          ("empty", b"")):
        bad = tmp_path / f"{name}.tar.gz"
        bad.write_bytes(content)
        assert harness.run_binary("backup", "--verify", str(bad)).returncode == 1, name
        done = harness.run_binary("restore", str(bad), "--root", str(server.folder))
        assert done.returncode == 1 and str(bad) in done.stderr, done.stderr
        assert server.config_path.read_text() == config and not list(server.folder.glob("*restore_*"))
    server.start()
    assert lookup(server, key, QUESTION)["hit"]


@changes("storage.backup_encryption", "storage.backup_key_file", "storage.backup_keys")
@pytest.mark.parametrize("source", ["file", "environment", "master key", "flag"])
def test_an_encrypted_backup(start_server, tmp_path, key, source):
    """Whatever its key comes from: sealed as a whole, verified, refused when damaged, restored."""
    (tmp_path / "root/logs").mkdir(parents=True)
    server, output = installation(start_server, tmp_path), tmp_path / "backups"
    secret = "The vault is behind the painting."
    store(server, key, QUESTION, secret)
    keys = vaults.write_keys(tmp_path / "keys", vaults.fresh_key(), vaults.fresh_key())
    flags = ["--storage.backup_encryption=aes-256-gcm", f"--storage.backup_key_file={keys}"]
    environment = {}
    if source == "environment":
        flags, environment = flags[:1], {"EGPTC_STORAGE__BACKUP_KEYS": keys.read_text().replace("\n", ",")}
    elif source == "master key":
        flags = [flags[0], f"--storage.encryption_key_file={keys}"]
    elif source == "flag":
        flags = ["--backup-key-file", str(keys)]

    config = ("--config", str(server.config_path))

    def run(*arguments, given=flags):
        more = () if "--backup-key-file" in given else config
        everything = {**server.environment, **environment}
        return harness.run_binary(*arguments, *more, *given, environment=everything)

    done = run("backup", "--output", str(output), *(config if source == "flag" else ()))
    assert done.returncode == 0 and "encrypted" in done.stdout, done.stdout + done.stderr
    (archive,) = output.glob("backup_*")
    assert archive.name.endswith(".tar.gz.enc") and archive.stat().st_mode & 0o077 == 0
    assert vaults.files_with(output, secret, "backup_metadata", "instance.key", b"\x1f\x8b\x08") == []
    assert run("backup", "--verify", str(archive)).returncode == 0
    assert server.stop() == 0
    root, before = server.folder, sorted(path.name for path in server.folder.rglob("*"))
    others = ["--backup-key-file", str(vaults.write_keys(tmp_path / "others", vaults.fresh_key()))]
    refused = run("restore", str(archive), "--root", str(root), given=others)
    assert refused.returncode == 1 and "not among the given ones" in refused.stderr
    environment = {}
    refused = run("restore", str(archive), "--root", str(root), given=["--storage.sync=os"])
    assert refused.returncode == 1 and "--backup-key-file" in refused.stderr, refused.stderr
    whole, opened = archive.read_bytes(), ["--backup-key-file", str(keys)]
    flipped = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    damaged = {"cut": whole[:-1], "more": whole + b"x", "flipped": flipped}
    for name, content in {**damaged, "short": whole[:20]}.items():
        bad = tmp_path / f"{name}.tar.gz.enc"
        bad.write_bytes(content)
        for command in (("backup", "--verify", str(bad)), ("restore", str(bad), "--root", str(root))):
            refused = run(*command, given=opened)
            assert refused.returncode == 1 and str(bad) in refused.stderr, (name, refused.stderr)
    assert sorted(path.name for path in root.rglob("*")) == before, "nothing was replaced"
    server.config_path.unlink()
    assert run("restore", str(archive), "--root", str(root), given=opened).returncode == 0
    server.start()
    assert lookup(server, key, QUESTION)["response"] == secret


def test_a_backup_key_is_asked_for_and_not_taken_from_the_network(live, tmp_path):
    flag = "--storage.backup_encryption=aes-256-gcm"
    done = harness.run_binary("validate-config", "--config", str(live.config_path), flag)
    assert done.returncode != 0 and "needs a key" in done.stderr
    put = live.request("PUT", "/admin/config", json={"storage.backup_key_file": "/etc/shadow"})
    assert put.status_code == 400 and "/admin/config" in put.text
    open_file = vaults.write_keys(tmp_path / "open", vaults.fresh_key())
    open_file.chmod(0o644)
    done = backup(live, tmp_path / "out", "--backup-key-file", str(open_file))
    assert done.returncode == 1 and "has mode 0644" in done.stderr
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("name", ["../escape", "/etc/escape", "backup_1/../../escape", "link"])
def test_a_hostile_archive_is_refused(tmp_path, name):
    path = tmp_path / "backup.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(name if name != "link" else "backup_1/link")
        if name == "link":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
        else:
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    done = harness.run_binary("restore", str(path), "--root", str(tmp_path / "root"))
    assert done.returncode == 1 and "error" in done.stderr
    assert not list(tmp_path.rglob("escape"))


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_the_scripts_of_the_guide(live, tmp_path, key, is_encrypted):
    server, output = live, tmp_path / "backups"
    store(server, key, QUESTION, "Click forgot.")
    environment = {**server.environment, "ROOT": str(server.folder), "BACKUP_DIR": str(output),
                   "BINARY": str(harness.BINARY), "CONFIG": str(server.config_path)}
    if is_encrypted:
        environment["BACKUP_KEY_FILE"] = str(vaults.write_keys(tmp_path / "keys", vaults.fresh_key()))
    script = harness.ROOT / "deploy/backup/backup_script.sh"
    done = subprocess.run([script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Backup completed successfully" in done.stdout, done.stderr
    assert server.post("/cache/flush", {"confirm": "flush"}, key).json()["removed"] == 1
    pid = server.process.pid
    stop = tmp_path / "stop.sh"
    stop.write_text(f"kill {pid}\nwhile kill -0 {pid} 2>/dev/null && "
                    f"! grep -q zombie /proc/{pid}/status; do sleep 0.05; done\n")
    start = tmp_path / "start.sh"
    start.write_text(f"cd {server.folder}\n{harness.BINARY} serve --config {server.config_path} "
                     f">>{server.log_path} 2>&1 &\necho $! >{tmp_path}/pid\n")
    environment.update(STOP_COMMAND=f"sh {stop}", START_COMMAND=f"sh {start}", OWNER="",
                       HEALTH_URL=server.url + "/health")
    script = harness.ROOT / "deploy/recovery/restore_script.sh"
    done = subprocess.run([script, str(only_backup(output))], env=environment, capture_output=True,
                          text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Recovery completed successfully" in said, said
    server.process.wait(10)
    server.process = None
    assert lookup(server, key, QUESTION)["hit"], "as it was when it was backed up"
    os.kill(int((tmp_path / "pid").read_text()), 15)

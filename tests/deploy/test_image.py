"""Dockerfile.prod built, started, probed and used for real, without a Docker engine: a Debian base made by
debootstrap, buildah with chroot isolation. Minutes long, so `scripts/test.sh --image` and `--all` run it and
nothing else does.

Security is switched off in the container, so that the test needs no key; nothing else differs from what the
image is. What chroot isolation cannot show, a read-only root among others, is held against what the
process has written instead.
"""

import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest
import requests

import harness
import machine

BASE = "localhost/egptc-test-base:bookworm"
IMAGE = "localhost/egptc-test:latest"
BUILD_SECONDS = 2400


class Buildah:
    def __init__(self, folder: pathlib.Path):
        if os.geteuid() != 0:
            pytest.fail("building the image without Docker needs root")
        self.options = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self.environment = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, *arguments, seconds: float = 300) -> str:
        return machine.succeed(machine.program("buildah"), *self.options, *arguments, seconds=seconds,
                               env=self.environment)


def host_mirror() -> str:
    """Where this machine gets Debian from; debootstrap's own default when it says nothing."""
    for path in pathlib.Path("/etc/apt/sources.list.d").glob("*.sources"):
        for line in path.read_text().splitlines():
            if line.startswith("URIs:"):
                return line.split()[1]
    return "http://deb.debian.org/debian"


def make_base(buildah: Buildah, folder: pathlib.Path) -> None:
    root = folder / "base"
    machine.succeed(machine.program("debootstrap"), "--variant=minbase", "--include=ca-certificates",
                    "bookworm", root, host_mirror(), seconds=600)
    # What this machine needs to reach packages, its image needs too.
    for path in ("/etc/apt/sources.list.d", "/etc/apt/apt.conf.d", "/etc/pip.conf",
                 "/etc/ssl/certs/ca-certificates.crt"):
        target = root / path.lstrip("/")
        if pathlib.Path(path).is_dir():
            (root / "etc/apt/sources.list").unlink(missing_ok=True)
            shutil.copytree(path, target, dirs_exist_ok=True)
        elif pathlib.Path(path).exists():
            shutil.copyfile(path, target)
    container = buildah("from", "scratch").strip()
    buildah("add", "-q", container, root, "/")
    buildah("commit", "-q", container, BASE)
    buildah("rm", container)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    buildah = Buildah(folder)
    make_base(buildah, folder)
    # The host's compiler cache, where there is one: the same compiler compiles the same source.
    home = pathlib.Path.home()  # of root, here as inside
    mounts = [word for name in (".cache/ccache", ".config/ccache") if (home / name).is_dir()
              for word in ("--volume", f"{home / name}:{home / name}")]
    buildah("bud", "--isolation", "chroot", "--network", "host", "--build-arg", f"BASE={BASE}", *mounts,
            "-t", IMAGE, "-f", machine.ROOT / "Dockerfile.prod", machine.ROOT, seconds=BUILD_SECONDS)
    yield buildah
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def container(image):
    name = image("from", IMAGE).strip()
    yield name
    image("rm", name)


def test_what_the_image_says(image):
    config = json.loads(image("inspect", "--type", "image", IMAGE))["OCIv1"]["config"]
    assert config["User"] == "10001:10001" and config["WorkingDir"] == "/app"
    assert config["Entrypoint"] == ["enhanced-gptcache"] and config["Cmd"] == ["serve"]
    assert "8080/tcp" in config["ExposedPorts"] and "/app/data" in config["Volumes"]
    assert "EGPTC_SECURITY__ENABLED=true" in config["Env"] and "ENV=production" in config["Env"]


def test_it_is_small(image):
    rows = json.loads(image("images", "--json"))
    sizes = {row["names"][0]: row["size"] for row in rows if row.get("names")}
    megabytes = float(next(size for name, size in sizes.items() if name == IMAGE).split()[0])
    assert megabytes < 400


def test_no_build_tool_is_left(image, container):
    left = image("run", container, "--", "sh", "-c", "command -v g++ cmake git python3 || true").strip()
    assert left == ""


def test_it_serves_as_its_user_and_writes_nowhere_else(image, container, standin):
    port = harness.free_port()
    root = pathlib.Path(image("mount", container).strip())
    started = time.time()
    environment = {"EGPTC_SECURITY__ENABLED": "false", "EGPTC_SERVER__PORT": str(port),
                   "EGPTC_UPSTREAM__BASE_URL": standin.base_url}
    flags = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    process = subprocess.Popen(
        [machine.program("buildah"), *image.options, "run", "--isolation", "chroot", *flags, container, "--",
         "enhanced-gptcache", "serve"], env=image.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return requests.get(url + "/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    try:
        harness.wait_until(ready, 60, "the container being ready")
        health = requests.get(url + "/health", timeout=10).json()
        assert health["overall_status"] == "healthy", health
        body = {"model": "m", "messages": [{"role": "user", "content": "Is it in a box?"}]}
        answers = [requests.post(url + "/v1/chat/completions", json=body, timeout=10) for _ in range(2)]
        assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT"]
        assert image("run", container, "--", "id", "-u").strip() == "10001"
    finally:
        subprocess.run(["pkill", "-TERM", "-P", str(process.pid)], check=False)
        process.terminate()
        process.wait(60)
    written = {path.relative_to(root).as_posix() for path in root.rglob("*")
               if path.is_file() and not path.is_symlink() and path.stat().st_mtime > started}
    elsewhere = {path for path in written if not path.startswith(("app/data/", "app/logs/", "tmp/", "proc/",
                                                                  "sys/", "dev/", "run/", "etc/"))}
    assert not elsewhere, sorted(elsewhere)[:20]

#!/usr/bin/env python3
"""Runs docs/deployment-guide.md from first to last line in a clean Debian root, and keeps a transcript.

usage: guide_transcript.py --root FOLDER [--ccache FOLDER] [--heavy COMMAND] [--out FILE]

FOLDER is what `debootstrap --variant=minbase --include=ca-certificates bookworm FOLDER` made. Needs root.
The machine's package sources are copied into it. No process 1, no cluster, no Docker engine and no editor are
there: STAND_INS says what takes their place, line by line, and the transcript says so where it happens.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs/deployment-guide.md"
OUTPUT_MAX = 24  # lines of one command
HEAVY = re.compile(r"apt-get|run\.sh|cpack|bootstrap\.sh|fetch_model")
OTHER_PLACES = re.compile(
    r"https?://(?!localhost|127\.0\.0\.1)|Looking in|^\(Reading database|^debconf:|^W: |^\[\d+\]"
)
COPIED = ("etc/apt/apt.conf.d", "etc/apt/sources.list.d", "etc/pip.conf", "etc/resolv.conf")
COPIED += ("etc/ssl/certs/ca-certificates.crt", "etc/hosts")
READY = "for i in $(seq 100); do curl -sf localhost:8080/ready > /dev/null && break; sleep 0.2; done"
COPY = "build/release/package/enhanced-gptcache-1.1.0.tar.gz"
SOME_RELEASE = "build/release/package/enhanced-gptcache-*-linux-*.tar.gz"
STAND_INS = (  # (what the line holds, what is run instead (empty: nothing), why)
    (
        "<repository-url>",
        "git clone -q /opt/source.git && cd enhanced-gptcache",
        "a copy of this repository",
    ),
    ("./scripts/test.sh", "", "an hour of tests: run before each release, not here"),
    (
        "docker-compose -f",
        "docker-compose -f docker-compose.prod.yml config -q",
        "no Docker engine: the file is checked; `scripts/test.sh --image` builds and runs the image",
    ),
    (
        "scripts/deployment_validation.sh --remote",
        "scripts/deployment_validation.sh --remote --env staging",
        "against the server of chapter 1",
    ),
    ("kubectl", "", "no cluster: tests/deploy/test_files.py holds the manifests against the schemas"),
    ("kubernetes/secret.yaml.example", "", "no cluster"),
    (
        "maintenance.sh start",
        "deploy/alerting/maintenance.sh --help",
        "no Alertmanager runs here; tests/deploy/test_monitoring.py has one",
    ),
    (
        "restore_script.sh /opt",
        "sudo systemctl stop enhanced-gptcache; "
        "sudo deploy/recovery/restore_script.sh /opt/backups/enhanced-gptcache/backup_*.tar.gz; "
        "sudo systemctl start enhanced-gptcache",
        "the backup made before; the server is stopped for it",
    ),
    ("tail -f", "tail -n 3 /opt/enhanced-gptcache/logs/application.log", "tail -f has no end"),
    (
        "iostat",
        "ps aux | grep '[e]nhanced-gptcache serve'; free -h; df -h /opt",
        "iostat is in the package sysstat",
    ),
    (
        "--serve-percent 5 enhanced-gptcache-1.1.0",
        f"cp {SOME_RELEASE} {COPY}; sudo deploy/rollback/deploy.sh --serve-percent 5 {COPY}",
        "the same build under the name of a next version",
    ),
)
BEFORE = (  # (before the line that holds this, this is run, because)
    (
        "enhanced-gptcache doctor  ",
        "ENV=staging enhanced-gptcache serve > serve.log 2>&1 & " + READY,
        "a server to look at",
    ),
    ("apt-get install ./build", "kill %1; wait", "port 8080 is wanted by the next one"),
    ("cpack -G DEB", "sudo scripts/bootstrap.sh --package", "what cpack needs"),
    ("sudo useradd", "sudo systemctl stop enhanced-gptcache", "the package's server makes room"),
    ("docker-compose -f", "sudo apt-get install -y -q docker-compose", "a tool of this chapter"),
    (
        "promtool check",
        "sudo apt-get install -y -q prometheus prometheus-alertmanager",
        "the tools of this chapter",
    ),
    ("curl -s localhost:8080/admin/config |", "sudo apt-get install -y -q jq", "a tool of this chapter"),
    ("curl -s localhost:8080/admin/config |", READY, "the server is up"),
)


def blocks():
    """(heading, lines) of every block of shell lines, in the order of the page."""
    heading = ""
    for part in re.finditer(r"^(#+ [^\n]*)$|^```sh\n(.*?)^```", GUIDE.read_text(), re.M | re.S):
        if part[1]:
            heading = part[1].lstrip("# ")
        else:
            yield heading, re.sub(r"\s+# .*", "", part[2]).strip().splitlines()


class Shell:
    """A shell in the clean root that goes on from line to line."""

    def __init__(self, root, heavy):
        self.heavy = heavy.split()
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        words = ["HOME=/root", f"PATH={path}", "EDITOR=true", "DEBIAN_FRONTEND=noninteractive"]
        words += ["LC_ALL=C.UTF-8", "CCACHE_BASEDIR=/"]
        # One core: builds must not take the whole of a shared machine (nproc asks for the affinity).
        self.inside = [
            "taskset",
            "-c",
            str(min(os.sched_getaffinity(0))),
            "chroot",
            str(root),
            "env",
            "-i",
            *words,
        ]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(
            [*self.inside, "bash", "--norc"], text=True, errors="replace", start_new_session=True, **pipes
        )
        self.run("set -m; cd")

    def run(self, line):
        """Status and output lines."""
        if self.heavy and HEAVY.search(line):
            return self.run_alone(line)
        self.process.stdin.write(f"{line}\nprintf '\\n@@end %s\\n' $?\n")
        self.process.stdin.flush()
        lines = []
        for text in self.process.stdout:
            if text.startswith("@@end "):
                return int(text.split()[1]), lines[:-1] if lines and not lines[-1] else lines
            lines.append(text.rstrip())
        raise SystemExit(f"the shell ended in: {line}")

    def run_alone(self, line):
        """In a shell of its own, behind the command that hands out the machine's time."""
        line = f"cd; cd enhanced-gptcache 2> /dev/null; {line}"
        done = subprocess.run(
            [*self.heavy, *self.inside, "bash", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    def end(self, root):
        """With everything that was started in the root and still runs."""
        self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "root") == str(root):
                    os.kill(int(process.name), signal.SIGKILL)


def shown(lines):
    """Without what differs from place to place, and cut in the middle."""
    kept = []
    for line in lines:
        if OTHER_PLACES.search(line):
            continue
        kept.append(line[:160])
    if len(kept) > OUTPUT_MAX:
        cut = len(kept) - OUTPUT_MAX
        kept = [*kept[:4], f"    ... {cut} lines ...", *kept[-(OUTPUT_MAX - 4) :]]
    return kept


def prepare(root, ccache, source):
    for name in COPIED:
        path, target = pathlib.Path("/") / name, root / name
        if path.is_dir():
            (root / "etc/apt/sources.list").unlink(missing_ok=True)
            shutil.copytree(path, target, dirs_exist_ok=True)
        elif path.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    (root / "root/.cache/ccache").mkdir(parents=True, exist_ok=True)
    (root / "opt").mkdir(exist_ok=True)
    shutil.rmtree(root / "opt/source.git", ignore_errors=True)
    bare = root / "opt/source.git"
    subprocess.run(["git", "clone", "-q", "--bare", "--single-branch", source, bare], check=True)
    systemctl = root / "usr/local/bin/systemctl"
    shutil.copyfile(ROOT / "tools/guide_systemctl.sh", systemctl)
    systemctl.chmod(0o755)
    mounts = [("proc", "proc"), ("devices", "dev")] + ([("ccache", "root/.cache/ccache")] if ccache else [])
    for kind, name in mounts:
        words = {
            "proc": ["-t", "proc", "proc"],
            "devices": ["--rbind", "/dev"],
            "ccache": ["--bind", str(ccache)],
        }[kind]
        subprocess.run(["mount", *words, str(root / name)], check=True)
    return [str(root / name) for _, name in reversed(mounts)]


class Transcript:
    def __init__(self, shell):
        self.shell, self.out, self.failed = shell, [], []

    def line(self, text):
        for what, before, why in BEFORE:
            if what in text:
                self.execute(before, f"before: {why}")
        for what, instead, why in STAND_INS:
            if what not in text:
                continue
            self.out += [f"$ {text}", f"# {'instead' if instead else 'not run'}: {why}"]
            if instead:
                self.execute(instead, "")
            return
        self.execute(text, "")

    def execute(self, text, why):
        began = time.monotonic()
        status, lines = self.shell.run(text)
        took = time.monotonic() - began
        self.out += ([f"# {why}"] if why else []) + [f"$ {text}", *shown(lines)]
        if took > 5:
            self.out.append(f"# {took:.0f} s")
        if status:
            self.out.append(f"# status {status}")
            self.failed.append(f"{text}: {status}\n" + "\n".join(lines[-15:]))
        print(f"{status} {took:5.1f} s  {text}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--ccache", type=pathlib.Path)
    parser.add_argument("--heavy", default="", help="command before the lines that take much of the machine")
    parser.add_argument("--source", default=str(ROOT), help="the repository that is cloned, as committed")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/deployment-transcript.md")
    options = parser.parse_args()
    mounted, shell = prepare(options.root, options.ccache, options.source), None
    try:
        shell = Shell(options.root.resolve(), options.heavy)
        transcript = Transcript(shell)
        transcript.out += ["```console"]
        transcript.execute(
            "(apt-get update && apt-get install -y sudo) > /dev/null 2>&1; cat /etc/debian_version",
            "a bare root has no sudo",
        )
        for heading, lines in blocks():
            transcript.out += ["```", "", f"## {heading}", "", "```console"]
            joined = "\n".join(lines).replace("\\\n", " ").splitlines()
            for line in joined:
                if line.strip() and not line.startswith("#"):
                    transcript.line(line.strip())
        transcript.execute("sudo systemctl stop enhanced-gptcache", "the end")
        transcript.out += ["```"]
    finally:
        if shell is not None:
            shell.end(options.root.resolve())
        for path in mounted:
            subprocess.run(["umount", "-R", "-l", path], check=False)
    text = re.sub(r"```console\n```\n", "", "\n".join(transcript.out))
    head = (ROOT / "tools/guide_transcript.md").read_text()
    options.out.write_text(f"{head}\nRun on {time.strftime('%Y-%m-%d', time.gmtime())}.\n\n{text}\n")
    if transcript.failed:
        sys.exit("failed:\n" + "\n\n".join(transcript.failed))


if __name__ == "__main__":
    main()

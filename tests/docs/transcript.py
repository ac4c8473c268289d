#!/usr/bin/env python3
"""Runs docs/deployment-guide.md as an operator would, every line of every block in order, on an empty
Debian 12 with systemd, and writes down what happened: docs/deployment-transcript.md.

usage: transcript.py --root FOLDER [--source REPOSITORY] [--out FILE] [--until HEADING]

FOLDER is a root made by (as root)
  debootstrap --variant=minbase \\
    --include=ca-certificates,dbus,procps,sudo,systemd,systemd-sysv bookworm FOLDER
It is booted with systemd-nspawn (package systemd-container) and written to. Its network is this machine's,
so that port 8080 has to be free here. Run by hand: it installs, compiles, and takes from 10 minutes to half
an hour.

A line that cannot be run there, or has a blank to fill in, stands in transcript_plan.py with what was run
in its place. The exit status is 0 when every line ended as it should.
"""

import argparse
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

import transcript_plan as plan

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GUIDE = ROOT / "docs/deployment-guide.md"
USER = "admin"
REPOSITORY = "/var/git/enhanced-gptcache.git"
SHOWN_FIRST, SHOWN_LAST, SHOWN_WIDTH = 8, 6, 160
BOOT_SECONDS, SECONDS = 60, 2400


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """The shell blocks of the page: the heading each stands under, and its lines (continued ones joined)."""
    heading, found = "", []
    for part in re.split(r"(```sh\n.*?```)", text, flags=re.S):
        if part.startswith("```sh\n"):
            lines = part[6:-3].replace("\\\n", "").splitlines()
            found.append((heading, [line for line in lines if line.strip()]))
        else:
            heading = (re.findall(r"^##+ (.*)$", part, re.M) or [heading])[-1]
    return found


def code(line: str) -> str:
    """A line without the comment behind it."""
    return line.partition("  #")[0].rstrip()


class Machine:
    """A booted root, and one login shell of its operator."""

    def __init__(self, root: pathlib.Path, source: pathlib.Path):
        self.root = root
        if self.in_root("id", USER, check=False).returncode != 0:
            self.in_root("useradd", "--create-home", "--shell", "/bin/bash", USER)
        (root / "etc/sudoers.d/admin").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
        (root / "etc/hostname").write_text("cache1\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost cache1\n")
        (root / "src").mkdir(exist_ok=True)
        (root / REPOSITORY[1:]).parent.mkdir(exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", "--bare", source, root / REPOSITORY[1:]], check=True)
        editor = root / "usr/local/bin/as-the-operator-would"
        editor.write_text(plan.EDITOR)
        editor.chmod(0o755)
        self.in_root("chown", "-R", f"{USER}:", "/src", REPOSITORY)
        self.boot = subprocess.Popen(
            [
                "systemd-nspawn",
                "--quiet",
                f"--directory={root}",
                "--register=no",
                "--keep-unit",
                "--boot",
                "--machine=cache1",
                "--resolv-conf=off",
                "--timezone=off",
            ],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.shell = subprocess.Popen(
            [*self.enter(), "su", "--login", USER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.run("cd /src", SECONDS)
        self.run("export EDITOR=as-the-operator-would", SECONDS)

    def in_root(self, *command, check: bool = True) -> subprocess.CompletedProcess:
        return subprocess.run(["chroot", self.root, *command], check=check, capture_output=True)

    def enter(self) -> list[str]:
        """Waits until systemd is up, and says how to get a process in there."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            leader = pathlib.Path(f"/proc/{self.boot.pid}/task/{self.boot.pid}/children").read_text().split()
            if leader:
                inside = [
                    "nsenter",
                    f"--target={leader[0]}",
                    "--mount",
                    "--uts",
                    "--ipc",
                    "--pid",
                    "--root",
                    "--wd",
                    "--",
                ]
                state = subprocess.run(
                    [*inside, "systemctl", "is-system-running"], capture_output=True, text=True
                )
                if state.stdout.strip() in ("running", "degraded"):
                    return inside
            time.sleep(0.5)
        raise SystemExit(f"{self.root} does not boot: systemd-nspawn ended with {self.boot.poll()}")

    def run(self, line: str, seconds: float) -> tuple[int, list[str]]:
        """Exit status and output of one line, which is run in the shell where the lines before it were."""
        mark = f"__end_{os.urandom(8).hex()}"
        self.shell.stdin.write(f"{{ {line}\n}} </dev/null\nended=$?; echo; echo {mark} $ended\n".encode())
        self.shell.stdin.flush()
        text, deadline = "", time.monotonic() + seconds
        while (found := re.search(rf"\n?{mark} (\d+)\n", text)) is None:
            ready, _, _ = select.select([self.shell.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self.shell.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise SystemExit(f"no end of: {line}\n{text[-2000:]}")
            text += data.decode(errors="replace")
        return int(found[1]), text[: found.start()].rstrip("\n").splitlines()

    def close(self) -> None:
        self.shell.kill()
        self.boot.terminate()
        try:
            self.boot.wait(30)
        except subprocess.TimeoutExpired:
            self.boot.kill()


def shown(output: list[str]) -> list[str]:
    """What a reader wants of an output: its two ends, no terminal codes, no names of package mirrors."""
    clean = []
    for line in output:
        if line.startswith("(Reading database"):
            continue
        line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line.rpartition("\r")[2]).rstrip()
        line = re.sub(r"https?://(?!localhost|127\.)[\w.-]*(?::\d+)?[\w./+-]*", "<mirror>", line)
        line = re.sub(r"(egptc_[0-9a-f]{4})[0-9a-f]+_[0-9a-f]+", r"\1...", line)
        clean.append(line if len(line) <= SHOWN_WIDTH else line[: SHOWN_WIDTH - 3] + "...")
    if len(clean) <= SHOWN_FIRST + SHOWN_LAST + 1:
        return clean
    left = len(clean) - SHOWN_FIRST - SHOWN_LAST
    return [*clean[:SHOWN_FIRST], f"[{left} more lines]", *clean[-SHOWN_LAST:]]


class Transcript:
    def __init__(self, machine: Machine):
        self.machine = machine
        self.text: list[str] = []
        self.wrong: list[str] = []
        self.counts = {"as it stands": 0, "with its blank filled in": 0, "not run": 0}

    def run(self, line: str) -> None:
        begun = time.monotonic()
        status, output = self.machine.run(line, SECONDS)
        took = time.monotonic() - begun
        print(f"{line}\n  [{status}] {took:.1f} s", flush=True)
        self.text += [f"$ {code(line)}", *shown(output), f"[status {status}, {took:.1f} s]", ""]
        if status != plan.STATUS.get(code(line), 0):
            print("\n".join(output[-20:]), flush=True)
            self.wrong.append(f"{code(line)}: status {status}")

    def line(self, line: str) -> None:
        lines, why = plan.INSTEAD.get(code(line), ([line], ""))
        kind = "as it stands" if not why else "with its blank filled in" if lines else "not run"
        self.counts[kind] += 1
        if why:
            self.text += [f"# the guide: {code(line)}", f"# {why}"]
        for one in lines:
            self.run(one)
        if not lines:
            self.text.append("")

    def block(self, heading: str, lines: list[str]) -> None:
        print(f"--- {heading}", flush=True)
        self.text += ["", f"## {heading}", "", "```console"]
        for one in plan.BEFORE.get(code(lines[0]), []):
            self.text.append(f"# not a line of a block: {one[1]}")
            self.run(one[0])
        for line in lines:
            self.line(line)
        self.text[-1:] = ["```"]

    def page(self) -> str:
        told = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        ended = (
            "All of them ended as they should."
            if not self.wrong
            else "These did not end as they should: " + ("; ".join(self.wrong))
        )
        return plan.HEAD.format(told=told, ended=ended) + "\n".join(self.text) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--source", type=pathlib.Path, default=ROOT, help="repository to clone")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/deployment-transcript.md")
    parser.add_argument("--until", default="", help="stop before the block under this heading")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("booting a root needs root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the machine ends, too
    machine = Machine(options.root, options.source)
    try:
        transcript = Transcript(machine)
        for heading, lines in blocks(GUIDE.read_text()):
            if options.until and heading.startswith(options.until):
                break
            transcript.block(heading, lines)
    finally:
        machine.close()
    options.out.write_text(transcript.page())
    print("\n".join(transcript.wrong) or "every line ended as it should")
    return 1 if transcript.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

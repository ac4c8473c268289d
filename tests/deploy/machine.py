"""What the tests of the deployment files share: the repository, programs that must be there, output."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"


def program(name: str) -> str:
    """Path of a program that scripts/bootstrap.sh installs: its absence is a failure, never a skip."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path is None:
        pytest.fail(f"{name} is not installed; run scripts/bootstrap.sh --test")
    return path


def run(*command, seconds: float = 60, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=seconds, **options)


def succeed(*command, **options) -> str:
    """Runs it and returns what it printed; anything but status 0 is a failure that shows it."""
    done = run(*command, **options)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout

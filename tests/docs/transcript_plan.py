"""What transcript.py cannot take from docs/deployment-guide.md: what fills a blank, what stands in for a line
that cannot be run on a machine without Docker and Kubernetes, what the text around a block tells an operator
to do, and which lines are meant to end otherwise than with 0. A line named here that the guide no longer has
fails a test."""

HEAD = """# The deployment guide, run

Every line of every block of [deployment-guide.md](deployment-guide.md), in order, as typed by an operator
with `sudo` on an empty Debian 12 (`debootstrap --variant=minbase` and systemd, booted by systemd-nspawn). The
machine reaches package mirrors and nothing else: no provider, no Docker, no Kubernetes. Made by
`tests/docs/transcript.py`, which boots the machine and writes this page; long outputs are cut in the middle.
Compiling went through a compiler cache that had been filled before.

Lines: {told}. {ended}
"""

# The operator's editor: it makes the change that a person would.
EDITOR = """#!/bin/sh
case "$1" in
  *secret.yaml) sed -i "s/fill in/$(openssl rand -hex 32)/" "$1" ;;
  *) sed -i 's/^  size_mb: 500$/  size_mb: 400/' "$1" ;;
esac
echo "edited $1"
"""

NO_CLUSTER = "no cluster here; tests/deploy/test_files.py validates the manifests"
READY = (
    "timeout 60 sh -c 'until curl -fs -o /dev/null localhost:8080/ready; do sleep 0.2; done'",
    "waits until it serves",
)
STOP = ('kill $(cat ~/serve.pid); tail --pid=$(cat ~/serve.pid) -f /dev/null', "ends that server")

# A line of the guide, without its comment: what is run for it, and why not itself.
INSTEAD = {
    "git clone <repository-url> && cd enhanced-gptcache": (
        ["git clone /var/git/enhanced-gptcache.git && cd enhanced-gptcache"],
        "the URL is filled in",
    ),
    "./scripts/test.sh": (
        [],
        "not here: it takes an hour and has its own run on an empty machine",
    ),
    "docker-compose -f docker-compose.prod.yml up --build -d": (
        [
            "sudo apt-get install -y -q --no-install-recommends docker-compose",
            "docker-compose -f docker-compose.prod.yml config --quiet",
            "mkdir -p ~/as-container && "
            "(EGPTC_SECURITY__ENABLED=true EGPTC_ADMIN_KEY_FILE=secrets/admin_key ENV=production "
            "EGPTC_SECURITY__METRICS_OPEN=true EGPTC_STORAGE__PATH=~/as-container/cache "
            "ENHANCED_GPTCACHE_CONFIG=config.prod.yaml enhanced-gptcache serve >~/serve.log 2>&1 & "
            "echo $! >~/serve.pid)",
            READY[0],
        ],
        "no Docker engine here: the file is checked, and the binary started as the container would start it; "
        "scripts/test.sh --image builds and runs the image",
    ),
    "kubectl apply -f kubernetes/namespace.yaml -f secret.yaml": ([], NO_CLUSTER),
    "kubectl apply -k deploy/kubernetes/production": ([], NO_CLUSTER),
    "kubectl get pods -n enhanced-gptcache": ([], NO_CLUSTER),
    "kubectl logs -f deployment/enhanced-gptcache -n enhanced-gptcache": ([], NO_CLUSTER),
    "sudo deploy/recovery/restore_script.sh /opt/backups/enhanced-gptcache/backup_<time>.tar.gz": (
        ["sudo sh -c 'deploy/recovery/restore_script.sh /opt/backups/enhanced-gptcache/backup_*.tar.gz'"],
        "the newest backup is filled in",
    ),
    "sudo tail -f /opt/enhanced-gptcache/logs/application.log": (
        ["sudo timeout 2 tail -f /opt/enhanced-gptcache/logs/application.log"],
        "ended after two seconds",
    ),
    "sudo deploy/rollback/deploy.sh --serve-percent 5 enhanced-gptcache-1.1.0.tar.gz": (
        [
            "cp build/release/package/enhanced-gptcache-*.tar.gz enhanced-gptcache-1.1.0.tar.gz",
            "sudo deploy/rollback/deploy.sh --serve-percent 5 enhanced-gptcache-1.1.0.tar.gz",
        ],
        "the same program under another name; tests/deploy/test_rollback.py goes between different ones",
    ),
}

# The first line of a block: what the text before it says to do, as (line, what it is).
BEFORE = {
    "enhanced-gptcache doctor": [
        (
            "(ENV=staging enhanced-gptcache serve >~/serve.log 2>&1 & echo $! >~/serve.pid)",
            "the server that the text before the block asks for, in a second terminal",
        ),
        READY,
    ],
    "enhanced-gptcache validate-config config.prod.yaml": [STOP],
    "scripts/bootstrap.sh --package": [STOP],
    "sudo useradd --system --home-dir /opt/enhanced-gptcache --shell /usr/sbin/nologin gptcache": [
        READY,
        ("curl -fs localhost:8080/health | jq .overall_status", "the package serves"),
        (
            "sudo apt-get purge -y -q enhanced-gptcache",
            "the other way on the same machine: the package leaves",
        ),
    ],
}

# What a line ends with that is meant to end otherwise than with 0.
STATUS = {
    "sudo timeout 2 tail -f /opt/enhanced-gptcache/logs/application.log": 124,
}

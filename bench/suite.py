#!/usr/bin/env python3
"""Every comparison of docs/performance.md in one go; bench/run.sh prepares what it needs.

usage: suite.py --build DIR --peers DIR [--part NAME]... [--all] [--rounds 5] [--out FILE] [--rows 1000000]

Server and load run on different cores, the things compared take turns; what is measured in rounds is the
median of them, the rest are single runs (bench/report.py says which). A part measured again replaces its
figures in FILE, with how and where it was measured; bench/report.py writes the report from it. A part that
fails leaves the figures it had, and the exit code is 1.
"""

import argparse
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time

import parts_cache
import parts_http
import parts_load
import questions

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = {
    "embed": parts_cache.embed,
    "embed_kernels": parts_cache.embed_kernels,
    "exact_process": parts_cache.exact,
    "gptcache": parts_cache.gptcache,
    "gptcache_sbert": parts_cache.gptcache_sbert,
    "memory": parts_cache.memory,
    "index": parts_cache.index,
    "start": parts_cache.start,
    "warm": parts_cache.warm,
    "exact_http": parts_http.exact,
    "semantic_http": parts_http.semantic,
    "miss": parts_http.miss,
    "capacity": parts_load.capacity,
    "flood": parts_load.flood,
    "confined": parts_load.confined,
    "soak": parts_load.soak,
}
ON_REQUEST = {"soak", "gptcache_sbert"}


class Bench:
    """What every part is given: where programs are, how many rounds, and a way to run them."""

    def __init__(self, options):
        self.build, self.peers = options.build.resolve(), options.peers.resolve()
        self.rounds, self.rows, self.seconds = options.rounds, options.rows, options.seconds
        self.binary = self.build / "enhanced-gptcache"
        self.model = ROOT / "models/all-MiniLM-L6-v2"
        self.work = self.peers / "work"
        self.work.mkdir(exist_ok=True)
        self.graph = self.peers / "onnx/int8.onnx"
        self.python = self.peers / "peers/bin/python"
        self.litellm = self.peers / "litellm/bin/litellm"
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.load_core = cores[0], cores[-1]

    def run(self, *command, core=None, lines=False, codes=(0,)):
        """The last JSON line a program prints, or all of them."""
        core = self.load_core if core is None else core
        done = subprocess.run(
            ["taskset", "-c", str(core), *map(str, command)],
            capture_output=True,
            text=True,
            cwd=ROOT / "bench",
            env={**os.environ, "PYTHONPATH": str(ROOT / "bench/peers")},
        )
        if done.returncode not in codes:
            raise RuntimeError(
                f"{command[0]} failed ({done.returncode}): {(done.stderr or done.stdout)[-1500:]}"
            )
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return found if lines else found[-1]

    def load(self, port, path, bodies, *more):
        return self.run(
            self.binary,
            "bench",
            "--server",
            f"http://127.0.0.1:{port}",
            "--json",
            "--path",
            path,
            "--bodies",
            bodies,
            *more,
            codes=(0, 1),
        )

    def store(self, port, pairs, connections=1):
        """One entry for the stored form of each pair."""
        lines = [json.dumps({"query": stored, "response": f"answer to {stored}"}) for stored, _ in pairs]
        found = self.load(
            port,
            "/cache/entries",
            questions.write_lines(self.work / "stores", lines),
            "--requests",
            len(lines),
            "--connections",
            connections,
        )
        if found["statuses"] != {"201": len(lines)}:
            raise RuntimeError(f"not all stored: {found}")

    def turns(self, *measures):
        """Each measure once a round, in turn; lists of what they gave."""
        found = [[] for _ in measures]
        for _ in range(self.rounds):
            for measure, values in zip(measures, found):
                values.append(measure())
        return found

    @staticmethod
    def median(values, name):
        """Of one figure over the rounds."""
        return statistics.median(value[name] for value in values)


def commit():
    """The one measured: a build of another tree is not seen. "+": with changes of its own."""

    def git(*words):
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + "+" * bool(
        git("status", "--porcelain", "--untracked-files=no")
    )


def circumstances(options, about):
    """How and where a part was measured, stored with it."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "processor": about["processor"],
        "cores": about["cores"],
        "rounds": options.rounds,
        "seconds": options.seconds,
        "rows": options.rows,
    }


def machine(bench):
    text = pathlib.Path("/proc/cpuinfo").read_text()
    about = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    about = {name.strip(): value.strip() for name, value in about.items()}
    simd = [flag for flag in about["flags"].split() if flag.startswith(("avx2", "avx512_vnni", "amx"))]
    caches = subprocess.run(["lscpu"], capture_output=True, text=True).stdout
    return {
        "processor": about["model name"],
        "cores": os.cpu_count(),
        "simd": simd,
        "caches": [line.strip() for line in caches.splitlines() if " cache:" in line],
        "memory_gb": round(os.sysconf("SC_PAGESIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
        "roofline": bench.run(bench.build / "roofline_bench"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--peers", type=pathlib.Path, required=True)
    parser.add_argument("--part", action="append", choices=sorted(PARTS))
    parser.add_argument("--all", action="store_true", help="with the parts that are on request")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large index")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "bench/results/performance.json")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers stop at the end of their `with`
    bench = Bench(options)
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    found["machine"] = machine(bench)
    failed = []
    wanted = PARTS if options.all else [name for name in PARTS if name not in ON_REQUEST]
    for name in options.part or wanted:
        began = time.time()
        print(f"--- {name}", flush=True)
        try:
            figures = PARTS[name](bench)
            figures["measured"] = time.strftime("%Y-%m-%d", time.gmtime())
            figures["run"] = circumstances(options, found["machine"])
            found[name] = figures
            print(json.dumps(figures, indent=1), flush=True)
            if figures.get("left_out"):
                failed.append(f"{name} (left out: {', '.join(figures['left_out'])})")
        except Exception as error:  # whatever it is, the other parts are measured and kept
            failed.append(name)
            print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        print(f"--- {name}: {time.time() - began:.0f} s", flush=True)
        options.out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()

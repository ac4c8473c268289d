"""Parts of bench/suite.py under load: what is served at a bounded latency, floods, small machines, a soak."""

import os
import pathlib
import re
import threading
import time

import checks
import questions
import servers

LATENCY_LIMIT_MS = 10.0
BODIES = 150_000
STEP = 1.25
FLOOD_QUEUE, FLOOD_CONNECTIONS, FLOOD_RATE, HITS_RATE = 32, 256, 4000, 500
GROUP = "egptc-bench"
ONE_PROCESSOR_US, MEMORY_BYTES = 100_000, 2 << 30


def traffic(bench, name, exact, semantic, misses, count=BODIES):
    """Requests in the given shares, of the first 1,000 pairs, evenly mixed; new questions are new once."""
    pairs, lines, debts, new = questions.pairs(1000), [], [0.0, 0.0, 0.0], 0
    for i in range(count):
        for kind, share in enumerate((exact, semantic, misses)):
            debts[kind] += share
        kind = debts.index(max(debts))
        debts[kind] -= 1
        text = pairs[i * 7 % 1000][kind] if kind < 2 else questions.new_question(new)
        new += kind == 2
        lines.append(questions.chat(text).replace("gpt-4o-mini", "default"))
    return questions.write_lines(bench.work / name, lines)


class Steps:
    """Load at one rate after another. Each goes on where the last one ended: what was new there is an exact
    hit by now."""

    def __init__(self, bench, server, bodies, shares):
        self.bench, self.server, self.bodies, self.sent = bench, server, bodies, 0
        self.shares = dict(zip(("exact", "semantic", "none"), shares))

    def at(self, rate, seconds):
        """What was found, and why it does not count, if so."""
        more = ("--rate", rate, "--seconds", seconds, "--connections", 64, "--start", self.sent)
        found = self.bench.load(self.server.port, servers.CHAT, self.bodies, *more)
        self.sent += found["requests"]
        if self.shares["none"] and self.sent > BODIES:
            raise RuntimeError(f"only {BODIES} requests are new, {self.sent} were sent: use fewer --seconds")
        worst = max(layer["p99_ms"] for layer in found["layers"].values())
        reason = checks.fault(found)
        if not reason and found["per_second"] < 0.95 * rate:
            reason = f"{found['per_second']:.0f} answers a second of {rate:.0f}"
        if not reason and worst > LATENCY_LIMIT_MS:
            reason = f"p99 {worst:.1f} ms"
        return found, worst, reason

    def seconds_for_p99(self, rate):
        """Until every layer has enough samples for a 99th percentile, by its share of the requests; at most
        twelve times a step, so that a short trial stays one (the report then says that there are too few)."""
        least = min(share for share in self.shares.values() if share)
        wanted = 1.15 * checks.SAMPLES_OF_P99 / (least * rate)
        return max(self.bench.seconds, min(wanted, 12 * self.bench.seconds))


def most_at_limit(bench, server, bodies, shares):
    """The largest rate (in steps of a quarter) that is answered with a 200 always and with a p99 of every
    layer under the limit: searched in short steps, then confirmed by one long enough for its p99."""
    steps, rate, reason = Steps(bench, server, bodies, shares), 200.0, ""
    while rate < 100_000 and not reason:
        _, _, reason = steps.at(rate, bench.seconds)
        rate *= STEP
    rate = rate / STEP / STEP if reason else rate / STEP
    stopped = reason
    while rate >= 100:
        found, worst, reason = steps.at(rate, steps.seconds_for_p99(rate))
        if not reason:
            return {
                "per_second": found["per_second"],
                "worst_p99_ms": worst,
                "layers": {name: layer["count"] for name, layer in found["layers"].items()},
                "next_step": stopped,
            }
        rate, stopped = rate / STEP, reason
    return {"per_second": 0, "worst_p99_ms": worst, "layers": {}, "next_step": stopped}


def capacity(bench):
    """Open-loop load; the server has one core, because the load needs the other."""
    mixes = {
        "semantic only": (0, 1, 0),
        "80 % exact, 20 % semantic": (0.8, 0.2, 0),
        "60 % exact, 20 % semantic, 20 % miss": (0.6, 0.2, 0.2),
    }
    out = {}
    for entries in (1_000, 10_000):
        with servers.Nginx(bench.load_core, cached=False) as model, servers.Ours(
            bench.binary,
            bench.server_core,
            upstream=model.port,
            **{"cache.size_mb": 1024, "cache.decision": "adaptive"},
        ) as server:
            bench.store(server.port, questions.pairs(entries), 4)
            for name, shares in mixes.items():
                bodies = traffic(bench, "mix", *shares)
                out[f"{entries} entries, {name}"] = most_at_limit(bench, server, bodies, shares)
    return out


def overloads(port):
    """Texts that were not embedded because the queue was full; None where nobody counts them."""
    text = servers.call(port, "/metrics")[2]
    found = re.search(r"^embed_overloads_total (\S+)$", text, re.M)
    return float(found.group(1)) if found else None


def flood(bench):
    """Latency of exact hits alone, and while misses arrive faster than they can be embedded."""
    seconds = max(bench.seconds, 2.0 * checks.SAMPLES_OF_P99 / HITS_RATE)
    with servers.Nginx(bench.load_core, cached=False) as model, servers.Ours(
        bench.binary, bench.server_core, upstream=model.port, **{"embedder.queue_max": FLOOD_QUEUE}
    ) as server:
        bench.store(server.port, questions.pairs(1000), 4)
        exact = traffic(bench, "exact", 1, 0, 0, 1000)
        misses = traffic(bench, "misses", 0, 0, 1, BODIES)

        def hits():
            more = ("--rate", HITS_RATE, "--seconds", seconds, "--connections", 16)
            return checks.all_served(bench.load(server.port, servers.CHAT, exact, *more), "exact hits")

        def drown():
            more = ("--rate", FLOOD_RATE, "--seconds", seconds + 2, "--connections", FLOOD_CONNECTIONS)
            flooded.append(bench.load(server.port, servers.CHAT, misses, *more))

        calm, flooded, before = hits(), [], overloads(server.port)
        load = threading.Thread(target=drown)
        load.start()
        time.sleep(0.5)
        try:
            busy = hits()
        finally:
            load.join()
        after = overloads(server.port)
    if not flooded:
        raise RuntimeError("the flood failed")
    keys = ("per_second", "wanted_per_second", "requests", "most_waiting", "statuses", "failed", "layers")
    return {
        "calm": calm["layers"]["exact"],
        "flooded": busy["layers"]["exact"],
        "hits_due": HITS_RATE * seconds,
        "flood": {
            **{key: flooded[0][key] for key in keys},
            "connections": FLOOD_CONNECTIONS,
            "queue_max": FLOOD_QUEUE,
            "embed_overloads": None if after is None else after - before,
        },
    }


class Group:
    """A control group of one processor and 2 GiB, of version 1 or 2; no folders where none may be made."""

    def __init__(self, root=pathlib.Path("/sys/fs/cgroup")):
        self.version = 2 if (root / "cgroup.controllers").exists() else 1
        if self.version == 2:
            limits = {"cpu.max": f"{ONE_PROCESSOR_US} {ONE_PROCESSOR_US}", "memory.max": MEMORY_BYTES}
            self.limits = [(root / GROUP / file, str(value)) for file, value in limits.items()]
        else:
            # The kernel refuses a quota larger than the period of a group above it: the period comes first.
            limits = {"cpu.cfs_period_us": ONE_PROCESSOR_US, "cpu.cfs_quota_us": ONE_PROCESSOR_US}
            limits["memory.limit_in_bytes"] = MEMORY_BYTES
            self.limits = [(root / file.split(".")[0] / GROUP / file, str(v)) for file, v in limits.items()]
        self.folders = list(dict.fromkeys(file.parent for file, _ in self.limits))
        try:
            for folder in self.folders:
                folder.mkdir(exist_ok=True)
            if self.version == 2:
                (root / "cgroup.subtree_control").write_text("+cpu +memory")
            for file, value in self.limits:
                file.write_text(value)
        except OSError as error:
            self.remove()
            self.folders, self.refused = [], error.strerror

    def prefix(self):
        """Words before a command that put it into the group, or fail."""
        joins = "".join(f"echo $$ > {folder}/cgroup.procs; " for folder in self.folders)
        return ["sh", "-c", f'set -e; {joins}exec "$@"', "sh"]

    def in_force(self, process):
        """The limits as the kernel has them; RuntimeError where the process is not under them."""
        if not self.folders:
            return f"one core by affinity, no limit of memory: control groups refused ({self.refused})"
        lines = pathlib.Path(f"/proc/{process}/cgroup").read_text().splitlines()
        joined = {
            name: path for _, names, path in (x.split(":", 2) for x in lines) for name in names.split(",")
        }
        for name in ("cpu", "memory") if self.version == 1 else ("",):
            if pathlib.PurePosixPath(joined.get(name, "/")).name != GROUP:
                raise RuntimeError(f"the server is not in its control group: {lines}")
        for file, value in self.limits:
            if file.read_text().strip() != value:
                raise RuntimeError(f"{file.name} is {file.read_text().strip()}, not {value}")
        limits = ", ".join(f"{file.name} {value}" for file, value in self.limits)
        return f"control groups version {self.version}: {limits}; both cores as affinity"

    def remove(self):
        for folder in self.folders:
            try:
                folder.rmdir()
            except OSError:
                continue  # never made, or somebody else's process is in it


def confined(bench):
    """The limits of the guide's Kubernetes file: 1 processor, 2 GiB."""
    group, shares = Group(), (0.6, 0.2, 0.2)
    cores = f"{bench.server_core},{bench.load_core}" if group.folders else bench.server_core
    try:
        with servers.Nginx(bench.load_core, cached=False) as model, servers.Ours(
            bench.binary, cores, upstream=model.port, prefix=group.prefix(), **{"cache.size_mb": 500}
        ) as server:
            limited_by = group.in_force(server.process.pid)
            bench.store(server.port, questions.pairs(10_000), 4)
            served = most_at_limit(bench, server, traffic(bench, "mix", *shares), shares)
            return {
                "limited_by": limited_by,
                "resident_mb": server.resident_mb(),
                "mix": "60 % exact, 20 % semantic, 20 % miss",
                "served": served,
            }
    finally:
        group.remove()


def soak(bench):
    """1,000,000 requests with eviction going on: resident memory and throughput by tenth."""
    tenths, total = [], int(os.environ.get("EGPTC_SOAK_REQUESTS", "1000000"))
    with servers.Nginx(bench.load_core, cached=False) as model, servers.Ours(
        bench.binary,
        bench.server_core,
        upstream=model.port,
        **{"cache.size_mb": 8, "cache.decision": "adaptive"},
    ) as server:
        bodies = traffic(bench, "soak", 0.85, 0.05, 0.1, 200_000)
        for tenth in range(10):
            found = bench.load(
                server.port,
                servers.CHAT,
                bodies,
                "--requests",
                total // 10,
                "--start",
                tenth * (total // 10),
                "--connections",
                16,
            )
            checks.all_served(found, f"tenth {tenth + 1} of the soak")
            tenths.append(
                {
                    "per_second": found["per_second"],
                    "statuses": found["statuses"],
                    "failed": found["failed"],
                    "resident_mb": server.resident_mb(),
                }
            )
    return {"requests": total, "tenths": tenths}

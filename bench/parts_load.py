"""Parts of bench/suite.py under load: what is served at a bounded latency, floods, small machines, a soak."""

import os
import pathlib
import subprocess
import threading

import questions
import servers

LATENCY_LIMIT_MS = 10.0


def traffic(bench, name, exact, semantic, misses, count=40_000):
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


def most_at_limit(bench, server, bodies):
    """The largest rate (in steps of a quarter) at which the p99 of every layer stays under the limit."""
    rate, best, sent = 200.0, None, 0
    while rate < 100_000:
        # Each step goes on where the last one ended: what was new there is an exact hit by now.
        more = ("--rate", rate, "--seconds", bench.seconds, "--connections", 64, "--start", sent)
        found = bench.load(server.port, servers.CHAT, bodies, *more)
        sent += found["requests"]
        worst = max(layer["p99_ms"] for layer in found["layers"].values())
        if worst > LATENCY_LIMIT_MS or found["per_second"] < 0.95 * rate:
            break
        best = {
            "per_second": found["per_second"],
            "worst_p99_ms": worst,
            "layers": {name: layer["count"] for name, layer in found["layers"].items()},
        }
        rate *= 1.25
    return best or {"per_second": 0, "worst_p99_ms": worst}


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
                out[f"{entries} entries, {name}"] = most_at_limit(bench, server, bodies)
    return out


def flood(bench):
    """Latency of exact hits alone, and while misses arrive faster than they can be embedded."""
    with servers.Nginx(bench.load_core, cached=False) as model, servers.Ours(
        bench.binary, bench.server_core, upstream=model.port
    ) as server:
        bench.store(server.port, questions.pairs(1000), 4)
        exact = traffic(bench, "exact", 1, 0, 0, 1000)
        misses = traffic(bench, "misses", 0, 0, 1, 20_000)
        calm = bench.load(
            server.port, servers.CHAT, exact, "--rate", 500, "--seconds", bench.seconds, "--connections", 16
        )
        flooded = []
        load = threading.Thread(
            target=lambda: flooded.append(
                bench.load(
                    server.port,
                    servers.CHAT,
                    misses,
                    "--rate",
                    4000,
                    "--seconds",
                    bench.seconds + 2,
                    "--connections",
                    256,
                )
            )
        )
        load.start()
        busy = bench.load(
            server.port, servers.CHAT, exact, "--rate", 500, "--seconds", bench.seconds, "--connections", 16
        )
        load.join()
    return {
        "calm": calm["layers"]["exact"],
        "flooded": busy["layers"]["exact"],
        "flood": {key: flooded[0][key] for key in ("per_second", "wanted_per_second", "statuses", "failed")},
    }


def cgroup(name, limits):
    """A control group (version 1 folders) with `limits`, or None where that is not allowed."""
    made = []
    try:
        for file, value in limits.items():
            folder = pathlib.Path("/sys/fs/cgroup", file.split(".")[0], name)
            folder.mkdir(exist_ok=True)
            (folder / file).write_text(str(value))
            made.append(folder)
    except OSError:
        return None
    return made


def confined(bench):
    """The limits of the guide's Kubernetes file: 1 processor, 2 GiB."""
    groups = cgroup(
        "egptc-bench",
        {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": 100_000, "memory.limit_in_bytes": 2 << 30},
    )
    prefix = [
        "sh",
        "-c",
        "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups or []) + 'exec "$@"',
        "sh",
    ]
    with servers.Nginx(bench.load_core, cached=False) as model, servers.Ours(
        bench.binary, bench.server_core, upstream=model.port, prefix=prefix, **{"cache.size_mb": 500}
    ) as server:
        bench.store(server.port, questions.pairs(10_000), 4)
        bodies = traffic(bench, "mix", 0.6, 0.2, 0.2)
        served = most_at_limit(bench, server, bodies)
        out = {
            "limited_by": "control groups" if groups else "one core by affinity; control groups not writable",
            "resident_mb": server.resident_mb(),
            "mix": "60 % exact, 20 % semantic, 20 % miss",
            "served": served,
        }
    for group in groups or []:
        subprocess.run(["rmdir", group], stderr=subprocess.DEVNULL, check=False)
    return out


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
            tenths.append(
                {
                    "per_second": found["per_second"],
                    "statuses": found["statuses"],
                    "failed": found["failed"],
                    "resident_mb": server.resident_mb(),
                }
            )
    return {"requests": total, "tenths": tenths}

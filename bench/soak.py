#!/usr/bin/env python3
"""One server under steady mixed traffic while it is deployed, rolled back, reloaded, backed up and broken.

usage: soak.py --binary FILE [--minutes 60] [--cycles 6] [--rate 60] [--out FILE] [--work FOLDER]

The server runs in the layout of a deployment below --work, with security on, four tenants and a cache so
small that it evicts all the time; tests/standin is the model. Every cycle goes through the whole of EVENTS.
The storage folder is a small file system of its own (needs root), so that it can really be full; without
that right the event is left out, and said to be.
bench/soak_report.py makes the plot and the table from the figures.
"""

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import time
import urllib.request

from soak_site import ROOT, Site
from soak_traffic import BIN_SECONDS, MODEL, Traffic

GRACE = 6.0  # seconds after a fault in which its effects may still show


class Faults:
    """When which fault was there, so that an error can be laid at its door."""

    def __init__(self):
        self.windows = []

    @contextlib.asynccontextmanager
    async def window(self, kind):
        one = [kind, time.monotonic(), None]
        self.windows.append(one)
        try:
            yield
        finally:
            one[2] = time.monotonic()

    def during(self, kind, began):
        """Was there one at any time since `began`, or just before?"""
        return any(name == kind and (end is None or end + GRACE > began) for name, _, end in self.windows)


class Soak:
    def __init__(self, site, options):
        self.site, self.options, self.faults = site, options, Faults()
        self.events, self.samples, self.probes, self.traffic = [], [], [], None

    # --- what happens to the server: each raises when it is not as it should be ----------------------
    async def reload(self):
        before = self.reloads("applied")
        (self.site.root / "config.prod.yaml").write_text(self.site.config(7 - self.site.window))
        await self.until(lambda: self.reloads("applied") > before, "the reload")

    async def bad_reload(self):
        path = self.site.root / "config.prod.yaml"
        path.write_text("cache: {similarity_threshold: 7}\n")
        await self.until(lambda: self.configuration() == "warning", "configuration: warning")
        path.write_text(self.site.config())
        await self.until(lambda: self.configuration() == "healthy", "configuration: healthy")

    async def backup(self):
        binary, folder = self.site.root / "current/bin/enhanced-gptcache", self.site.work / "backups"
        more = ["--config", self.site.root / "config.prod.yaml", "--api-key-env", "SOAK_KEY"]
        await self.site.command(binary, "backup", "--output", folder, "--without-models", *more)
        newest = max(folder.glob("backup_*.tar.gz"), key=lambda path: path.stat().st_mtime)
        await self.site.command(binary, "backup", "--verify", newest)

    async def upstream_errors(self):
        async with self.faults.window("upstream"):
            self.site.rule(status=500)
            await asyncio.sleep(30 * self.options.scale)
            self.site.call("POST", "/control/reset", {}, self.site.upstream)

    async def upstream_hangs(self):
        async with self.faults.window("upstream"):
            self.site.rule(delay=60)
            await asyncio.sleep(20 * self.options.scale)
            self.site.call("POST", "/control/reset", {}, self.site.upstream)

    async def upstream_dead(self):
        async with self.faults.window("upstream"):
            self.site.stop_standin()
            await asyncio.sleep(15 * self.options.scale)
            self.site.start_standin()
            await asyncio.sleep(1)

    async def deploy(self):
        before = self.site.root / "current"
        name = "1.1.0" if before.is_symlink() and before.readlink().name == "1.0.0" else "1.0.0"
        async with self.faults.window("restart"):
            await self.site.script("deploy.sh", self.site.work / "new" / name)

    async def rollback(self):
        async with self.faults.window("restart"):
            await self.site.script("emergency_rollback.sh")
        output = await self.site.script("validate_rollback.sh")
        if output.count("OK  ") != 5:
            raise RuntimeError(output)

    async def killed(self):
        async with self.faults.window("restart"):
            os.kill(self.site.pid(), signal.SIGKILL)
            await asyncio.sleep(0.2)
            await self.site.command(self.site.work / "service", "start")
            await self.until(self.is_ready, "ready after kill -9")

    async def storage_full(self):
        if not self.site.mounted:
            raise RuntimeError("left out: no right to mount a file system that can be filled")
        filler = self.site.root / "data/filler"
        async with self.faults.window("storage"):
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                while file.write(b"\0" * 4096):
                    pass
            await asyncio.sleep(20 * self.options.scale)
            status = self.site.call("GET", "/health")["checks"]["components"]["storage"]
            filler.unlink()
        await self.until(lambda: self.storage() == "healthy", f"storage healthy again (it was {status})", 60)
        # What /health says at that moment is not enough: the engine may fail a moment later, and for good.
        await asyncio.sleep(GRACE)
        entry = {"query": "Is the disk full?", "response": "No.", "model": MODEL, "ttl_seconds": 60}
        self.site.call("POST", "/cache/entries", entry)
        return f"while full: {json.dumps(status)}"

    async def rollout(self):
        for percent in (10, 50, 100):
            self.site.call("PUT", "/admin/config", {"cache.serve_percent": percent})
            await asyncio.sleep(8 * self.options.scale)
        self.site.call("POST", "/admin/config/reset", {})

    # --- looking at it -------------------------------------------------------------------------------
    def reloads(self, result):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.site.port}/metrics?format=prometheus",
            headers={"Authorization": f"Bearer {self.site.environment['SOAK_KEY']}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith(f'config_reload_total{{result="{result}')
        )

    def configuration(self):
        return self.site.call("GET", "/health")["checks"]["configuration"]["status"]

    def storage(self):
        return self.site.call("GET", "/health")["checks"]["components"]["storage"]["status"]

    def is_ready(self):
        with contextlib.suppress(OSError):
            return self.site.call("GET", "/ready") is not None
        return False

    @staticmethod
    async def until(condition, what, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"{what} did not come within {seconds} s")
            await asyncio.sleep(0.1)

    async def sample(self):
        """Memory and processor time of the server, every five seconds."""
        last = (0, 0.0)
        while self.traffic.running:
            with contextlib.suppress(OSError, IndexError, StopIteration):
                pid = self.site.pid()
                status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                kib = int(next(line.split()[1] for line in status if line.startswith("VmRSS")))
                ticks = sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().split()[13:15]))
                seconds = ticks / os.sysconf("SC_CLK_TCK")
                cpu = (seconds - last[1]) / 5 * 100 if last[0] == pid else None
                last = (pid, seconds)
                self.samples.append(
                    {"at": self.now(), "pid": pid, "resident_mb": kib / 1024, "cpu_percent": cpu}
                )
            await asyncio.sleep(5)

    async def probe(self):
        """As fast as one connection goes, for a second: does throughput decay?"""
        lines = self.site.work / "probe"
        text = self.traffic.pairs[0][0]
        lines.write_text(json.dumps(self.traffic.chat(text)[1]) + "\n")
        words = [
            "bench",
            "--config",
            self.site.root / "config.prod.yaml",
            "--json",
            "--seconds",
            1,
            "--bodies",
            lines,
        ]
        key = f"Authorization: Bearer {self.traffic.keys['tenant-1']}"
        output = await self.site.command(
            self.site.root / "current/bin/enhanced-gptcache", *words, "--header", key
        )
        found = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
        self.probes.append(
            {"at": self.now(), "per_second": found["per_second"], "statuses": found["statuses"]}
        )

    def now(self):
        return round(time.monotonic() - self.traffic.began, 1)

    async def event(self, name):
        began, at = time.monotonic(), self.now()
        try:
            note, is_good = await getattr(self, name)(), True
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            note, is_good = repr(error), False
        self.events.append(
            {
                "at": at,
                "what": name,
                "ok": is_good,
                "seconds": round(time.monotonic() - began, 2),
                "note": note,
            }
        )
        print(json.dumps(self.events[-1]), flush=True)

    async def cycle(self, number, began, seconds):
        for share, name in EVENTS:
            if number % RARE.get(name, 1) != 0:
                continue
            await asyncio.sleep(max(0.0, began + share * seconds - time.monotonic()))
            await self.event(name)
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))

    async def run(self):
        site = self.site
        site.start_standin()
        (site.root / "config.prod.yaml").write_text(site.config())
        await site.script("deploy.sh", site.work / "new/1.0.0")
        site.environment["SOAK_KEY"] = (site.root / "data/cache/admin.key").read_text().strip()
        tenants = [f"tenant-{number}" for number in range(1, 5)]
        wishes = [{"role": "client", "tenant": tenant, "name": tenant} for tenant in tenants]
        keys = {wish["tenant"]: site.call("POST", "/admin/keys", wish)["key"] for wish in wishes}
        self.traffic = Traffic(site.port, keys, self.options.rate, self.faults)
        for tenant in tenants:
            for stored, _ in self.traffic.pairs:
                call = self.traffic.chat(stored)
                await self.traffic.attempt(*call, tenant, (f"to: {stored}",), time.monotonic())
        self.traffic.began = time.monotonic()
        work = [asyncio.create_task(one) for one in (self.traffic.run(), self.sample())]
        seconds = self.options.minutes * 60 / self.options.cycles
        for number in range(self.options.cycles):
            await self.cycle(number, self.traffic.began + number * seconds, seconds)
            self.write(is_whole=False)
        self.traffic.running = False
        await asyncio.gather(*work)
        self.write(is_whole=True)

    def write(self, is_whole):
        bins = []
        for number, one in sorted(self.traffic.bins.items()):
            layers = {layer: quantiles(values) for layer, values in one["latencies"].items()}
            bins.append({"at": number * BIN_SECONDS, "outcomes": one["outcomes"], "latencies": layers})
        totals = {}
        for one in bins:
            for name, count in one["outcomes"].items():
                totals[name] = totals.get(name, 0) + count
        windows = [
            {
                "kind": kind,
                "from": round(began - self.traffic.began, 1),
                "to": end and round(end - self.traffic.began, 1),
            }
            for kind, began, end in self.faults.windows
        ]
        found = {
            "measured": time.strftime("%Y-%m-%d", time.gmtime()),
            "is_whole": is_whole,
            "minutes": self.options.minutes,
            "rate": self.options.rate,
            "totals": totals,
            "events": self.events,
            "faults": windows,
            "bins": bins,
            "samples": self.samples,
            "probes": self.probes,
            "notes": self.traffic.notes,
        }
        self.options.out.write_text(json.dumps(found) + "\n")
        print(json.dumps(totals), flush=True)


def quantiles(values):
    values = sorted(values)
    at = lambda share: round(values[min(len(values) - 1, int(share * len(values)))], 3)
    return {"count": len(values), "p50": at(0.5), "p99": at(0.99), "mean": round(statistics.fmean(values), 3)}


# Share of the cycle at which each begins.
EVENTS = (
    (0.03, "probe"),
    (0.05, "reload"),
    (0.08, "bad_reload"),
    (0.12, "backup"),
    (0.20, "upstream_errors"),
    (0.34, "upstream_hangs"),
    (0.46, "upstream_dead"),
    (0.53, "probe"),
    (0.56, "deploy"),
    (0.62, "rollback"),
    (0.68, "killed"),
    (0.72, "storage_full"),
    (0.86, "rollout"),
)
RARE = {"deploy": 3, "rollback": 3, "killed": 6}  # only in every so many-th cycle


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--cycles", type=int, default=6)
    parser.add_argument("--rate", type=float, default=60, help="requests a second")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "bench/results/soak.json")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/soak")
    options = parser.parse_args()
    # Faults last as they stand in cycles of ten minutes, and shorter in shorter ones.
    options.scale = min(1.0, options.minutes * 60 / options.cycles / 600)
    shutil.rmtree(options.work, ignore_errors=True)
    site = Site(options.work, options.binary)
    try:
        asyncio.run(Soak(site, options).run())
    finally:
        site.close()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What metrics cost a hit, in percent of what the hit costs the server (goal: under 1 %), in three parts:

counting   what bench/metrics_bench takes for the counters and histograms of one exact hit, over the processor
           time that a real server spends on one, alone on its core
scraping   the same server, scraped (--every seconds) and left alone, taken in turns: processor time a hit,
           and requests a second of the saturated core
tracking   monitoring.performance_tracking on and off, two servers side by side, in turns

Figures are medians of the rounds; a ratio is that of neighbouring turns. With --every 1 a scrape comes
fifteen times as often as deploy/alerting/prometheus.yml asks, so its cost there is a fifteenth.

usage: metrics_cost.py BUILD_FOLDER [--seconds 3] [--rounds 9] [--every 1] [--cores 0,1] [--out FILE]
BUILD_FOLDER holds enhanced-gptcache and metrics_bench (cmake --build ... --target metrics_bench
enhanced-gptcache).
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import threading

from protection_cost import MEASURES, Measured
from servers import call


class Scraper(threading.Thread):
    """A Prometheus that asks `port` every `seconds`; from its own thread, so on no core of the server."""

    def __init__(self, port: int, seconds: float):
        super().__init__(daemon=True)
        self.port, self.seconds, self.done = port, seconds, threading.Event()
        self.answers = 0

    def run(self):
        while not self.done.wait(self.seconds):
            text = call(self.port, "/metrics?format=prometheus")[2]
            assert "cache_requests_total" in text
            self.answers += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def cpu_seconds(server: Measured) -> float:
    """What the threads of the server have run so far, to the nanosecond."""
    tasks = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in tasks) / 1e9


def turn(server: Measured, core: str, measure: str, seconds: int) -> dict:
    began = cpu_seconds(server)
    rate = server.rate(core, measure, seconds)
    return {"rate": rate, "cpu_us": (cpu_seconds(server) - began) / (rate * seconds) * 1e6}


def cost(with_it: list[dict], without: list[dict]) -> dict:
    """In percent: more processor time, fewer requests."""
    pairs = list(zip(with_it, without, strict=True))
    return {
        "cpu_percent": 100 * (statistics.median(a["cpu_us"] / b["cpu_us"] for a, b in pairs) - 1),
        "rate_percent": 100 * (1 - statistics.median(a["rate"] / b["rate"] for a, b in pairs)),
        "cpu_us": statistics.median(one["cpu_us"] for one in without),
        "rate": statistics.median(one["rate"] for one in without),
        "turns": {"with": with_it, "without": without},
    }


def server_of(build: pathlib.Path, core: str, **settings) -> Measured:
    return Measured((build / "enhanced-gptcache").resolve(), core, settings, pathlib.Path())


def scraping(server: Measured, core: str, measure: str, wanted) -> dict:
    with_it, without, scrapes = [], [], 0
    for _ in range(wanted.rounds):
        without.append(turn(server, core, measure, wanted.seconds))
        with Scraper(server.port, wanted.every) as scraper:
            with_it.append(turn(server, core, measure, wanted.seconds))
        scrapes += scraper.answers
    assert scrapes >= wanted.rounds, f"{scrapes} scrapes"
    return cost(with_it, without)


def tracking(servers: list[Measured], core: str, measure: str, wanted) -> dict:
    turns = [[], []]
    for _ in range(wanted.rounds):
        for server, kept in zip(servers, turns, strict=True):
            kept.append(turn(server, core, measure, wanted.seconds))
    return cost(*turns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=3, help="of each turn")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--every", type=float, default=1, help="seconds between two scrapes")
    parser.add_argument("--cores", default="0,1", help="of the servers, of wrk")
    parser.add_argument("--out", type=pathlib.Path)
    wanted = parser.parse_args()
    server_core, wrk_core = wanted.cores.split(",")
    command = ["taskset", "-c", server_core, wanted.build / "metrics_bench"]
    counted = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    servers = [
        server_of(wanted.build, server_core),
        server_of(wanted.build, server_core, **{"monitoring.performance_tracking": "false"}),
    ]
    results = {"every_seconds": wanted.every, "counted": counted}
    for measure, counter in (("chat", "chat_hit_ns"), ("exact", "lookup_hit_ns")):
        servers[0].check(measure)
        servers[1].check(measure)
        scraped = scraping(servers[0], wrk_core, measure, wanted)
        tracked = tracking(servers, wrk_core, measure, wanted)
        ns = statistics.median(one[counter] for one in counted)
        share = ns / 10 / scraped["cpu_us"]
        results[measure] = {"scraping": scraped, "tracking": tracked, "counting_percent": share}
        print(
            f"{MEASURES[measure][0]}: {scraped['rate']:,.0f}/s, {scraped['cpu_us']:.2f} us of processor a hit"
        )
        print(f"  counting   {ns:6.0f} ns a hit, {share:.2f} %")
        for name, one in (("scraping", scraped), ("tracking", tracked)):
            print(
                f"  {name}   {one['cpu_percent']:+.2f} % processor time, "
                f"{one['rate_percent']:+.2f} % fewer requests",
                flush=True,
            )
    for server in servers:
        server.__exit__()
    if wanted.out:
        wanted.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

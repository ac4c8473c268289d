#!/usr/bin/env python3
"""The plot and the table of bench/soak.py, between two marks of a page.

usage: soak_report.py FIGURES.json PAGE.md     (the plot goes to plots/soak_hour.svg beside the page)
"""

import json
import pathlib
import statistics
import sys

import pages

BEGIN, END = "<!-- soak: begin (bench/soak_report.py) -->", "<!-- soak: end -->"
# Why a request has no answer of its own: whose doing that was.
OURS, PLANNED, UPSTREAM = ("ours", "leak", "other question's answer"), "restart", "upstream"
NAMES = {"exact": "exact hits", "semantic": "semantic hits", "miss": "misses"}
COLOURS = {"upstream": "tab:orange", "restart": "tab:red", "storage": "tab:purple"}


def share(part, whole):
    return f"{100 * part / whole:.3f} %"


def lines_of(found):
    totals = found["totals"]
    extra = ("answered when tried again", "never answered")
    asked = sum(count for name, count in totals.items() if name not in extra)
    upstream = totals.get(UPSTREAM, 0) + totals.get("storage full", 0)
    counted = asked - upstream
    wrong = sum(totals.get(name, 0) for name in OURS)
    outage = totals.get(PLANNED, 0)
    good = totals["ok"]
    retried = good + totals.get(extra[0], 0)
    restarts = [one for one in found["events"] if one["what"] in ("deploy", "rollback", "killed")]
    events = {}
    for one in found["events"]:
        events.setdefault(one["what"], []).append(one["ok"])
    yield (
        f"{found['minutes']:g} minutes at {found['rate']:g} requests/s on {found['measured']}: "
        f"{asked:,} requests."
    )
    yield ""
    yield "| figure | value | goal |"
    yield "|---|---|---|"
    others = sum(totals.get(name, 0) for name in OURS[1:])
    yield (
        f"| availability, every restart counted, first attempt | {share(good, counted)} | 99.9 % |\n"
        f"| the same, trying again twice as the OpenAI SDK does | {share(retried, counted)} | 99.9 % |\n"
        f"| errors of ours while it ran | {wrong} ({share(wrong, counted)}) | under 0.1 % |\n"
        f"| answers of another tenant, or to another question | {others} | 0 |\n"
        f"| first attempts lost to {len(restarts)} restarts | {outage} | |\n"
        f"| the provider's errors, passed on while it was made to fail | {totals.get(UPSTREAM, 0)} | |\n"
        f"| stores refused while the disk was full | {totals.get('storage full', 0)} | |"
    )
    memory = [one["resident_mb"] for one in found["samples"]]
    tenth = max(1, len(memory) // 10)
    yield (
        f"| resident memory, mean of the second and of the last tenth | "
        f"{sum(memory[tenth:2 * tenth]) / tenth:.0f} -> {sum(memory[-tenth:]) / tenth:.0f} MB "
        f"(highest {max(memory):.0f}) | flat |"
    )
    for layer in ("exact", "semantic", "miss"):
        p50 = [one["latencies"][layer]["p50"] for one in found["bins"] if layer in one["latencies"]]
        sixth = max(1, len(p50) // 6)
        yield (
            f"| median latency of {NAMES[layer]}, first and last sixth | "
            f"{statistics.median(p50[:sixth]):.2f} -> {statistics.median(p50[-sixth:]):.2f} ms | no decay |"
        )
    probes = [one["per_second"] for one in found["probes"]]
    span = f"{min(probes):,.0f} to {max(probes):,.0f}"
    yield f"| exact hits/s of one connection, bursts of a second | {span} | |"
    yield ""
    told = "; ".join(f"{name} {sum(oks)} of {len(oks)}" for name, oks in sorted(events.items()))
    yield f"Events that went as they should: {told}."
    for one in found["events"]:
        if not one["ok"]:
            yield f"- {one['what']} at {one['at']:.0f} s: {one['note']}"
    yield ""
    yield "![latency, memory and throughput over the hour](plots/soak_hour.svg)"


def plot(found, path):
    figure, axes = pages.pyplot().subplots(4, 1, figsize=(9, 10), sharex=True)
    for layer in ("exact", "semantic", "miss"):
        bins = [one for one in found["bins"] if layer in one["latencies"]]
        at = [one["at"] / 60 for one in bins]
        (line,) = axes[0].plot(at, [one["latencies"][layer]["p50"] for one in bins], label=f"{layer} p50")
        axes[0].plot(
            at,
            [one["latencies"][layer]["p99"] for one in bins],
            ":",
            color=line.get_color(),
            label=f"{layer} p99",
        )
    axes[0].set_yscale("log")
    axes[0].set_ylabel("latency, ms")
    axes[0].legend(ncol=3, fontsize=7)
    at = [one["at"] / 60 for one in found["samples"]]
    axes[1].plot(at, [one["resident_mb"] for one in found["samples"]])
    axes[1].set_ylabel("resident, MB")
    axes[1].set_ylim(bottom=0)
    axes[2].plot(
        [one["at"] / 60 for one in found["probes"]],
        [one["per_second"] / 1e3 for one in found["probes"]],
        "o-",
    )
    axes[2].set_ylabel("exact hits/s\nof one connection, thousands")
    axes[2].set_ylim(bottom=0)
    for name, colour in (("upstream", "tab:orange"), ("restart", "tab:red"), ("ours", "black")):
        axes[3].plot(
            [one["at"] / 60 for one in found["bins"]],
            [one["outcomes"].get(name, 0) for one in found["bins"]],
            color=colour,
            label={"upstream": "the provider's, passed on", "restart": "refused while restarting"}.get(
                name, name
            ),
        )
    axes[3].set_ylabel("failed in 10 s")
    axes[3].set_xlabel("minutes")
    axes[3].legend(fontsize=7)
    for axis in axes:
        for window in found["faults"]:
            axis.axvspan(
                window["from"] / 60, (window["to"] or 0) / 60, color=COLOURS[window["kind"]], alpha=0.15
            )
    axes[0].set_title(
        "Shaded: the provider fails (orange), a restart (red), the disk is full (purple)", fontsize=9
    )
    figure.tight_layout()
    pages.save(figure, path)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    found, page = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
    plot(found, page.parent / "plots/soak_hour.svg")
    pages.replace_part(page, BEGIN, END, lines_of(found))


if __name__ == "__main__":
    main()

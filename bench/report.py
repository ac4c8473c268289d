#!/usr/bin/env python3
"""Writes docs/performance.md between its marks, and its plots, from the figures of bench/suite.py.

usage: report.py FIGURES.json REPORT.md

Only what stands between the two marks is replaced; the rest of the report (how, what was tried) is written
by hand.
A part that has no figures is left out of the table and named below it; one measured of another commit or
machine than the newest is named, too. A 99th percentile of fewer than 1,000 samples is not printed.
"""

import json
import pathlib
import sys

import pages
import report_rows
from report_rows import number, tail

# Parts that the rounds do not repeat; of exact_process that is GPTCache's side.
SINGLE = ("gptcache", "gptcache_sbert", "memory", "index", "warm", "capacity", "flood", "confined", "soak")
PARTS = ("embed", "embed_kernels", "exact_process", "start", "exact_http", "semantic_http", "miss", *SINGLE)
BEGIN, END = "<!-- figures: begin (bench/report.py) -->", "<!-- figures: end -->"


def table(found):
    makers = {
        "embed": report_rows.embed_rows,
        "semantic_http": report_rows.semantic_rows,
        "exact_http": report_rows.exact_rows,
        "exact_process": report_rows.process_rows,
        "miss": report_rows.miss_rows,
        "index": report_rows.index_rows,
        "memory": report_rows.memory_rows,
        "start": report_rows.start_rows,
        "warm": report_rows.warm_rows,
    }
    lines = ["| measure | against | ours | goal | reached |", "|---|---|---|---|---|"]
    for part, maker in makers.items():
        if part in found:
            lines += maker(found[part])
    for part, encoder in (
        ("gptcache", "our int8 graph by ONNX Runtime"),
        ("gptcache_sbert", "sentence-transformers"),
    ):
        if part in found and "semantic_http" in found:
            lines += report_rows.gptcache_rows(found[part], encoder, found["semantic_http"])
    missing = [part for part in makers if part not in found]
    return lines + (["", f"Not measured: {', '.join(missing)}."] if missing else [])


def machine_lines(about):
    roofline = about["roofline"]
    peaks = ", ".join(
        f"{name.removesuffix('_gmac_s')} {value} GMAC/s"
        for name, value in roofline.items()
        if name.endswith("_gmac_s")
    )
    return [
        f"Machine: {about['processor']}, {about['cores']} cores ({', '.join(about['simd'])}), "
        f"{about['memory_gb']} GB, {about['system']}; "
        f"{'; '.join(' '.join(cache.split()) for cache in about['caches'])}. "
        f"Measured of one core: {roofline['read_gb_s']} GB/s read from {roofline['buffer_mb']} MB, {peaks}. "
        f"Load average before: {about['load_before']:.1f}."
    ]


def rounds_lines(found):
    """How often each part was measured, and which of them on another day, commit or machine."""
    measured = {name: found[name] for name in PARTS if name in found}
    rounds = {}
    for name, value in measured.items():
        if name not in SINGLE:
            rounds.setdefault(value.get("run", {}).get("rounds"), []).append(name)
    texts = [
        (
            f"medians of {count} rounds: {', '.join(names)}"
            if count
            else f"rounds not recorded: {', '.join(names)}"
        )
        for count, names in sorted(rounds.items(), key=lambda item: item[0] or 0)
    ]
    singles = [name for name in measured if name in SINGLE]
    if "exact_process" in measured:
        singles.append("GPTCache's side of exact_process")
    if singles:
        texts.append(f"single runs: {', '.join(singles)}")
    lines = ["How often: " + "; ".join(texts) + "."]
    runs = [value["run"] for value in measured.values() if "run" in value]
    newest = max(runs, key=lambda run: run["at"], default={})
    earlier = {}
    for name, value in measured.items():
        run = value.get("run", {})
        if all(run.get(key) == newest.get(key) for key in ("commit", "processor", "cores")) and run:
            continue
        where = ""
        if run and any(run[key] != newest[key] for key in ("processor", "cores")):
            where = f" on {run['processor']} with {run['cores']} cores"
        of_what = f"commit {run['commit']}" if run else "a commit not recorded"
        earlier.setdefault(f"of {of_what} on {value['measured']}{where}", []).append(name)
    if earlier:
        parts = "; ".join(f"part {', '.join(names)} {how}" for how, names in earlier.items())
        lines += ["", f"Measured earlier: {parts}."]
    if newest:
        lines += ["", f"The {'others are' if earlier else 'figures are all'} of commit {newest['commit']}."]
    return lines


def served_tail(value):
    """The worst p99 of a layer, where the smallest layer has enough samples."""
    if not value["per_second"]:
        return f"not even the lowest rate: {value['next_step']}"
    return tail(value["worst_p99_ms"], min(value.get("layers", {}).values(), default=None))


def capacity_lines(found):
    how = (
        "every answer a 200, p99 of every layer under 10 ms; searched in steps of a quarter, then confirmed"
        if "run" in found
        else "p99 under 10 ms in short steps of a quarter, by an earlier version that confirmed nothing"
    )
    yield f"Most that one core serves (open loop, 64 connections; {how}):"
    yield ""
    yield from ["| traffic | answers a second | worst of a layer |", "|---|---|---|"]
    for name, value in found.items():
        if isinstance(value, dict) and "per_second" in value:
            yield f"| {name} | {number(value['per_second'])} | {served_tail(value)} |"


def flood_lines(found):
    calm, busy, flood = found["calm"], found["flooded"], found["flood"]
    overloads = flood.get("embed_overloads")
    yield (
        f"Exact hits at 500/s, while {number(flood['per_second'])} new questions a second are answered "
        f"({number(flood['wanted_per_second'])} were due"
        + (
            f"; {flood['connections']} connections, embedder.queue_max {flood['queue_max']}"
            if "connections" in flood
            else ""
        )
        + f"): p50 {number(calm['p50_ms'])} -> {number(busy['p50_ms'])} ms, "
        f"{tail(calm['p99_ms'], calm['count'])} -> {tail(busy['p99_ms'], busy['count'])}; "
        + (
            f"answered in time {busy['count']:,} of {found['hits_due']:,.0f} due; "
            if "hits_due" in found
            else ""
        )
        + f"statuses of the flood: {flood['statuses']}; "
        + ("overloads of the embedder not counted" if overloads is None else f"{overloads:,.0f} not embedded")
        + "."
    )


def extra_lines(found):
    if "embed_kernels" in found:
        texts = [
            f"{name} {number(value['p50_ms'])} ms"
            for name, value in found["embed_kernels"].items()
            if isinstance(value, dict) and "p50_ms" in value
        ]
        yield f"Kernels forced, 12 tokens, p50: {', '.join(texts)}."
    if "capacity" in found:
        yield from capacity_lines(found["capacity"])
    if "flood" in found:
        yield ""
        yield from flood_lines(found["flood"])
    if "confined" in found:
        value = found["confined"]
        yield ""
        yield (
            f"Under 1 processor and 2 GiB ({value['limited_by']}), {value['mix']}: "
            f"{number(value['served']['per_second'])} answers a second at p99 under 10 ms "
            f"({served_tail(value['served'])}), {number(value['resident_mb'])} MB resident."
        )


def soak_lines(found, folder):
    if "soak" not in found:
        return []
    tenths = found["soak"]["tenths"]
    plot(
        folder / "soak.svg",
        "Soak: every tenth of the requests",
        {
            "resident, MB": [one["resident_mb"] for one in tenths],
            "requests/s, thousands": [one["per_second"] / 1e3 for one in tenths],
        },
    )
    first, last = tenths[0], tenths[-1]
    failed = sum(one["failed"] for one in tenths)
    return [
        "",
        f"{found['soak']['requests']:,} requests with eviction going on: "
        f"resident {first['resident_mb']:.1f} -> "
        f"{last['resident_mb']:.1f} MB, {number(first['per_second'])} -> "
        f"{number(last['per_second'])} requests/s, "
        f"{failed} failed ([curve](plots/soak.svg)).",
    ]


def plot(path, title, lines):
    figure, axes = pages.pyplot().subplots(figsize=(7, 4))
    for name, values in lines.items():
        axes.plot(range(1, len(values) + 1), values, marker="o", label=name)
    axes.set_title(title)
    axes.set_ylim(bottom=0)
    axes.legend()
    pages.save(figure, path)


def bars(found, path):
    """How many times faster, one bar a comparison, on a logarithmic axis."""
    ratios = {}
    if "embed" in found:
        one = found["embed"]["single"]
        ratios["embedding / ONNX Runtime"] = one["onnx_p50_ms"] / one["ours_p50_ms"]
    if "exact_http" in found:
        ratios["exact hit / nginx"] = (
            found["exact_http"]["ours_per_second"] / found["exact_http"]["nginx_per_second"]
        )
    if "miss" in found:
        ratios["added to a miss / LiteLLM"] = (
            found["miss"]["litellm_added_ms"] / found["miss"]["ours_added_ms"]
        )
    if "gptcache" in found and "semantic_http" in found:
        ratios["semantic hit / GPTCache"] = (
            found["gptcache"]["p50_ms"] / found["semantic_http"]["adaptive"]["p50_ms"]
        )
    if "exact_process" in found:
        parts = found["exact_process"]
        ratios["exact in process / GPTCache"] = (
            parts["gptcache"]["p50_ms"] * 1e3 / parts["ours"]["100000"]["p50_us"]
        )
    figure, axes = pages.pyplot().subplots(figsize=(7, 3.2))
    axes.barh(list(ratios), list(ratios.values()))
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("times faster")
    figure.tight_layout()
    pages.save(figure, path)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    found, report = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
    plots = report.parent / "plots"
    bars(found, plots / "performance.svg")
    lines = [
        *machine_lines(found["machine"]),
        "",
        *rounds_lines(found),
        "",
        *table(found),
        "",
        "![ratios](plots/performance.svg)",
        "",
        *extra_lines(found),
        *soak_lines(found, plots),
    ]
    pages.replace_part(report, BEGIN, END, lines)


if __name__ == "__main__":
    main()

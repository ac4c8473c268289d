#!/usr/bin/env python3
"""Draws docs/images/dashboard.svg: every panel of deploy/grafana/dashboards/enhanced-gptcache.json where the
dashboard puts it, with what a real Prometheus answers to its expressions over the last two minutes of a real
server under load. It is no picture of Grafana, which Debian does not have; the figures are the same.

usage: dashboard_picture.py [--seconds 120] [--out FILE]      EGPTC_BINARY names another server
"""

import argparse
import json
import math
import pathlib
import sys
import tempfile
import time
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "wire"), str(HERE)]

import requests  # noqa: E402  found through the path above

import harness  # noqa: E402
import prometheus as prom  # noqa: E402
from test_monitoring import load  # noqa: E402

COLUMN, ROW, GAP = 50, 30, 8  # pixels of a unit of the dashboard's grid
COLOURS = ("#14633a", "#174ea6", "#b4540a", "#8a3ea8", "#a4161a", "#3c7a89", "#6b6b00", "#555555")
UNITS = {"ms": " ms", "percent": " %", "reqps": "/s", "s": " s", "bytes": " B", "ops": "/s"}
SERIES_MAX = 8


def short(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{100 * value:.1f} %"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}{UNITS.get(unit, '')}"
    return f"{value:.3g}{UNITS.get(unit, '')}"


def legend(target: dict, labels: dict) -> str:
    text = target.get("legendFormat") or ", ".join(labels.values())
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    return text.replace("{{instance}}", "")


class Source:
    """Series of a panel: (name, points), as the panel's expressions give them."""

    def __init__(self, one: prom.Prometheus, seconds: int):
        self.one, self.seconds = one, seconds
        self.end = time.time()

    def series(self, panel: dict) -> list[tuple[str, list[tuple[float, float]]]]:
        found = []
        for target in panel.get("targets", []):
            expression = prom.filled(target["expr"])
            asked = {"query": expression, "start": self.end - self.seconds, "end": self.end, "step": 2}
            answer = requests.get(self.one.url + "/api/v1/query_range", params=asked, timeout=20).json()
            for one in answer["data"]["result"]:
                points = [(float(at), float(value)) for at, value in one["values"]]
                points = [(at, value) for at, value in points if math.isfinite(value)]
                if points:
                    found.append((legend(target, one["metric"]), points))
        return found[:SERIES_MAX]


def lines(series, left: float, top: float, width: float, height: float, span: tuple) -> list[str]:
    most = max((value for _, points in series for _, value in points), default=0) or 1
    drawn = []
    for number, (_, points) in enumerate(series):
        across = [left + width * (at - span[0]) / (span[1] - span[0]) for at, _ in points]
        down = [top + height * (1 - max(0, value) / most) for _, value in points]
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
        colour = COLOURS[number % len(COLOURS)]
        drawn.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return drawn


def text(x: float, y: float, words: str, size: int = 11, colour: str = "#222", more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" {more}>{escape(words)}</text>'


def panel_svg(panel: dict, source: Source) -> list[str]:
    place = panel["gridPos"]
    x, y = place["x"] * COLUMN, place["y"] * ROW
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    if panel["type"] == "row":
        return [text(x + 4, y + height - 2, panel["title"], 14, "#111", 'font-weight="bold"')]
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
    series = source.series(panel)
    drawn = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="#fff" stroke="#ccd"/>',
             text(x + 10, y + 18, panel["title"], 12, "#111", 'font-weight="bold"')]
    if panel["type"] == "stat":
        for number, (name, points) in enumerate(series):
            at = x + 14 + number * (width - 20) / len(series)
            drawn += [text(at, y + height / 2 + 8, short(points[-1][1], unit), 24, COLOURS[0]),
                      text(at, y + height / 2 + 28, name, 11, "#555")]
        return drawn
    half = math.ceil(len(series) / 2)
    left, top, under = x + 12, y + 30, 16 * half + 12
    inner = (width - 24, height - 30 - under)
    most = max((value for _, points in series for _, value in points), default=0)
    drawn += [f'<path d="M{left} {top}h{inner[0]}M{left} {top + inner[1]}h{inner[0]}" stroke="#dde"/>',
              text(left + inner[0] - 4, top - 4, short(most, unit), 10, "#777", 'text-anchor="end"')]
    drawn += lines(series, left, top, *inner, (source.end - source.seconds, source.end))
    for number, (name, points) in enumerate(series):
        at = (left + (number % 2) * inner[0] / 2, top + inner[1] + 18 + 16 * (number // 2))
        told = f"{name}  {short(points[-1][1], unit)}"
        drawn.append(text(*at, told, 10, COLOURS[number % len(COLOURS)]))
    return drawn


def picture(source: Source) -> str:
    panels = json.loads(prom.DASHBOARD.read_text())["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW
    body = [piece for panel in panels for piece in panel_svg(panel, source)]
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {24 * COLUMN + 8} {height + 8}" '
            'font-family="system-ui, sans-serif">'
            '<rect x="-8" y="-8" width="100%" height="100%" fill="#f4f5f7"/>')
    return "\n".join([head, *body, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--out", type=pathlib.Path, default=harness.ROOT / "docs/images/dashboard.svg")
    wanted = parser.parse_args()
    standin = harness.StandIn()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        priced = {"EGPTC_MONITORING__PRICES": "stand-in*=1.5/6"}
        server = harness.Server(folder / "server", standin.base_url, priced).start()
        one = prom.Prometheus(folder / "prometheus", f"127.0.0.1:{server.port}", prom.RULES.read_text())
        try:
            harness.wait_until(one.is_ready, 30, "Prometheus being ready")
            load(server, wanted.seconds)
            wanted.out.write_text(picture(Source(one, wanted.seconds)))
        finally:
            one.stop()
            server.stop()
            standin.stop()
    print(f"wrote {wanted.out}")


if __name__ == "__main__":
    main()

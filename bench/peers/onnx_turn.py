#!/usr/bin/env python3
"""One turn of the comparison with bench/embed_turn.cpp: the same texts through ONNX Runtime. One JSON line.

usage: onnx_turn.py MODEL_DIR GRAPH FILE SECONDS BATCH [sorted]

`sorted`: batches are made of texts of nearly the same number of tokens (all of FILE sorted beforehand, not
timed), so that little is padded; a server that batches what arrives cannot choose so freely.
"""

import json
import sys
import time

import numpy
from onnx_embedder import OnnxEmbedder


def main():
    model_dir, graph, name, seconds, batch, *order = sys.argv[1:]
    if order not in ([], ["sorted"]):
        raise SystemExit(__doc__)
    seconds, batch = float(seconds), int(batch)
    embedder = OnnxEmbedder(model_dir, graph)
    with open(name, encoding="utf-8") as file:
        texts = file.read().splitlines()
    if order:
        texts.sort(key=embedder.tokens)
    chunks = [texts[at : at + batch] for at in range(0, len(texts) - batch + 1, batch)]
    embedder.embed(chunks[0])
    times, started = [], time.perf_counter()
    while time.perf_counter() - started < seconds or len(times) < 20:
        begun = time.perf_counter()
        embedder.embed(chunks[len(times) % len(chunks)])
        times.append((time.perf_counter() - begun) * 1e3)
    took = time.perf_counter() - started
    print(
        json.dumps(
            {
                "batch": batch,
                "sorted": bool(order),
                "p50_ms": float(numpy.percentile(times, 50)),
                "p99_ms": float(numpy.percentile(times, 99)),
                "texts_s": len(times) * batch / took,
            }
        )
    )


if __name__ == "__main__":
    main()

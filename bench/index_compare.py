#!/usr/bin/env python3
"""Nearest-neighbour search in one large partition: ours, hnswlib and faiss on the same vectors, in one run.

usage: index_compare.py --bench INDEX_BENCH --model-vectors FILE.npy [--edits FILE.npy] [--rows N]
                        [--queries N] [--work DIR]

Nobody has a million questions at hand. With --edits (rows of a text and of the same text after an edit of a
word or two, alternating) a row is the embedding of a real text moved by what an edit did to another one, so
that it varies as real ones do. Without, it is two real ones mixed, with a little noise (seed 1). For each
engine: build time, recall@1 against the exact answer, latency, bytes a row. hnswlib and faiss come from PyPI
(`pip install hnswlib faiss-cpu`); one that is missing is left out and said so. Pin it to one core:
`taskset -c 1 python3 index_compare.py ...`.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy

DIMENSIONS = 384
EXPLORED = (32, 64, 128, 256)


def make_vectors(base, edits, rows, path):
    """Writes `rows` unit vectors as raw floats and returns them; every vector of `base` once, with edits."""
    random = numpy.random.default_rng(1)
    made = numpy.memmap(path, dtype=numpy.float32, mode="w+", shape=(rows, DIMENSIONS))
    for first in range(0, rows, 50_000):
        count = min(50_000, rows - first)
        one, other = base[random.integers(len(base), size=(2, count))]
        if edits is not None:
            mixed = one + edits[random.integers(len(edits), size=count)]
            real = base[first:first + count]
            mixed[:len(real)] = real
        else:
            share = random.uniform(0, 0.8, (count, 1))
            noise = random.normal(0, 0.5 / numpy.sqrt(DIMENSIONS), (count, DIMENSIONS))
            mixed = one + share * other + noise
        made[first:first + count] = mixed / numpy.linalg.norm(mixed, axis=1, keepdims=True)
    if edits is not None:
        random.shuffle(made)
    made.flush()
    return made


def exact(rows, queries):
    """Best similarity of each query."""
    best = numpy.full(len(queries), -2, dtype=numpy.float32)
    for first in range(0, len(rows), 100_000):
        best = numpy.maximum(best, (queries @ rows[first:first + 100_000].T).max(axis=1))
    return best


def measure(search, rows, queries, best):
    """Recall@1 (a row as near as the nearest, by 0.001, is as good) and latency of one search at a time."""
    right, times = 0, []
    for query, most in zip(queries, best):
        begun = time.perf_counter()
        found = search(query)
        times.append((time.perf_counter() - begun) * 1e6)
        right += rows[found] @ query >= most - 1e-3
    return {"recall_at_1": right / len(queries), "p50_us": float(numpy.percentile(times, 50)),
            "p99_us": float(numpy.percentile(times, 99))}


def run_hnswlib(rows, queries, best):
    import hnswlib
    index = hnswlib.Index(space="ip", dim=DIMENSIONS)
    index.init_index(max_elements=len(rows), ef_construction=160, M=16)
    begun = time.perf_counter()
    index.add_items(rows, num_threads=1)
    built = time.perf_counter() - begun
    index.set_num_threads(1)
    for breadth in EXPLORED:
        index.set_ef(breadth)
        figures = measure(lambda query: index.knn_query(query, k=8)[0][0][0], rows, queries, best)
        yield {"engine": "hnswlib", "ef": breadth, "build_seconds": built, **figures}


def run_faiss(rows, queries, best):
    import faiss
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(DIMENSIONS, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 160
    begun = time.perf_counter()
    index.add(numpy.ascontiguousarray(rows))
    built = time.perf_counter() - begun
    for breadth in EXPLORED:
        index.hnsw.efSearch = breadth
        figures = measure(lambda query: index.search(query[None], 8)[1][0][0], rows, queries, best)
        yield {"engine": "faiss", "ef": breadth, "build_seconds": built, **figures}


def run_ours(options, path):
    command = [options.bench, str(path), str(DIMENSIONS), str(options.queries), str(options.rows)]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        yield {"engine": "enhanced-gptcache", **json.loads(line)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--model-vectors", required=True, nargs="+")
    parser.add_argument("--edits")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--work", default=".")
    options = parser.parse_args()
    base = numpy.concatenate([numpy.load(name) for name in options.model_vectors]).astype(numpy.float32)
    path = pathlib.Path(options.work) / f"vectors_{options.rows}.f32"
    edits = None
    if options.edits:
        pairs = numpy.load(options.edits).astype(numpy.float32)
        edits = pairs[1::2] - pairs[0::2]
    vectors = make_vectors(base, edits, options.rows + options.rows // 5 + options.queries, path)
    rows, queries = vectors[:options.rows], vectors[-options.queries:]
    for figures in run_ours(options, path):
        print(json.dumps(figures), flush=True)
    best = exact(rows, queries)
    for engine in (run_hnswlib, run_faiss):
        try:
            for figures in engine(rows, queries, best):
                print(json.dumps(figures), flush=True)
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
    path.unlink()


if __name__ == "__main__":
    main()

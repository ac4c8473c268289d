#!/usr/bin/env python3
"""Nearest-neighbour search in one large partition: ours, hnswlib and faiss on the same vectors, in one run.

usage: index_compare.py --bench INDEX_BENCH --model-vectors FILE.npy [--edits FILE.npy] [--rows N]
                        [--queries N] [--work DIR] [--partitions N]

Nobody has a million questions at hand. With --edits (rows of a text and of the same text after an edit of a
word or two, alternating) a row is the embedding of a real text moved by what an edit did to another one, so
that it varies as real ones do. Without, it is two real ones mixed, with a little noise (seed 1). For each
engine: build time, recall@1 against the exact answer, latency, bytes a row. hnswlib and faiss come from PyPI
(`pip install hnswlib faiss-cpu`) and are searched ever more broadly until a recall of 0.999; one that
is missing is named in a line of its own ("left_out"), and the exit code is then 3. With --partitions the
rows are spread over so many indexes, and half of each is replaced (faiss's graph cannot delete, so its flat
index is taken). Pin it to one core: `taskset -c 1 python3 index_compare.py ...`.
"""

import argparse
import ctypes
import json
import pathlib
import subprocess
import sys
import time

import numpy

DIMENSIONS = 384
EXPLORED = (32, 48, 64, 128, 256, 512, 1024)
RECALL_ENOUGH = 0.999
LEFT_OUT = 3  # exit code: a peer is missing


def make_vectors(base, edits, rows, path):
    """Writes `rows` unit vectors as raw floats and returns them; every vector of `base` once, with edits."""
    random = numpy.random.default_rng(1)
    made = numpy.memmap(path, dtype=numpy.float32, mode="w+", shape=(rows, DIMENSIONS))
    for first in range(0, rows, 50_000):
        count = min(50_000, rows - first)
        one, other = base[random.integers(len(base), size=(2, count))]
        if edits is not None:
            mixed = one + edits[random.integers(len(edits), size=count)]
            real = base[first : first + count]
            mixed[: len(real)] = real
        else:
            share = random.uniform(0, 0.8, (count, 1))
            noise = random.normal(0, 0.5 / numpy.sqrt(DIMENSIONS), (count, DIMENSIONS))
            mixed = one + share * other + noise
        made[first : first + count] = mixed / numpy.linalg.norm(mixed, axis=1, keepdims=True)
    if edits is not None:
        random.shuffle(made)
    made.flush()
    return made


def exact(rows, queries):
    """Best similarity of each query."""
    best = numpy.full(len(queries), -2, dtype=numpy.float32)
    for first in range(0, len(rows), 100_000):
        best = numpy.maximum(best, (queries @ rows[first : first + 100_000].T).max(axis=1))
    return best


def measure(search, rows, queries, best):
    """Recall@1 (a row as near as the nearest, by 0.001, is as good) and latency of one search at a time."""
    right, times = 0, []
    for query, most in zip(queries, best):
        begun = time.perf_counter()
        found = search(query)
        times.append((time.perf_counter() - begun) * 1e6)
        right += rows[found] @ query >= most - 1e-3
    return {
        "recall_at_1": right / len(queries),
        "p50_us": float(numpy.percentile(times, 50)),
        "p99_us": float(numpy.percentile(times, 99)),
    }


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
        if figures["recall_at_1"] >= RECALL_ENOUGH:
            break


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
        if figures["recall_at_1"] >= RECALL_ENOUGH:
            break


def run_ours(options, path):
    command = [options.bench, str(path), str(DIMENSIONS), str(options.queries)]
    each = options.rows // max(1, options.partitions)
    command += (
        ["partitions", str(options.partitions), str(each)] if options.partitions else [str(options.rows)]
    )
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        yield {"engine": "enhanced-gptcache", **json.loads(line)}


def resident_mb():
    """Without pages of files (the vectors are mapped, and searching them brings more of them in) and without
    what the last engine gave back."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("no RssAnon in /proc/self/status")


class SmallHnswlib:
    """One partition; the place of what is deleted is used again."""

    name = "hnswlib"
    # An index has 65,536 locks, 2.6 MB: ten thousand do not fit into 24 GB.
    partitions_max = 1_000

    def __init__(self, labels, rows):
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=DIMENSIONS)
        self.index.init_index(max_elements=len(rows), ef_construction=160, M=16, allow_replace_deleted=True)
        self.index.set_num_threads(1)
        self.index.set_ef(64)
        self.index.add_items(rows, labels)

    def replace(self, old, new, rows):
        for gone, label, row in zip(old, new, rows):
            self.index.mark_deleted(gone)
            self.index.add_items(row[None], [label], replace_deleted=True)

    def search(self, query):
        return self.index.knn_query(query, k=8)[0][0][0]


class SmallFaiss:
    """One partition, every row looked at."""

    name = "faiss flat"
    partitions_max = 10_000

    def __init__(self, labels, rows):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.IndexIDMap(faiss.IndexFlatIP(DIMENSIONS))
        self.index.add_with_ids(rows, labels)

    def replace(self, old, new, rows):
        for gone, label, row in zip(old, new, rows):
            self.index.remove_ids(numpy.array([gone]))
            self.index.add_with_ids(row[None], numpy.array([label]))

    def search(self, query):
        return self.index.search(query[None], 8)[1][0][0]


def run_partitions(kind, vectors, options):
    """As run_partitions() of index_bench.cpp."""
    each = options.rows // options.partitions
    count = min(options.partitions, kind.partitions_max)
    before, began = resident_mb(), time.perf_counter()
    held = [numpy.arange(p * each, (p + 1) * each) for p in range(count)]
    indexes = [kind(labels, numpy.ascontiguousarray(vectors[labels])) for labels in held]
    built = time.perf_counter() - began
    queries = numpy.ascontiguousarray(vectors[-options.queries :])

    def figures(state):
        right, times = 0, []
        for number, query in enumerate(queries):
            p = number * 7919 % count
            begun = time.perf_counter()
            found = indexes[p].search(query)
            times.append((time.perf_counter() - begun) * 1e6)
            right += vectors[found] @ query >= (vectors[held[p]] @ query).max() - 1e-3
        grown = (resident_mb() - before) * 1e6 / (count * each)
        return {
            "engine": kind.name,
            "partitions": count,
            "rows": count * each,
            "state": state,
            "recall_at_1": right / len(queries),
            "p50_us": float(numpy.percentile(times, 50)),
            "p99_us": float(numpy.percentile(times, 99)),
            "bytes_per_row": grown,
        }

    yield {**figures("built"), "build_seconds": built}
    began = time.perf_counter()
    for p, labels in enumerate(held):
        new = numpy.arange(count * each + p * (each // 2), count * each + (p + 1) * (each // 2))
        indexes[p].replace(labels[0 : 2 * len(new) : 2], new, vectors[new])
        labels[0 : 2 * len(new) : 2] = new
    yield {**figures("after churn"), "churn_seconds": time.perf_counter() - began}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--model-vectors", required=True, nargs="+")
    parser.add_argument("--edits")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--partitions", type=int, default=0)
    parser.add_argument("--work", default=".")
    options = parser.parse_args()
    base = numpy.concatenate([numpy.load(name) for name in options.model_vectors]).astype(numpy.float32)
    path = pathlib.Path(options.work) / f"vectors_{options.rows}.f32"
    edits = None
    if options.edits:
        pairs = numpy.load(options.edits).astype(numpy.float32)
        edits = pairs[1::2] - pairs[0::2]
    spare = options.rows // (2 if options.partitions else 5)
    vectors = make_vectors(base, edits, options.rows + spare + options.queries, path)
    rows, queries = vectors[: options.rows], vectors[-options.queries :]
    for figures in run_ours(options, path):
        print(json.dumps(figures), flush=True)
    if options.partitions:
        peers = {kind.name: run_partitions(kind, vectors, options) for kind in (SmallHnswlib, SmallFaiss)}
    else:
        best = exact(rows, queries)
        engines = {"hnswlib": run_hnswlib, "faiss": run_faiss}
        peers = {name: engine(rows, queries, best) for name, engine in engines.items()}
    left_out = False
    for name, peer in peers.items():
        try:
            for figures in peer:
                print(json.dumps(figures), flush=True)
        except ImportError as error:
            left_out = True
            print(json.dumps({"engine": name, "left_out": str(error)}), flush=True)
            print(f"left out: {error}", file=sys.stderr)
    path.unlink()
    return LEFT_OUT if left_out else 0


if __name__ == "__main__":
    sys.exit(main())

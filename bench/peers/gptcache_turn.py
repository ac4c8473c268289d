#!/usr/bin/env python3
"""GPTCache in process, SQLite and FAISS, with the same sentence encoder: by ONNX Runtime (int8, fused: faster
than what it would load by itself) or, with `sbert` for GRAPH, by its class for sentence-transformers. One
JSON line.

usage: gptcache_turn.py semantic|exact MODEL_DIR GRAPH|sbert FILE COUNT

FILE has one JSON object a line: {"stored", "asked"}. `semantic` asks the first COUNT of them in other
words; `exact` asks the stored words. Every entry is stored first, in bulk; `exact` may store made-up vectors
for all but the ones asked, because they are neither near nor ever returned.
"""

import json
import os
import sys
import tempfile
import time

import numpy
from gptcache import Cache, Config
from gptcache.adapter.api import get
from gptcache.manager import CacheBase, VectorBase, get_data_manager
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation


class SbertEmbedder:
    """What GPTCache's documentation has for sentence-transformers, on one core as the others."""

    def __init__(self, model_dir):
        import torch
        from gptcache.embedding import SBERT

        torch.set_num_threads(1)
        self.sbert = SBERT(model_dir)

    def embed(self, texts):
        return numpy.stack([self.sbert.to_embeddings(text) for text in texts])


def embedder_of(model_dir, graph):
    if graph == "sbert":
        return SbertEmbedder(model_dir)
    from onnx_embedder import OnnxEmbedder

    return OnnxEmbedder(model_dir, graph)


def vectors(embedder, texts, wanted):
    """Real vectors of the `wanted` first texts, random unit vectors of the rest."""
    real = [embedder.embed(texts[at : at + 64]) for at in range(0, min(wanted, len(texts)), 64)]
    made = numpy.concatenate(real)[:wanted]
    rest = (
        numpy.random.default_rng(1).normal(size=(len(texts) - len(made), made.shape[1])).astype(numpy.float32)
    )
    if len(rest):
        made = numpy.concatenate([made, rest / numpy.linalg.norm(rest, axis=1, keepdims=True)])
    return list(made.astype(numpy.float32))


def resident_mb():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def main():
    what, model_dir, graph, name, count = sys.argv[1:]
    count = int(count)
    embedder = embedder_of(model_dir, graph)
    with open(name, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    os.chdir(tempfile.mkdtemp())
    manager = get_data_manager(
        CacheBase("sqlite"), VectorBase("faiss", dimension=384), max_size=len(rows) + 1
    )
    cache = Cache()
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=lambda text, **_: embedder.embed([text])[0],
        data_manager=manager,
        similarity_evaluation=SearchDistanceEvaluation(),
        config=Config(similarity_threshold=0.8),
    )
    stored = [row["stored"] for row in rows]
    embedded = vectors(embedder, stored, len(rows) if what == "semantic" else count)
    for at in range(0, len(rows), 5000):
        part = slice(at, at + 5000)
        manager.import_data(
            stored[part],
            [f"answer {i}" for i in range(len(stored[part]))],
            embedded[part],
            [None] * len(stored[part]),
        )
    idle, times, hits = resident_mb(), [], 0
    for row in rows[:count]:
        begun = time.perf_counter()
        answer = get(row["asked" if what == "semantic" else "stored"], cache_obj=cache)
        times.append((time.perf_counter() - begun) * 1e3)
        hits += answer is not None
    print(
        json.dumps(
            {
                "case": what,
                "entries": len(rows),
                "asked": count,
                "hits": hits,
                "p50_ms": float(numpy.percentile(times, 50)),
                "p99_ms": float(numpy.percentile(times, 99)),
                "resident_mb": idle,
            }
        )
    )
    os._exit(0)  # GPTCache flushes at exit, which takes long and says nothing


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Embeds every line of FILE and writes the rows to OUT.npy.

usage: onnx_vectors.py MODEL_DIR GRAPH FILE OUT.npy
"""

import json
import sys

import numpy
from onnx_embedder import OnnxEmbedder


def main():
    model_dir, graph, name, out = sys.argv[1:]
    embedder = OnnxEmbedder(model_dir, graph)
    with open(name, encoding="utf-8") as file:
        texts = file.read().splitlines()
    rows = numpy.concatenate([embedder.embed(texts[at : at + 64]) for at in range(0, len(texts), 64)])
    numpy.save(out, rows.astype(numpy.float32))
    print(json.dumps({"rows": len(rows)}))


if __name__ == "__main__":
    main()

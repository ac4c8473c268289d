#!/usr/bin/env python3
"""Quality of the C++ encoder against an independent numpy reference, and the golden vectors of its tests.

  embed_quality.py golden MODEL_DIR                 writes tests/golden/embedding.json
  embed_quality.py tiny                             writes tests/golden/embedding_tiny.json
  embed_quality.py check MODEL_DIR STSB EMBED_VECTORS [KERNEL:PRECISION...]
        STSB: gzipped JSON lines with a, b, score (STS benchmark); EMBED_VECTORS: the program built from
        tools/embed_vectors.cpp. Prints Spearman's rank correlation and the cosine to the reference for
        each kernel; fails when Spearman falls by more than 0.3 points or the mean cosine below 0.998
        (0.99999 for fp32).

Needs numpy, safetensors and tokenizers.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys

import numpy

import embed_reference

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPEARMAN_LOSS_MAX = 0.003
COSINE_MIN = {"int8": 0.998, "fp32": 0.99999}

GOLDEN_TEXTS = [
    "How do I renew my passport?",
    "What should I do to get a new passport when the old one has expired?",
    "hello",
    "",
    "The kettle is boiling.",
    "Which planet has the most moons?",
    "Write a haiku about rain on a tin roof.",
    "for (int i = 0; i < n; ++i) sum += values[i];",
    "Ich möchte einen Tisch für vier Personen reservieren.",
    "naïve café, 12.5 % off!",
    "The invoice of 3 March 2024 over 1,250.00 euros is still unpaid.",
    "The invoice of 3 March 2024 over 1,350.00 euros is still unpaid.",
    "東京は日本の首都です。",
    "A cat sleeps on the windowsill.",
    "A cat does not sleep on the windowsill.",
    "qwrtzpsdf 0x7f3a @@ ~~~ 😀",
    "What is the difference between TCP and UDP, and when would you prefer one over the other?",
    "Explain photosynthesis to a child of eight years in three short sentences, without any formula.",
    "A longer text. " + "The river runs past the mill and under the bridge. " * 8,
    "This one is longer than the window of the model. " + "One sheep, two sheep, three sheep. " * 60,
]
TINY_TEXTS = [
    "abc", "", "hello, world?", "The quick brown fox jumps over the lazy dog!", "a b c d e f g", "€"]
TINY_VARIANTS = [("mean", "gelu"), ("cls", "gelu"), ("max", "gelu"), ("mean_sqrt_len", "gelu"),
                 ("mean", "gelu_new")]


def rounded(vector):
    return [round(float(x), 6) for x in vector]


def write_golden(model_dir):
    encode, reference = embed_reference.open_model(model_dir)
    rows = [{"text": text, "vector": rounded(reference.embed(encode(text)))} for text in GOLDEN_TEXTS]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (ROOT / "tests/golden/embedding.json").write_text(f"[\n{lines}\n]\n")


def write_tiny():
    rows = []
    for pooling, hidden_act in TINY_VARIANTS:
        encode, reference = embed_reference.open_tiny(pooling, hidden_act)
        for text in TINY_TEXTS:
            rows.append({"pooling": pooling, "hidden_act": hidden_act, "text": text,
                         "vector": rounded(reference.embed(encode(text)))})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (ROOT / "tests/golden/embedding_tiny.json").write_text(f"[\n{lines}\n]\n")


def ranks(values):
    """Ranks from 1, ties averaged."""
    unique, inverse, counts = numpy.unique(values, return_inverse=True, return_counts=True)
    last = numpy.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(a, b):
    return float(numpy.corrcoef(ranks(a), ranks(b))[0, 1])


def pair_cosines(vectors):
    half = len(vectors) // 2
    return (vectors[:half] * vectors[half:]).sum(1)


def check(model_dir, stsb, program, variants):
    pairs = [json.loads(line) for line in gzip.open(stsb)]
    texts = [pair["a"] for pair in pairs] + [pair["b"] for pair in pairs]
    scores = numpy.array([float(pair["score"]) for pair in pairs])
    encode, reference = embed_reference.open_model(model_dir)
    expected = numpy.array([reference.embed(encode(text)) for text in texts])
    best = spearman(pair_cosines(expected), scores)
    print(f"reference (numpy, double)   Spearman {best:.4f} on {len(pairs)} pairs")
    failed = False
    for variant in variants:
        kernel, precision = variant.split(":")
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        run = subprocess.run([program, model_dir, kernel, precision], input=lines.encode(),
                             stdout=subprocess.PIPE, check=True)
        vectors = numpy.frombuffer(run.stdout, numpy.float32).reshape(expected.shape)
        cosines = (vectors * expected).sum(1)
        value = spearman(pair_cosines(vectors), scores)
        good = value >= best - SPEARMAN_LOSS_MAX and cosines.mean() >= COSINE_MIN[precision]
        failed = failed or not good
        print(f"{kernel:>12} {precision}: Spearman {value:.4f} ({100 * (value - best):+.2f} points), "
              f"cosine to the reference mean {cosines.mean():.6f} 1% {numpy.percentile(cosines, 1):.5f} "
              f"min {cosines.min():.5f}{'' if good else '  FAILED'}", flush=True)
    return 1 if failed else 0


def main():
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("golden").add_argument("model_dir")
    commands.add_parser("tiny")
    checking = commands.add_parser("check")
    checking.add_argument("model_dir")
    checking.add_argument("stsb")
    checking.add_argument("program")
    checking.add_argument("variants", nargs="*",
                          default=["avx512vnni:int8", "avx2:int8", "scalar:int8", "avx512vnni:fp32"])
    arguments = parser.parse_args()
    if arguments.command == "golden":
        write_golden(arguments.model_dir)
    elif arguments.command == "tiny":
        write_tiny()
    else:
        return check(arguments.model_dir, arguments.stsb, arguments.program, arguments.variants)
    return 0


if __name__ == "__main__":
    sys.exit(main())

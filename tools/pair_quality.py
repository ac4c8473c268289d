#!/usr/bin/env python3
"""The C++ pair encoder against an independent numpy reference, and the golden logits of its tests.

  pair_quality.py tiny                                     writes tests/golden/pair_tiny.json
  pair_quality.py check MODEL_DIR PAIR_FILE PAIRS PAIR_SCORES [KERNEL:PRECISION...]
        PAIR_FILE: the pair encoder (safetensors). PAIRS: a JSON list or JSON lines (.gz too) of objects with
        a and b, and optionally logit, what the trainer computed in float. PAIR_SCORES: the program built
        from tools/pair_scores.cpp. Prints the difference to the reference for each kernel; fails when in fp32
        the largest is above 0.001, or in int8 the logits correlate below 0.999 with the reference.

Needs numpy, safetensors and tokenizers.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys

import numpy
from safetensors import safe_open

import embed_reference

ROOT = pathlib.Path(__file__).resolve().parent.parent
FP32_DIFFERENCE_MAX = 1e-3
INT8_CORRELATION_MIN = 0.999

TINY_PAIRS = [
    ("abc", "abd"), ("abc", "abc"), ("", ""), ("hello, world?", ""), ("", "world hello"),
    ("how old is the house", "how old is the mouse?"),
    ("the quick brown fox jumps", "the quick brown dog jumps over a lazy fox"),
    ("abd", "abc"), ("1 2 3", "1 2 4"),
]


def pair_logit(encode, reference, tokens_per_text, first, second):
    ends = encode("")
    a, b = (encode(text)[1:-1][:tokens_per_text] for text in (first, second))
    return reference.logit([ends[0], *a, ends[1]], [*b, ends[1]])


def write_tiny():
    rows = []
    for pooler in (False, True):
        encode, reference = embed_reference.open_tiny_pair(pooler)
        for first, second in TINY_PAIRS:
            value = pair_logit(encode, reference, embed_reference.TINY_PAIR_TOKENS, first, second)
            rows.append({"pooler": pooler, "a": first, "b": second, "logit": round(value, 6)})
    lines = ",\n".join(json.dumps(row) for row in rows)
    (ROOT / "tests/golden/pair_tiny.json").write_text(f"[\n{lines}\n]\n")


def read_pairs(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        text = file.read()
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]


def open_pair(model_dir, pair_file):
    encode, base = embed_reference.open_model(model_dir)
    with safe_open(pair_file, "numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    reference = embed_reference.PairReference(base, tensors, int(metadata["layers"]))
    return encode, reference, int(metadata["tokens_per_text"])


def compare(title, values, expected, limit):
    """Prints and judges; `limit` of the difference, or None to judge the correlation."""
    largest = numpy.abs(values - expected).max()
    correlation = numpy.corrcoef(values, expected)[0, 1]
    good = correlation >= INT8_CORRELATION_MIN if limit is None else largest <= limit
    print(f"{title:>16}: difference mean {numpy.abs(values - expected).mean():.6f} largest {largest:.6f}, "
          f"correlation {correlation:.6f}{'' if good else '  FAILED'}", flush=True)
    return good


def check(arguments):
    rows = read_pairs(arguments.pairs)
    encode, reference, tokens = open_pair(arguments.model_dir, arguments.pair_file)
    expected = numpy.array([pair_logit(encode, reference, tokens, row["a"], row["b"]) for row in rows])
    print(f"{len(rows)} pairs, logits of the reference {expected.min():.3f} to {expected.max():.3f}, "
          f"deviation {expected.std():.3f}")
    good = True
    if all("logit" in row for row in rows):
        given = numpy.array([row["logit"] for row in rows])
        good = compare("trainer", given, expected, FP32_DIFFERENCE_MAX)
    lines = "".join(json.dumps({"a": row["a"], "b": row["b"]}) + "\n" for row in rows)
    for variant in arguments.variants:
        kernel, precision = variant.split(":")
        run = subprocess.run([arguments.program, arguments.model_dir, arguments.pair_file, kernel, precision],
                             input=lines.encode(), stdout=subprocess.PIPE, check=True)
        values = numpy.array([float(line) for line in run.stdout.split()])
        limit = FP32_DIFFERENCE_MAX if precision == "fp32" else None
        good = compare(variant, values, expected, limit) and good
    return 0 if good else 1


def main():
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("tiny")
    checking = commands.add_parser("check")
    for name in ("model_dir", "pair_file", "pairs", "program"):
        checking.add_argument(name)
    checking.add_argument("variants", nargs="*",
                          default=["avx512vnni:fp32", "avx512vnni:int8", "avx2:int8", "scalar:int8"])
    arguments = parser.parse_args()
    if arguments.command == "tiny":
        return write_tiny()
    return check(arguments)


if __name__ == "__main__":
    sys.exit(main())

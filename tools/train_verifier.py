#!/usr/bin/env python3
"""Trains the verifier's pair encoder.

usage: train_verifier.py data          build the cached rows (once, deterministic)
       train_verifier.py pair-encoder  train, with checkpoints
       train_verifier.py export        checkpoint -> int8 safetensors and the golden file
       train_verifier.py report        figures of the pair encoder on rows held out
       train_verifier.py second        every labelled pair as the cache meets it, with the encoder's logits
       train_verifier.py decision      those rows -> decision.json, the calibrated second stage

Needs torch, numpy, safetensors, tokenizers, scikit-learn, scipy and lightgbm. Every subcommand takes
--data (folder of *.dev.jsonl.gz), --model (folder of all-MiniLM-L6-v2) and --work
(a folder for caches and checkpoints).
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import torch  # noqa: E402

from verifier import checksums, dataset, decision, encoder, fit, golden_pairs, report, second  # noqa: E402


def run_data(options):
    os.makedirs(options.work, exist_ok=True)
    dataset.build(options.data, options.model, options.work)


def run_pair_encoder(options):
    fit.train(options)


def run_export(options):
    base, digest = encoder.load_base(options.model)
    state = torch.load(options.checkpoint, weights_only=True)
    layers = state["layers"]
    model = encoder.PairEncoder(base, layers)
    model.load_named(state["tensors"])
    encoder.export(state["tensors"], options.out, options.name, digest, layers)
    checksums.write_beside(options.out)
    pieces = encoder.Pieces(options.model)
    int8 = encoder.write_golden(model, pieces, state["tensors"], golden_pairs.PAIRS, options.golden)
    fp32 = encoder.score_pairs(model, pieces, golden_pairs.PAIRS, bf16=False)
    print(
        f"golden: |int8 weights - fp32| mean {abs(int8 - fp32).mean():.4f} max {abs(int8 - fp32).max():.4f}"
    )


def run_report(options):
    report.run(options)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = {}
    for name, run in (
        ("data", run_data),
        ("pair-encoder", run_pair_encoder),
        ("export", run_export),
        ("report", run_report),
        ("second", second.run),
        ("decision", decision.run),
    ):
        add[name] = commands.add_parser(name)
        add[name].set_defaults(run=run)
        add[name].add_argument("--data", default="data")
        add[name].add_argument("--model", default="models/all-MiniLM-L6-v2")
        add[name].add_argument("--work", default="build/verifier")
        add[name].add_argument("--threads", type=int, default=1)
    train = add["pair-encoder"]
    train.add_argument("--name", default="default", help="checkpoint name")
    train.add_argument(
        "--permissive", action="store_true", help="only sets whose licence allows any use"
    )
    train.add_argument("--without", nargs="*", default=[], help="sources or kind prefixes left out")
    train.add_argument("--layers", type=int, default=4)
    train.add_argument("--examples", type=int, default=100000)
    train.add_argument("--batch", type=int, default=32)
    train.add_argument("--rate", type=float, default=1.2e-4)
    train.add_argument("--floor", type=float, default=0.0, help="share of the rate left at the end")
    train.add_argument("--start", help="checkpoint to go on from")
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--save-every", type=int, default=500)
    for name in ("export", "report"):
        add[name].add_argument("--checkpoint", required=True)
        add[name].add_argument("--name", default="default")
    add["export"].add_argument("--out", required=True)
    add["export"].add_argument("--golden", required=True)
    add["report"].add_argument("--out", help="JSON of the figures")
    add["report"].add_argument(
        "--embed-vectors", help="the embed_vectors program, for the product's own cosines"
    )
    add["report"].add_argument("--limit", type=int, default=0, help="at most so many rows a source")
    add["second"].add_argument("--checkpoint", required=True)
    add["second"].add_argument("--embed-vectors", required=True, help="the built program of that name")
    last = add["decision"]
    last.add_argument("--pair-features", required=True, help="the built program tools/pair_features.cpp")
    last.add_argument("--name", default="default", choices=("default", "permissive"))
    last.add_argument("--without", nargs="*", default=[], help="sources or kind prefixes left out")
    last.add_argument("--out", required=True)
    last.add_argument("--leave-out", action="store_true", help="also fit without each source in turn")
    return parser.parse_args()


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    options.run(options)


if __name__ == "__main__":
    main()

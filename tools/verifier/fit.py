"""The training loop: batches of one length, soft targets, AdamW, linear decay."""

import os
import random
import time

import torch
import torch.nn.functional as F

from . import dataset, encoder


def batches(examples, pieces, size, rng):
    """Batches whose pairs all have the same number of tokens; the last ones are smaller."""
    waiting, out = {}, []
    for example in examples:
        length = len(pieces.known[example[0]]) + len(pieces.known[example[1]])
        row = waiting.setdefault(length, [])
        row.append(example)
        if len(row) == size:
            out.append(row)
            waiting[length] = []
    rng.shuffle(out)
    rest = [row for row in waiting.values() if len(row) >= size // 4]
    for row in rest:
        out.insert(rng.randrange(len(out) + 1), row)
    return out


def save(model, layers, path):
    torch.save({"layers": layers, "tensors": model.named_tensors()}, path + ".tmp")
    os.replace(path + ".tmp", path)


def optimiser(model, rate):
    plain = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
        lr=rate,
        betas=(0.9, 0.98),
        fused=True,
    )


def train(options):
    torch.manual_seed(options.seed)
    rows, pool = dataset.load(options.work)
    examples = dataset.sample(
        rows, pool, options.examples, options.seed, options.permissive, options.without
    )
    del rows, pool
    base, _ = encoder.load_base(options.model)
    model, pieces = encoder.PairEncoder(base, options.layers), encoder.Pieces(options.model)
    if options.start:
        model.load_named(torch.load(options.start, weights_only=True)["tensors"])
    pieces.learn([t for e in examples for t in e[:2]])
    todo = batches(examples, pieces, options.batch, random.Random(options.seed))
    print(f"{len(examples)} examples, {len(todo)} batches", flush=True)
    loop(model, pieces, todo, options)


def loop(model, pieces, todo, options):
    path = os.path.join(options.work, options.name + ".pt")
    adam, warm = optimiser(model, options.rate), min(200, len(todo) // 10)
    start, shown, total = time.time(), time.time(), 0.0
    model.train()
    for step, batch in enumerate(todo, 1):
        left = max(options.floor, (len(todo) - step + 1) / max(1, len(todo) - warm))
        for group in adam.param_groups:
            group["lr"] = options.rate * min(step / max(1, warm), left, 1.0)
        ids, kinds = pieces.pair_batch([e[:2] for e in batch])
        target = torch.tensor([e[2] for e in batch])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(ids, kinds)
        # A short batch counts by its rows, so that rare lengths are not overweighted.
        loss = F.binary_cross_entropy_with_logits(logits.float(), target) * (len(batch) / options.batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        total += loss.item()
        if step % 50 == 0:
            now = time.time()
            print(
                f"step {step}/{len(todo)} loss {total / 50:.4f} {50 / (now - shown):.2f} steps/s "
                f"{now - start:.0f} s",
                flush=True,
            )
            shown, total = now, 0.0
        if step % options.save_every == 0 or step == len(todo):
            save(model, options.layers, path)

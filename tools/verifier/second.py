"""The rows of the second stage: every labelled pair as the cache would meet it.

Streams are replayed with insertion on a miss, so that a candidate has the neighbours it would have in
service; labelled pairs get the neighbours of their second text in a sample of all texts, or none. Held rows
(not of the split `train`) also get the pair encoder's logit; rows it was trained on do not, because there it
knows the answers.
"""

import json
import os
import random

import numpy as np
import torch

from . import candidates, conversations, dataset, encoder, sources

ROWS = "second.jsonl.gz"
COSINE_MIN = 0.65
# As kOtherCosineMin in src/match/history.cpp.
OTHER_MIN = 0.6
TOP = 5
# A stored question of the same cluster this near answers the event, which is then not stored.
ANSWERS_FROM = 0.8
SAMPLE = 30000


def replayed(name, events, unit, groups):
    stored, vectors, out = [], np.zeros_like(unit), []
    for i, event in enumerate(events):
        scores = vectors[: len(stored)] @ unit[i]
        near = [j for j in np.argsort(-scores, kind="stable")[: TOP + 1] if scores[j] >= OTHER_MIN]
        answered = False
        for rank, j in enumerate(near[:TOP]):
            other, cosine = events[stored[j]], float(scores[j])
            if cosine < COSINE_MIN:
                break
            same = other["cluster"] == event["cluster"]
            answered |= same and cosine >= ANSWERS_FROM
            unjudged = (other["cluster"] in event.get("unjudged", ())
                        or event["cluster"] in other.get("unjudged", ()))
            if unjudged and not same:
                continue
            free = name == "intents_stream" or event.get("source") == "advising" == other.get("source")
            r = sources.row(other["q"], event["q"], int(same), name, event.get("source", "quora"),
                            candidates.NOISE[name], free)
            rest = [float(scores[k]) for k in near if k != j]
            r.update(cosine=cosine, next=max(rest, default=0.0), event=i, split=groups.split(event["q"]))
            out.append(r)
        if not answered:
            vectors[len(stored)] = unit[i]
            stored.append(i)
    return out


def neighboured(pairs, where, unit, seed=1):
    """`next` for pairs: three of five stand alone, as in a small cache."""
    same = sources.Groups()
    for r in pairs:
        if r["label"] == 1:
            same.join(sources.key(r["a"]), sources.key(r["b"]))
    texts = sorted(where)
    rng = random.Random(seed)
    sample = rng.sample(texts, min(SAMPLE, len(texts)))
    pool = unit[[where[t] for t in sample]]
    crowded = [r for r in pairs if rng.random() < 0.4]
    for start in range(0, len(crowded), 512):
        part = crowded[start : start + 512]
        scores = unit[[where[r["b"]] for r in part]] @ pool.T
        for r, line in zip(part, scores):
            mine = {same.find(sources.key(r["a"])), same.find(sources.key(r["b"]))}
            near = [k for k in np.argpartition(-line, 8)[:8]
                    if same.find(sources.key(sample[k])) not in mine]
            r["next"] = max((float(line[k]) for k in near), default=0.0)
    for r in pairs:
        r["cosine"] = float(unit[where[r["a"]]] @ unit[where[r["b"]]])
        r.setdefault("next", 0.0)
    return pairs


def build(options):
    groups = sources.Groups()
    labelled = sources.labelled(options.data, groups)
    streams = sources.streams(options.data, groups)
    talks = dataset.read_rows(os.path.join(options.work, conversations.ROWS))
    kept = ("qqp", "adversarial", "multiturn")
    pairs = [r for r in sources.assign(labelled, groups) if r["source"] in kept]
    texts = sorted({t for r in pairs + talks for t in (r["a"], r["b"])}
                   | {e["q"] for events in streams.values() for e in events})
    base, _ = encoder.load_base(options.model)
    unit = candidates.vectors(texts, None, None, options.work, options.embed_vectors, options.model)
    where = {t: i for i, t in enumerate(texts)}
    rows = []
    for name, events in streams.items():
        rows += replayed(name, events, unit[[where[e["q"]] for e in events]], groups)
    rows += [r for r in neighboured(pairs, where, unit) if r["cosine"] >= COSINE_MIN]
    for r in talks:
        r["cosine"] = float(unit[where[r["a"]]] @ unit[where[r["b"]]])
    for r in rows:
        known = sources.key(r["b"] if r["source"].endswith("_stream") else r["a"])
        r["group"] = groups.find(known)
    for r in talks:
        r["group"] = r["conversation"]
    return rows + talks, base


def run(options):
    rows, base = build(options)
    state = torch.load(options.checkpoint, weights_only=True)
    model = encoder.PairEncoder(base, state["layers"])
    model.load_named(encoder.dequantised(state["tensors"]))
    held = [r for r in rows if r["split"] != "train"]
    mark = lambda r: conversations.MARK if r["source"] == "conversation" else ""
    pairs = [(mark(r) + r["a"], mark(r) + r["b"]) for r in held]
    for r, logit in zip(held, encoder.score_pairs(model, encoder.Pieces(options.model), pairs)):
        r["logit"] = round(float(logit), 4)
    dataset.write_rows(os.path.join(options.work, ROWS), rows)
    print(json.dumps({"rows": len(rows), "held": len(held)}))

"""Figures of the pair encoder on the rows it was never trained on."""

import collections
import json
import os
import random

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve, roc_auc_score

from . import candidates, dataset, edits, encoder, sources

HELD = ("validation", "stack")
EDITS = 3000


def held_rows(rows, pool, seed=7):
    """Validation and stack rows, and edits of their texts."""
    held = [r for r in rows if r["split"] in HELD]
    rng = random.Random(seed)
    for split in HELD:
        part = [r for r in held if r["split"] == split and r["source"] != "multilingual"]
        texts = sorted({t for r in part for t in (r["a"], r["b"])})
        near = collections.defaultdict(list)
        for r in part:
            if r["label"] == 0:
                near[r["a"]].append(r["b"])
        drawn = dataset.draw_edits(texts, near, EDITS // 2, rng)
        held += [dict(r, split=split) for r in drawn]
    return held


def add_cosines(rows, options, base, pieces):
    texts = sorted({t for r in rows if "cosine" not in r for t in (r["a"], r["b"])})
    unit = candidates.vectors(
        texts, encoder.TextEmbedder(base), pieces, options.work, options.embed_vectors, options.model
    )
    where = {t: i for i, t in enumerate(texts)}
    for r in rows:
        if "cosine" not in r:
            r["cosine"] = round(float(unit[where[r["a"]]] @ unit[where[r["b"]]]), 5)


def add_weights(rows, mix):
    """A source counts as much as in training, whatever its number of held-out rows."""
    count = collections.Counter(r["source"] for r in rows)
    total = sum(mix.get(s, 0) for s in count)
    for r in rows:
        r["weight"] = round(mix.get(r["source"], 0) / total * len(rows) / count[r["source"]], 5)


def add_both(rows):
    """A logistic model of logit and cosine, fitted on stack: the least a second stage gives."""
    features = np.array([[r["logit"], r["cosine"], r["logit"] * r["cosine"]] for r in rows])
    fit = [i for i, r in enumerate(rows) if r["split"] == "stack"]
    model = LogisticRegression(max_iter=1000)
    labels, weights = [rows[i]["label"] for i in fit], [rows[i]["weight"] for i in fit]
    model.fit(features[fit], labels, sample_weight=weights)
    for r, value in zip(rows, model.decision_function(features)):
        if r["split"] == "validation":
            r["both"] = float(value)


def scores_of(rows):
    return [name for name in ("logit", "cosine", "both") if all(name in r for r in rows)]


def recall_at(labels, scores, precision_min=0.9):
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(max((r for p, r in zip(precision, recall) if p >= precision_min), default=0.0))


def pair_figures(rows):
    labels = np.array([r["label"] for r in rows])
    out = {"rows": len(rows), "label_1": int(labels.sum())}
    for name in scores_of(rows):
        scores = np.array([r[name] for r in rows])
        if 0 < labels.sum() < len(labels):
            out[name] = {
                "auc": round(float(roc_auc_score(labels, scores)), 4),
                "recall_at_90_precision": round(recall_at(labels, scores), 4),
            }
        else:
            out[name] = {"mean": round(float(scores.mean()), 3)}
    out["above_0"] = round(float(np.mean([r["logit"] > 0 for r in rows])), 4)
    out["above_2"] = round(float(np.mean([r["logit"] > 2 for r in rows])), 4)
    return out


def serve(events, score, threshold):
    """(right, wrong) when each event is answered by its best candidate above the threshold."""
    right = wrong = 0
    for found in events.values():
        best = max(found, key=lambda r: r[score])
        if best[score] >= threshold:
            right += best["label"]
            wrong += 1 - best["label"]
    return right, wrong


def stream_figures(rows, repeats):
    """Share of possible hits and of wrong hits, at thresholds and at fixed wrong shares."""
    events = collections.defaultdict(list)
    for r in rows:
        events[r["event"]].append(r)
    out = {"events_with_candidates": len(events), "possible_hits": repeats}
    for score in scores_of(rows):
        values = sorted({max(r[score] for r in found) for found in events.values()})
        curve = []
        for t in values[:: max(1, len(values) // 200)]:
            right, wrong = serve(events, score, t)
            if right + wrong:
                curve.append((t, right / max(1, repeats), wrong / (right + wrong)))
        best = {}
        for limit in (0.01, 0.02, 0.03, 0.05, 0.10, 0.15):
            fit = [c for c in curve if c[2] <= limit]
            best[f"hits_at_{limit:g}_wrong"] = round(max((c[1] for c in fit), default=0.0), 3)
        out[score] = best
    for t in (0, 1, 2, 3, 4):
        right, wrong = serve(events, "logit", t)
        out[f"logit_{t}"] = [round(right / max(1, repeats), 3), round(wrong / max(1, right + wrong), 3)]
    return out


def held_repeats(options, splits):
    """Possible hits among the events of the held-out splits: the clusters fall as a whole."""
    groups = sources.Groups()
    sources.labelled(options.data, groups)
    streams = sources.streams(options.data, groups)
    return {
        name: sum(e["repeat_of_cluster"] and groups.split(e["q"]) in splits for e in events)
        for name, events in streams.items()
    }


def figures(rows, options, splits):
    part = [r for r in rows if r["split"] in splits]
    repeats = held_repeats(options, splits)
    out = {"pairs": {}, "kinds": {}, "streams": {}}
    for source in sorted({r["source"] for r in part}):
        mine = [r for r in part if r["source"] == source]
        out["pairs"][source] = pair_figures(mine)
        if source.endswith("_stream"):
            out["streams"][source] = stream_figures(mine, repeats[source])
    clean = [
        r
        for r in part
        if r["source"] == "adversarial"
        and r["kind"].startswith(("sql_", "edit_", "checklist_", "template_", "paws_"))
    ]
    if clean:
        out["pairs"]["adversarial, clean kinds"] = pair_figures(clean)
    for kind in sorted(
        {r["kind"] for r in part if r["source"] in ("adversarial", "multiturn", "multilingual")}
    ):
        out["kinds"][kind] = pair_figures([r for r in part if r["kind"] == kind])
    return out


def show(out):
    for source, f in out["pairs"].items():
        line = " ".join(f"{n} {f[n]}" for n in ("logit", "cosine", "both") if n in f)
        print(f"{source:26} {f['rows']:6} {line} >0 {f['above_0']} >2 {f['above_2']}")
    for source, f in out["streams"].items():
        print(source, json.dumps(f))
    for kind, f in out["kinds"].items():
        auc = f["logit"].get("auc", "")
        print(f"  {kind:30} {f['label_1']}/{f['rows']} auc {auc} >0 {f['above_0']} >2 {f['above_2']}")


def run(options):
    rows, pool = dataset.load(options.work)
    base, _ = encoder.load_base(options.model)
    pieces = encoder.Pieces(options.model)
    rows = held_rows(rows, pool)
    if options.limit:
        rng, kept = random.Random(3), []
        rng.shuffle(rows)
        count = collections.Counter()
        for r in rows:
            count[r["source"]] += 1
            if count[r["source"]] <= options.limit or r["source"] in ("facts_stream", "qqp_stream"):
                kept.append(r)
        rows = kept
    add_cosines(rows, options, base, pieces)
    state = torch.load(options.checkpoint, weights_only=True)
    model = encoder.PairEncoder(base, state["layers"])
    model.load_named(encoder.dequantised(state["tensors"]))
    logits = encoder.score_pairs(model, pieces, [(r["a"], r["b"]) for r in rows])
    for r, logit in zip(rows, logits):
        r["logit"] = round(float(logit), 4)
    add_weights(rows, dataset.MIX_PERMISSIVE if options.name == "permissive" else dataset.MIX)
    add_both(rows)
    out = {"validation": figures(rows, options, HELD[:1]), "held": figures(rows, options, HELD)}
    for name, part in out.items():
        print(f"== {name}")
        show(part)
    if options.out:
        os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
        with open(options.out, "w", encoding="utf-8") as file:
            json.dump(out, file, indent=1)

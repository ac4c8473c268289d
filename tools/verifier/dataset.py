"""Builds the cached data file and draws the training sample from it."""

import collections
import gzip
import json
import os
import random

from . import candidates, conversations, edits, encoder, grammar, sources

ROWS = "rows.jsonl.gz"
POOL = "pool.json"

# How many examples of each source a sample of 100,000 holds.
MIX = {
    "qqp": 34000,
    "qqp_stream": 16000,
    "facts_stream": 10000,
    "intents_stream": 1000,
    "adversarial": 13000,
    "multiturn": 2000,
    "conversation": 14000,
    "multilingual": 700,
    "other": 300,
    "edits": 8000,
    "grammar": 1000,
}
MIX_PERMISSIVE = {
    "facts_stream": 26000,
    "intents_stream": 12000,
    "adversarial": 14000,
    "multiturn": 10000,
    "conversation": 10000,
    "edits": 32000,
    "grammar": 6000,
}
# No kind of adversarial pair is drawn more than this often per row, nor more than its share.
KIND_SHARE, KIND_REPEAT = 0.13, 3.0


def write_rows(path, rows):
    with gzip.open(path + ".tmp", "wt", encoding="utf-8") as file:
        for r in rows:
            file.write(json.dumps(r, ensure_ascii=False) + "\n")
    os.replace(path + ".tmp", path)


def read_rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def build(data, model, work, log=print):
    """Labelled rows and stream candidates with their splits, written to `work`."""
    groups = sources.Groups()
    rows = sources.labelled(data, groups)
    streams = sources.streams(data, groups)
    base, _ = encoder.load_base(model)
    embedder, pieces = encoder.TextEmbedder(base), encoder.Pieces(model)
    neighbours = collections.defaultdict(list)
    for name, events in streams.items():
        unit = candidates.vectors([e["q"] for e in events], embedder, pieces, work)
        near = candidates.nearest_earlier(unit)
        found = candidates.rows_of(name, events, near)
        rows += found
        for r in found:
            if r["label"] == 0:
                neighbours[r["b"]].append(r["a"])
                neighbours[r["a"]].append(r["b"])
        log(name, len(events), "events", len(found), "candidates")
    rows = sources.assign(rows, groups)
    for r in rows:
        if r["source"] == "qqp" and r["label"] == 0 and r["split"] == "train":
            neighbours[r["a"]].append(r["b"])
    write_rows(os.path.join(work, ROWS), rows)
    write_rows(os.path.join(work, conversations.ROWS), conversations.build(data, groups))
    train = {t for r in rows if r["split"] == "train" for t in (r["a"], r["b"])}
    pool = {
        t: [n for n in sorted(set(near)) if n in train][:6]
        for t, near in sorted(neighbours.items())
        if t in train
    }
    with open(os.path.join(work, POOL), "w", encoding="utf-8") as file:
        json.dump(pool, file, ensure_ascii=False)
    for (source, split), count in sorted(
        collections.Counter((r["source"], r["split"]) for r in rows).items()
    ):
        log(source, split, count)
    return rows


def lower_some(text, rng):
    return text.lower() if rng.random() < 0.25 else text


def draw(rows, want, rng):
    """`want` rows: whole passes, then a random part of one more."""
    out = []
    while len(out) + len(rows) <= want:
        out += rows
    return out + rng.sample(rows, min(len(rows), want - len(out)))


def draw_adversarial(rows, want, rng):
    """Kinds weighted by the root of their size, so that none dominates."""
    kinds = collections.defaultdict(list)
    for r in rows:
        kinds[r["kind"]].append(r)
    weight = {k: len(v) ** 0.5 for k, v in kinds.items()}
    total = sum(weight.values())
    out = []
    for kind in sorted(kinds):
        share = min(want * weight[kind] / total, want * KIND_SHARE, len(kinds[kind]) * KIND_REPEAT)
        out += draw(kinds[kind], int(share), rng)
    return out


def draw_edits(texts, neighbours, want, rng):
    """A third of the texts are such that the rarer rules apply: routes, ranges, numbers."""
    pool = edits.Pool(texts, neighbours)
    rich = [t for t in texts if edits.ROUTE.search(t) or edits.BETWEEN.search(t)]
    numbered = [t for t in texts if any(c.isdigit() for c in t)]
    out = []
    while len(out) < want:
        text = rng.choice(rng.choices((texts, rich or texts, numbered or texts), (0.67, 0.15, 0.18))[0])
        label = int(rng.random() < 0.45)
        made = edits.make(text, label, rng, pool)
        if made:
            out.append(sources.row(text, made[0], label, "edits", made[1], 0.02 if label else 0.03))
    return out


def draw_stream(rows, want, rng):
    """Every positive, and the negatives nearest first: they are what the cache would serve."""
    sure = [r for r in rows if r["label"] == 1 or r["rank"] < 2]
    rest = [r for r in rows if not (r["label"] == 1 or r["rank"] < 2)]
    if len(sure) >= want:
        return rng.sample(sure, want)
    out = sure + draw(rest, min(len(rest), want - len(sure)), rng)
    return out + (draw(sure, want - len(out), rng) if len(out) < want else [])


def draw_conversations(rows, want, rng):
    """Two fifths the same question; the encoder knows by the mark that a history is shared."""
    ones, zeros = [[r for r in rows if r["label"] == label] for label in (1, 0)]
    drawn = draw(ones, int(0.4 * want), rng) + draw(zeros, int(0.6 * want), rng)
    return [dict(r, a=conversations.MARK + r["a"], b=conversations.MARK + r["b"]) for r in drawn]


def is_left_out(r, without):
    """`without` names sources, or beginnings of kinds of pairs."""
    return any(r["source"] == w or r["kind"].startswith(w) for w in without)


def sample(rows, pool, count, seed, permissive=False, without=()):
    """About `count` training examples (a, b, target), shuffled, deterministic."""
    rng = random.Random(seed)
    mix = MIX_PERMISSIVE if permissive else MIX
    rows = [r for r in rows if r["split"] == "train" and (r["permissive"] or not permissive)]
    rows = [r for r in rows if not is_left_out(r, without)]
    by_source = collections.defaultdict(list)
    for r in rows:
        by_source[r["source"]].append(r)
    apart = ("multilingual", "conversation")
    texts = sorted({t for r in rows if r["source"] not in apart for t in (r["a"], r["b"])})
    known = set(texts)
    neighbours = {
        t: near for t, near in ((t, [n for n in ns if n in known]) for t, ns in pool.items()) if near
    }
    drawn = []
    for source, share in mix.items():
        want, have = int(share * count / 100000), by_source.get(source, [])
        if source == "edits":
            drawn += draw_edits(texts, neighbours, want, rng)
        elif source == "grammar":
            drawn += [
                sources.row(a, b, label, "grammar", f, 0.01)
                for a, b, label, f in grammar.pairs(want, rng)
            ]
        elif have and source == "conversation":
            drawn += draw_conversations(have, want, rng)
        elif have and source == "adversarial":
            drawn += draw_adversarial(have, want, rng)
        elif have and source.endswith("_stream"):
            drawn += draw_stream(have, want, rng)
        elif have:
            drawn += draw(have, want, rng)
    out = []
    for r in drawn:
        a, b = lower_some(r["a"], rng), lower_some(r["b"], rng)
        if rng.random() < 0.5:
            a, b = b, a
        out.append((a, b, r["label"] * (1 - 2 * r["noise"]) + r["noise"]))
    rng.shuffle(out)
    return out


def load(work):
    with open(os.path.join(work, POOL), encoding="utf-8") as file:
        pool = json.load(file)
    rows = read_rows(os.path.join(work, ROWS)) + read_rows(os.path.join(work, conversations.ROWS))
    return rows, pool

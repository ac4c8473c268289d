"""The training rows: every evaluation set's dev half as (a, b, label) with a split.

Texts that any label or cluster connects share one component, and a component falls
as a whole into `train`, `stack` (15 %, for the second-stage model) or `validation`
(10 %). Nothing of the last two is ever trained on.
"""

import gzip
import hashlib
import json
import os
import re

PERMISSIVE_TURNS = ("TREC", "MTRAG", "Alexa CQR")
HELD_FAMILIES = {"template_tense": "stack", "template_modifier": "validation"}


def read(folder, name):
    with gzip.open(os.path.join(folder, name + ".dev.jsonl.gz"), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def key(text):
    return re.sub(r"[\W_]+", " ", text.lower()).strip() or text


def skeleton(text):
    """A text without its numbers, quotes and capitalised words: its template, nearly."""
    text = re.sub(r'"[^"]*"', "_", text)
    words = [w for w in text.split() if not re.search(r"\d", w)]
    return " ".join(w.lower() if i == 0 or not w[:1].isupper() else "_" for i, w in enumerate(words))


class Groups:
    """Union-find over texts."""

    def __init__(self):
        self.parent = {}

    def find(self, x):
        self.parent.setdefault(x, x)
        root = x
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[x] != root:
            self.parent[x], x = root, self.parent[x]
        return root

    def join(self, x, y):
        x, y = self.find(x), self.find(y)
        if x != y:
            self.parent[max(x, y)] = min(x, y)

    def split(self, text):
        digest = hashlib.sha256(self.find(key(text)).encode()).digest()
        point = int.from_bytes(digest[:4], "little") / 2**32
        return "validation" if point < 0.10 else "stack" if point < 0.25 else "train"


def row(a, b, label, source, kind, noise, permissive=False):
    """`noise` is the share of wrong labels we assume: the soft target is label -+ noise."""
    return {
        "a": a,
        "b": b,
        "label": label,
        "source": source,
        "kind": kind,
        "noise": noise,
        "permissive": permissive,
    }


def labelled(folder, groups):
    """qqp_pairs, adversarial_pairs, multiturn rewrites, multilingual and mock pairs."""
    rows = []
    for name in ("qqp_pairs", "qqp_pairs_extra"):
        for r in read(folder, name):
            rows.append(row(r["a"], r["b"], r["label"], "qqp", name, 0.08))
    for r in read(folder, "adversarial_pairs"):
        kind = r["kind"]
        if kind == "edit_gender":
            continue
        noise = 0.08 if kind.startswith("qqp_") or kind in ("medical", "paws_swap") else 0.01
        free = kind.startswith("template_") or kind == "llm_cache_queries" or "advising" in r["source"]
        rows.append(row(r["a"], r["b"], r["label"], "adversarial", kind, noise, free))
    for r in rows:
        groups.join(key(r["a"]), key(r["b"]))
    rows += conversations(folder, groups)
    for r in read(folder, "other_pairs"):
        if r["kind"] == "gptcache_mock":
            groups.join(key(r["a"]), key(r["b"]))
            rows.append(row(r["a"], r["b"], r["label"], "other", r["kind"], 0.02))
    for r in read(folder, "multilingual_pairs"):
        if r["label"] == 0:
            groups.join(key(r["a"]), key(r["b"]))
            rows.append(row(r["a"], r["b"], 0, "multilingual", r["lang"], 0.02))
    return rows


def conversations(folder, groups):
    """Self-contained rewrites of turns: same turn or not."""
    rows = []
    free = lambda r: r["source"].startswith(PERMISSIVE_TURNS) and "CANARD" not in r["source"]
    topic = {}
    turns = read(folder, "multiturn")
    for r in turns:
        anchor = "conversation " + r["conversation"]
        topic[r["conversation"]] = anchor
        for text in [r["rewrite"], *r.get("paraphrases", [])]:
            groups.join(anchor, key(text))
        for text in sorted(set(r.get("paraphrases", [])[:4])):
            rows.append(row(r["rewrite"], text, 1, "multiturn", "paraphrase", 0.05, free(r)))
    for one, two in zip(turns, turns[1:]):
        if one["conversation"] == two["conversation"] and key(one["rewrite"]) != key(two["rewrite"]):
            rows.append(
                row(one["rewrite"], two["rewrite"], 0, "multiturn", "next_turn", 0.02, free(one))
            )
    for r in read(folder, "multiturn_traps"):
        groups.join(key(r["rewrite_a"]), key(r["rewrite_b"]))
        if key(r["rewrite_a"]) != key(r["rewrite_b"]):
            rows.append(row(r["rewrite_a"], r["rewrite_b"], 0, "multiturn", "trap", 0.02, free(r)))
    for r in read(folder, "multiturn_pairs"):
        pair = rewritten(r)
        if pair and key(pair[0]) != key(pair[1]):
            groups.join(key(pair[0]), key(pair[1]))
            rows.append(row(*pair, r["label"], "multiturn", r["kind"], 0.04, free(r)))
    return rows


def rewritten(r):
    """The self-contained texts of a multi-turn pair, where they decide the label."""
    kind, a, b = r["kind"], r.get("rewrite_a"), r.get("rewrite_b")
    if kind == "crowd_paraphrase_of_rewrite":
        return r["a"]["q"], r["b"]["q"]
    if kind == "same_context_crowd_paraphrase" and a:
        return a, r["b"]["q"]
    if r["label"] == 0 and a and b:
        return a, b
    return None


def streams(folder, groups):
    """name -> the events of each stream; joins the texts of one cluster."""
    out = {name: read(folder, name) for name in ("qqp_stream", "facts_stream", "intents_stream")}
    out["intents_stream"] = [e for e in out["intents_stream"] if e["slot_free"]]
    for name, events in out.items():
        first = {}
        for e in events:
            anchor = first.setdefault(e["cluster"], key(e["q"]))
            groups.join(anchor, key(e["q"]))
            if name == "facts_stream":
                groups.join("skeleton " + skeleton(e["q"]), key(e["q"]))
    return out


def assign(rows, groups):
    """The split of each row; a row that straddles train and another split is dropped."""
    kept = []
    for r in rows:
        one, two = groups.split(r["a"]), groups.split(r["b"])
        r["split"] = HELD_FAMILIES.get(r["kind"], one)
        if r["source"].endswith("_stream"):
            r["split"] = groups.split(r["b"])
            if r["split"] == "train" and one != "train":
                continue
        kept.append(r)
    return kept

"""The second stage: word features and the pair encoder's logit to one calibrated probability.

For each kind of pair (plain, conversation) two LightGBM models: `cheap`, without the pair logit, is
fitted on the rows the pair encoder was trained on; `full` goes on from it, with the logit, on the rows
the encoder never saw. Both are calibrated by a logistic curve on the latter, `full` on predictions made
out of fold, where whole groups of connected texts, and whole conversations, are left out together.
Features come from the program tools/pair_features.cpp, which is the server's own code.
"""

import hashlib
import json
import os
import subprocess

import lightgbm
import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from . import checksums, dataset, second

# Larger cannot make a right answer likelier wrong, or the other way round.
RISING = (
    "cosine",
    "pair_logit",
    "content_jaccard",
    "stem_jaccard",
    "longest_common",
    "trigram_dice",
    "margin",
    "said_share",
)
FALLING = (
    "names_only_min",
    "names_only_max",
    "numbers_only",
    "negations",
    "content_only_min",
    "unsaid_min",
    "unsaid_max",
    "unsaid_names",
    "unsaid_numbers",
)
HISTORY = (
    "unsaid_min",
    "unsaid_max",
    "said_share",
    "recent_share",
    "unsaid_names",
    "unsaid_numbers",
    "pointers",
    "both_add",
)
# What each source counts, however many rows it has. Streams are what is judged in service.
WEIGHTS = {
    "plain": {"qqp": 15, "qqp_stream": 40, "facts_stream": 30, "intents_stream": 2, "adversarial": 30},
    "conversation": {"conversation": 1},
}
# Label-0 rows of the sources whose labels are certain count so much more: where a name, a number or one word
# decides, a wrong answer is worse than a lost hit. Probabilities there err on the low side.
CAUTION = {"facts_stream": 2.5, "adversarial": 2.0}
ROUNDS = {"cheap": 250, "full": 100}
# The permissive artifact sees few kinds of text, and what trees learn of their style misleads elsewhere (on
# sources it never saw: facts AUC .878 with every feature, .917 so). It keeps features whose sign is certain,
# fewer trees, more caution, and leaves out intents, whose label 1 is wider than "the same answer".
PERMISSIVE = {
    "caution": {"facts_stream": 6.0, "adversarial": 6.0},
    "rounds": {"cheap": 60, "full": 30},
    "apart": ("intents_stream",),
}
FOLDS = 5
RAW_MAX = 12.0
# The pair encoder reads every candidate the cheap model does not give up: a false hit costs more than a
# millisecond. The threshold keeps this share of the right ones in.
GREY_KEEPS = 0.985
BARS = (0.7, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99)


def features_of(rows, program):
    lines = [{key: r[key] for key in ("a", "b", "cosine", "next", "history") if key in r} for r in rows]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    out = subprocess.run([program], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    lines = out.decode().splitlines()
    names = lines[0].split("\t")
    table = np.array([line.split("\t") for line in lines[1:]], dtype=np.float64)
    table[:, names.index("pair_logit")] = [r.get("logit", 0) for r in rows]
    return names, table


def constraints(names):
    falling = set(FALLING) | {n for n in names if n.startswith("guard_")}
    return [1 if n in RISING else -1 if n in falling else 0 for n in names]


def without_sign(names):
    return {n for n, sign in zip(names, constraints(names)) if sign == 0}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def calibrate(raw, labels, weights):
    """Slope and offset of the logistic curve."""

    def loss(parameters):
        p = np.clip(sigmoid(parameters[0] * raw + parameters[1]), 1e-6, 1 - 1e-6)
        return -np.sum(weights * (labels * np.log(p) + (1 - labels) * np.log(1 - p))) / weights.sum()

    slope, offset = minimize(loss, [1.0, 0.0], method="Nelder-Mead").x
    if slope <= 0:
        raise SystemExit("calibration: the model is no better than chance")
    return float(slope), float(offset)


def flat_tree(node, tree, numbers):
    """LightGBM's nested dump as arrays; returns the child's index (leaves as ~leaf)."""
    if "leaf_value" in node:
        tree["leaf"].append(round(node["leaf_value"], 6))
        return ~(len(tree["leaf"]) - 1)
    at = len(tree["feature"])
    tree["feature"].append(numbers[node["split_feature"]])
    tree["threshold"].append(float(np.float32(node["threshold"])))
    tree["left"].append(0)
    tree["right"].append(0)
    tree["left"][at] = flat_tree(node["left_child"], tree, numbers)
    tree["right"][at] = flat_tree(node["right_child"], tree, numbers)
    return at


class Part:
    """The rows of one kind of pair as arrays."""

    def __init__(self, kind, rows, names, table, is_permissive=False):
        self.kind, self.rows, self.names, self.table = kind, rows, names, table
        self.caution = PERMISSIVE["caution"] if is_permissive else CAUTION
        self.rounds = PERMISSIVE["rounds"] if is_permissive else ROUNDS
        self.labels = np.array([r["label"] for r in rows], dtype=float)
        self.source = np.array([r["source"] for r in rows])
        self.held = np.array([r["split"] != "train" for r in rows])
        digest = lambda r: int(hashlib.sha256(r["group"].encode()).hexdigest()[:8], 16)
        self.fold = np.array([digest(r) % FOLDS for r in rows])
        apart = () if kind == "conversation" else HISTORY
        left = set(apart) | ({"margin"} if kind == "conversation" else set())
        left |= without_sign(names) if is_permissive else set()
        self.full_columns = [i for i, n in enumerate(names) if n not in left]
        self.cheap_columns = [i for i in self.full_columns if names[i] != "pair_logit"]

    def weights(self, mask):
        """Of each row; a right answer in a conversation counts twice, another turn less than an edit."""
        out = np.zeros(len(self.rows))
        for source, share in WEIGHTS[self.kind].items():
            at = mask & (self.source == source)
            out[at] = share / max(1, at.sum())
        for source, times in self.caution.items():
            out[(self.source == source) & (self.labels == 0)] *= times
        if self.kind == "conversation":
            other = np.array([r["kind"] == "other_turn" for r in self.rows])
            out *= np.where(self.labels == 1, 2.0, np.where(other, 0.6, 1.0))
        return out / out[out > 0].mean()

    def fit(self, columns, mask, weights, rounds, init=None):
        rising = constraints(self.names)
        options = dict(
            objective="binary",
            num_leaves=15,
            learning_rate=0.05,
            min_child_samples=60,
            lambda_l2=5.0,
            feature_fraction=0.7,
            bagging_fraction=0.8,
            bagging_freq=1,
            seed=1,
            deterministic=True,
            force_row_wise=True,
            num_threads=1,
            verbose=-1,
            monotone_constraints=[rising[i] for i in columns],
            monotone_constraints_method="advanced",
        )
        at = np.where(mask & (weights > 0))[0]
        data = lightgbm.Dataset(
            self.table[at][:, columns],
            self.labels[at],
            weight=weights[at],
            init_score=None if init is None else init[at],
        )
        return lightgbm.train(options, data, rounds)

    def raw(self, model, columns):
        return model.predict(self.table[:, columns], raw_score=True)


class Stage:
    """The fitted and calibrated models of one kind of pair."""

    def __init__(self, part, left_out=()):
        self.part = part
        known = np.array([s not in left_out for s in part.source])
        train, held = part.weights(~part.held & known), part.weights(part.held & known)
        self.cheap = part.fit(part.cheap_columns, ~part.held & known, train, part.rounds["cheap"])
        self.cheap_raw = part.raw(self.cheap, part.cheap_columns)
        self.full = part.fit(part.full_columns, part.held & known, held, part.rounds["full"], self.cheap_raw)
        # Rows of a source left out are judged by the model that never saw it, the others out of fold.
        self.full_raw = self.cheap_raw + part.raw(self.full, part.full_columns)
        for fold in range(FOLDS):
            model = part.fit(
                part.full_columns,
                part.held & known & (part.fold != fold),
                held,
                part.rounds["full"],
                self.cheap_raw,
            )
            at = part.held & known & (part.fold == fold)
            self.full_raw[at] = self.cheap_raw[at] + part.raw(model, part.full_columns)[at]
        at = part.held & known & (held > 0)
        self.cheap_curve = calibrate(self.cheap_raw[at], part.labels[at], held[at])
        self.full_curve = calibrate(self.full_raw[at], part.labels[at], held[at])

    def cheap_logit(self):
        return self.cheap_curve[0] * self.cheap_raw + self.cheap_curve[1]

    def full_logit(self):
        return self.full_curve[0] * self.full_raw + self.full_curve[1]

    def grey_from(self):
        right = self.part.held & (self.part.labels == 1)
        return float(np.quantile(self.cheap_logit()[right], 1 - GREY_KEEPS))

    def exported(self):
        part = self.part
        cheap = trees_of(self.cheap, part.cheap_columns)
        full = cheap + trees_of(self.full, part.full_columns)
        return {
            "grey_zone": [round(self.grey_from(), 4), 1e6],
            "cheap": model_of(cheap, self.cheap_curve),
            "full": model_of(full, self.full_curve),
        }


def trees_of(model, columns):
    trees = []
    for info in model.dump_model()["tree_info"]:
        tree = {"feature": [], "threshold": [], "left": [], "right": [], "leaf": []}
        flat_tree(info["tree_structure"], tree, columns)
        trees.append(tree)
    return trees


def model_of(trees, curve):
    ends = (-RAW_MAX, RAW_MAX)
    return {
        "trees": trees,
        "calibration_raw": list(ends),
        "calibration_logit": [round(curve[0] * x + curve[1], 6) for x in ends],
    }


def calibration_error(p, labels, bins=10):
    """Expected calibration error over equal bins of the stated probability."""
    at = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs((p - labels)[at == b].sum()) for b in range(bins)) / max(1, len(p)))


def figures(part, logit):
    """By source, on held rows and without guards' vetoes: ROC AUC, calibration error, serving at bars."""
    out, p = {}, sigmoid(logit)
    guards = [i for i, n in enumerate(part.names) if n.startswith("guard_")]
    free = part.table[:, guards].max(1) == 0
    for source in sorted(set(part.source)):
        at = part.held & (part.source == source)
        labels = part.labels[at]
        if not 0 < labels.sum() < len(labels):
            continue
        passed = at & free
        entry = {
            "rows": int(at.sum()),
            "auc": round(float(roc_auc_score(labels, logit[at])), 4),
            "calibration_error": round(calibration_error(p[passed], part.labels[passed]), 4),
        }
        for bar in BARS:
            served = p[passed] >= bar
            right = (served & (part.labels[passed] == 1)).sum()
            entry[f"at_{bar}"] = [
                round(float(right / labels.sum()), 3),
                round(float(1 - right / max(1, served.sum())), 3),
            ]
        out[source] = entry
    return out


def parts_of(options):
    rows = dataset.read_rows(os.path.join(options.work, second.ROWS))
    is_permissive = options.name == "permissive"
    rows = [
        r for r in rows if r["permissive"] and r["source"] not in PERMISSIVE["apart"] or not is_permissive
    ]
    rows = [r for r in rows if not dataset.is_left_out(r, options.without)]
    parts = {}
    for kind, weights in WEIGHTS.items():
        mine = [r for r in rows if r["source"] in weights]
        parts[kind] = Part(kind, mine, *features_of(mine, options.pair_features), is_permissive)
    return parts


def run(options):
    parts = parts_of(options)
    stages = {kind: Stage(part) for kind, part in parts.items()}
    shown = {kind: figures(parts[kind], stage.full_logit()) for kind, stage in stages.items()}
    shown["grey_share_of_label_0"] = {
        kind: round(float((s.cheap_logit()[s.part.held & (s.part.labels == 0)] >= s.grey_from()).mean()), 3)
        for kind, s in stages.items()
    }
    if options.leave_out:
        plain = parts["plain"]
        shown["left_out"] = {
            source: figures(plain, Stage(plain, (source,)).full_logit())[source]
            for source in WEIGHTS["plain"]
            if source in set(plain.source)
        }
    print(json.dumps(shown, indent=1))
    artifact = {
        "format": "enhanced-gptcache-verifier",
        "version": 2,
        "name": options.name,
        "features": parts["plain"].names,
        **{kind: s.exported() for kind, s in stages.items()},
    }
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(artifact, file, separators=(",", ":"))
        file.write("\n")
    checksums.write_beside(options.out)

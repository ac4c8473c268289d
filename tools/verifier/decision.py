"""The second stage: word features and the pair encoder's logit to one calibrated probability.

Two LightGBM models (with and without the pair logit) are fitted on the rows of the `stack` split, which
the pair encoder never saw, and calibrated on the `validation` split: a logistic curve whose likelihood
knows the share of wrong labels of each source (a label y is observed as 1 with probability
noise + (1 - 2 noise) P), so that noisy sources do not cap the probability. Features come from the
program tools/pair_features.cpp, which is the server's own code.
"""

import json
import subprocess

import lightgbm
import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

# Larger cannot make a right answer likelier wrong, or the other way round.
RISING = ("cosine", "pair_logit", "content_jaccard", "stem_jaccard", "longest_common", "trigram_dice")
FALLING = ("names_only_min", "names_only_max", "numbers_only", "negations", "content_only_min")
ROUNDS = {"cheap": 250, "full": 200}
RAW_MAX = 12.0
# The pair encoder reads every candidate the cheap model does not give up: a false hit costs more than a
# millisecond. The threshold keeps this share of the right ones in.
GREY_KEEPS = 0.985
# Neighbours of real traffic count most: they are what is judged in service.
EMPHASIS = {"qqp_stream": 2.5, "facts_stream": 2.5, "intents_stream": 0.2}
# Share of wrong labels among question pairs, read off samples (data README); other rows state their own.
NOISE = {"qqp": 0.12, "qqp_stream": 0.12}


def read_rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def features_of(rows, program):
    text = "".join(json.dumps({"a": r["a"], "b": r["b"], "cosine": r["cosine"]}) + "\n" for r in rows)
    out = subprocess.run([program], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    lines = out.decode().splitlines()
    names = lines[0].split("\t")
    table = np.array([line.split("\t") for line in lines[1:]], dtype=np.float64)
    table[:, names.index("pair_logit")] = [r["logit"] for r in rows]
    return names, table


def constraints(names):
    falling = set(FALLING) | {n for n in names if n.startswith("guard_")}
    return [1 if n in RISING else -1 if n in falling else 0 for n in names]


def fit_trees(names, table, labels, weights, rounds):
    model = lightgbm.LGBMClassifier(
        n_estimators=rounds, num_leaves=15, learning_rate=0.05, min_child_samples=60, reg_lambda=5.0,
        colsample_bytree=0.7, subsample=0.8, subsample_freq=1, random_state=1, deterministic=True,
        force_row_wise=True, n_jobs=1, verbose=-1, monotone_constraints=constraints(names),
        monotone_constraints_method="advanced")
    model.fit(table, labels, sample_weight=weights)
    return model


def raw_of(model, table):
    return model.predict(table, raw_score=True)


def calibrate(raw, labels, noise, weights):
    """Slope and offset of the logistic curve, by the noisy-label likelihood."""

    def loss(parameters):
        p = 1 / (1 + np.exp(-(parameters[0] * raw + parameters[1])))
        seen = np.clip(noise + (1 - 2 * noise) * p, 1e-6, 1 - 1e-6)
        return -np.sum(weights * (labels * np.log(seen) + (1 - labels) * np.log(1 - seen))) / weights.sum()

    found = minimize(loss, [1.0, 0.0], method="Nelder-Mead")
    slope, offset = found.x
    if slope <= 0:
        raise SystemExit("calibration: the model is no better than chance")
    return float(slope), float(offset)


def flat_tree(node, tree):
    """LightGBM's nested dump as arrays; returns the child's index (leaves as ~leaf)."""
    if "leaf_value" in node:
        tree["leaf"].append(round(node["leaf_value"], 6))
        return ~(len(tree["leaf"]) - 1)
    at = len(tree["feature"])
    tree["feature"].append(node["split_feature"])
    tree["threshold"].append(float(np.float32(node["threshold"])))
    tree["left"].append(0)
    tree["right"].append(0)
    tree["left"][at] = flat_tree(node["left_child"], tree)
    tree["right"][at] = flat_tree(node["right_child"], tree)
    return at


def exported(model, slope, offset):
    trees = []
    for info in model.booster_.dump_model()["tree_info"]:
        tree = {"feature": [], "threshold": [], "left": [], "right": [], "leaf": []}
        flat_tree(info["tree_structure"], tree)
        trees.append(tree)
    ends = (-RAW_MAX, RAW_MAX)
    return {"trees": trees, "calibration_raw": list(ends),
            "calibration_logit": [round(slope * x + offset, 6) for x in ends]}


def cheap_table(names, table):
    blind = table.copy()
    blind[:, names.index("pair_logit")] = 0
    return blind


def auc(labels, scores):
    return round(float(roc_auc_score(labels, scores)), 4) if 0 < sum(labels) < len(labels) else None


def source_figures(rows, scores):
    """ROC AUC by source and, for streams, what serving above a probability would do."""
    out = {}
    for source in sorted({r["source"] for r in rows}):
        at = [i for i, r in enumerate(rows) if r["source"] == source]
        labels = np.array([rows[i]["label"] for i in at])
        p = np.array([scores[i] for i in at])
        out[source] = {"rows": len(at), "auc": auc(labels, p)}
        for bar in (0.9, 0.95, 0.98, 0.99):
            served = p >= bar
            recall = (served & (labels == 1)).sum() / max(1, labels.sum())
            wrong = (served & (labels == 0)).sum() / max(1, served.sum())
            out[source][f"at_{bar}"] = [round(float(recall), 3), round(float(wrong), 3)]
    return out


class Stage:
    """One fitted and calibrated model."""

    def __init__(self, kind, names, fit, check):
        (table, rows), (check_table, check_rows) = fit, check
        view = (lambda t: cheap_table(names, t)) if kind == "cheap" else (lambda t: t)
        self.view = view
        self.model = fit_trees(names, view(table), labels_of(rows), weights_of(rows), ROUNDS[kind])
        self.slope, self.offset = calibrate(raw_of(self.model, view(check_table)), labels_of(check_rows),
                                            noise_of(check_rows), weights_of(check_rows))

    def logit(self, table):
        return self.slope * np.clip(raw_of(self.model, self.view(table)), -RAW_MAX, RAW_MAX) + self.offset


def labels_of(rows):
    return np.array([r["label"] for r in rows], dtype=float)


def weights_of(rows):
    return np.array([r["weight"] * EMPHASIS.get(r["source"], 1.0) for r in rows], dtype=float)


def noise_of(rows):
    return np.array([NOISE.get(r["source"], r.get("noise", 0.01)) for r in rows], dtype=float)


def run(options):
    rows = [r for r in read_rows(options.rows) if r["label"] in (0, 1) and r["cosine"] >= options.cosine_min
            and r["source"] not in options.without and (r["permissive"] or options.name != "permissive")]
    names, table = features_of(rows, options.pair_features)
    split = np.array([r["split"] == "stack" for r in rows])
    part = [(table[m], [r for r, keep in zip(rows, m) if keep]) for m in (split, ~split)]
    cheap, full = Stage("cheap", names, *part), Stage("full", names, *part)
    cheap_logits, labels = cheap.logit(part[1][0]), labels_of(part[1][1])
    grey_from = float(np.quantile(cheap_logits[labels == 1], 1 - GREY_KEEPS))
    probability = 1 / (1 + np.exp(-full.logit(part[1][0])))
    figures = {"full": source_figures(part[1][1], probability),
               "cheap": source_figures(part[1][1], 1 / (1 + np.exp(-cheap_logits))),
               "grey_share_of_label_0": round(float((cheap_logits[labels == 0] >= grey_from).mean()), 3)}
    print(json.dumps(figures, indent=1))
    artifact = {"format": "enhanced-gptcache-verifier", "version": 1, "name": options.name, "features": names,
                "grey_zone": [round(grey_from, 4), 1e6],
                "cheap": exported(cheap.model, cheap.slope, cheap.offset),
                "full": exported(full.model, full.slope, full.offset)}
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(artifact, file, separators=(",", ":"))
        file.write("\n")

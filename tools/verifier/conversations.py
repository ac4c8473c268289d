"""Pairs of last questions after one history: the conversation regime of the verifier.

After the same history "Did he win?" and "Did Ali win the fight?" may be one question. The pair encoder
reads such pairs with MARK before each text, so that what it learns of pronouns and ellipsis stays out of
pairs without a conversation; whether the words one side adds come from the history is for the second stage.
A conversation falls into one split as a whole.
"""

import collections
import random

from . import edits, sources

MARK = "\u2026 "
ROWS = "conversations.jsonl.gz"
# Other questions of the conversation a turn is paired with, nearest first.
OTHERS = 5
EDITS_PER_TURN = 2


def texts_of(history):
    return [turn["content"] for turn in history]


def made(a, b, label, turn, kind, split, noise):
    free = turn["source"].startswith(("TREC", "MTRAG", "Alexa"))
    r = sources.row(a, b, label, "conversation", kind, noise, free)
    r.update(split=split, conversation=turn["conversation"], history=texts_of(turn["history"]))
    return r


def positives(turn, split):
    forms = [turn["rewrite"], *sorted(set(turn.get("paraphrases", [])))[:4]]
    out = [made(turn["q"], form, 1, turn, "rewrite" if i == 0 else "crowd", split, 0.04)
           for i, form in enumerate(forms) if sources.key(form) != sources.key(turn["q"])]
    out += [made(forms[0], form, 1, turn, "rewrite_crowd", split, 0.04) for form in forms[1:3]]
    return out


def negatives(turn, others, split, rng):
    """Another question of the conversation after this turn's history, in either form."""
    out = []
    mine = {sources.key(turn["q"]), sources.key(turn["rewrite"])}
    for other in others:
        if mine & {sources.key(other["q"]), sources.key(other["rewrite"])}:
            continue
        a = rng.choice((turn["q"], turn["q"], turn["rewrite"]))
        b = rng.choice((other["q"], other["rewrite"], other["rewrite"]))
        out.append(made(a, b, 0, turn, "other_turn", split, 0.02))
    return out


def edited(turn, pool, split, rng):
    """The question against its rewrite with one edit that changes the answer."""
    out = []
    for _ in range(EDITS_PER_TURN):
        found = edits.make(turn["rewrite"], 0, rng, pool)
        # A dropped word may be just what the history says anyway.
        if found and found[1] != "dropped_word":
            out.append(made(turn["q"], found[0], 0, turn, "edit_" + found[1], split, 0.05))
    return out


def build(folder, groups, seed=5):
    """`groups` has seen every labelled row, so that splits are those of the other rows."""
    turns = sources.read(folder, "multiturn")
    together = collections.defaultdict(list)
    for place, turn in enumerate(turns):
        turn["place"] = place
        together[turn["conversation"]].append(turn)
    pools = {}
    for split in ("train", "stack", "validation"):
        mine = [t["rewrite"] for t in turns if groups.split(t["rewrite"]) == split]
        pools[split] = edits.Pool(sorted(set(mine)), {})
    rng, out = random.Random(seed), []
    for turn in turns:
        if not turn["history"]:
            continue
        split = groups.split(turn["rewrite"])
        near = sorted((t for t in together[turn["conversation"]] if t is not turn),
                      key=lambda t: (abs(t["place"] - turn["place"]), t["place"]))[:OTHERS]
        out += positives(turn, split) + negatives(turn, near, split, rng)
        out += edited(turn, pools[split], split, rng)
    return out + written_by_models(folder, groups)


def written_by_models(folder, groups):
    """The paraphrases in and of conversations that have no turn file; split by what was asked first."""
    out = []
    for r in sources.read(folder, "multiturn_pairs"):
        if r["kind"] not in ("same_context_paraphrased_q_llm", "paraphrased_context_and_q_llm"):
            continue
        first = r["a"]["history"][0]["content"]
        turn = {"conversation": "llm " + first, "source": r["source"], "history": r["a"]["history"]}
        answer = r["a"]["history"][-1]["content"]
        split = groups.split("llm " + " ".join(answer.split()[:3]))
        out.append(made(r["a"]["q"], r["b"]["q"], 1, turn, r["kind"], split, 0.02))
    return out

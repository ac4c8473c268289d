"""What the verifier sees in production: the nearest earlier texts of a stream."""

import hashlib
import json
import os
import subprocess

import numpy as np

from . import encoder, sources

TOP = 5
COSINE_MIN = 0.65
NOISE = {"qqp_stream": 0.05, "facts_stream": 0.015, "intents_stream": 0.05}


def product_vectors(texts, program, model_folder):
    """The same vectors from the C++ embedder (tools/embed_vectors), which is faster."""
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    done = subprocess.run(
        [program, model_folder, "auto", "int8"], input=lines.encode(), capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, dtype=np.float32).reshape(len(texts), encoder.HIDDEN)


def vectors(texts, embedder, pieces, cache_folder, program=None, model_folder=None):
    """Unit vectors, computed once per list of texts."""
    digest = hashlib.sha256("\x00".join(texts).encode()).hexdigest()[:16]
    path = os.path.join(cache_folder, f"vectors_{digest}.npy")
    if os.path.exists(path):
        return np.load(path)
    if program:
        out = product_vectors(texts, program, model_folder)
    else:
        out = encoder.embed_texts(embedder, pieces, texts)
    np.save(path, out)
    return out


def nearest_earlier(unit, top=TOP, cosine_min=COSINE_MIN, block=512):
    """For each row: (earlier row, cosine) pairs, nearest first."""
    out = []
    for start in range(0, len(unit), block):
        stop = min(start + block, len(unit))
        scores = unit[start:stop] @ unit[:stop].T
        for i in range(start, stop):
            line = scores[i - start, :i]
            near = np.argpartition(-line, top)[:top] if len(line) > top else np.arange(len(line))
            near = near[np.argsort(-line[near], kind="stable")]
            out.append([(int(j), float(line[j])) for j in near if line[j] >= cosine_min])
    return out


def rows_of(name, events, near):
    """Rows (a = the earlier text, b = the event), unjudged pairs left out."""
    rows = []
    for i, found in enumerate(near):
        event = events[i]
        for rank, (j, cosine) in enumerate(found):
            other = events[j]
            same = event["cluster"] == other["cluster"]
            if not same and (
                other["cluster"] in event.get("unjudged", ())
                or event["cluster"] in other.get("unjudged", ())
            ):
                continue
            free = name == "intents_stream" or event.get("source") == "advising" == other.get("source")
            r = sources.row(
                other["q"], event["q"], int(same), name, event.get("source", "quora"), NOISE[name], free
            )
            judged = other["cluster"] in event.get("judged_not", ()) or event["cluster"] in other.get(
                "judged_not", ()
            )
            r.update(event=i, rank=rank, cosine=round(cosine, 5), judged=bool(judged))
            r["repeat"] = event["repeat_of_cluster"]
            rows.append(r)
    return rows

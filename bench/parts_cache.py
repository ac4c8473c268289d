"""Parts of bench/suite.py without a network: the encoder, the library, the index, start and memory."""

import json
import subprocess

import checks
import questions
import servers

MODEL_MACS_A_TOKEN = 10.6e6  # multiply-adds; as many bytes of int8 weights
QUERY_TOKENS = 12
INDEX_PEER_MISSING = 3  # exit code of index_compare.py


def query_texts(bench):
    """Questions of 12 tokens ([CLS] and [SEP] included): ten words of one piece each."""
    texts = [
        f"how do i {task} the {subject} of a friend today"
        for task in ("move", "open", "test", "sell", "find", "paint", "lock", "order")
        for subject in ("house", "garden", "boat", "camera", "server", "kitchen", "bicycle", "contract")
    ]
    return questions.write_lines(bench.work / "queries", texts)


def mixed_texts(bench):
    """Batches of 32 texts of 5 to 64 tokens."""
    words = " ".join(word for word in questions.TASKS if word not in ("archive",)).split()
    texts = [" ".join(words[(i + k) % len(words)] for k in range(3 + (i * 17) % 60)) for i in range(128)]
    return questions.write_lines(bench.work / "mixed", texts)


def embed(bench):
    texts, mixed = query_texts(bench), mixed_texts(bench)
    out, rooflines = {}, []

    def by_length():
        words = (bench.model, bench.graph, mixed, bench.seconds, 32, "sorted")
        return bench.run(bench.python, "peers/onnx_turn.py", *words)

    for name, file, batch in (("single", texts, 1), ("batch_32", mixed, 32)):
        ours, onnx, limits, *by_length_found = bench.turns(
            lambda: bench.run(bench.build / "embed_turn", bench.model, file, bench.seconds, batch),
            lambda: bench.run(
                bench.python, "peers/onnx_turn.py", bench.model, bench.graph, file, bench.seconds, batch
            ),
            lambda: bench.run(bench.build / "roofline_bench"),
            *([by_length] if batch > 1 else []),
        )
        rooflines += limits
        out[name] = {
            "ours_p50_ms": bench.median(ours, "p50_ms"),
            "onnx_p50_ms": bench.median(onnx, "p50_ms"),
            "ours_p99_ms": bench.median(ours, "p99_ms"),
            "onnx_p99_ms": bench.median(onnx, "p99_ms"),
            "ours_texts_s": bench.median(ours, "texts_s"),
            "onnx_texts_s": bench.median(onnx, "texts_s"),
        }
        for values in by_length_found:
            out[name]["onnx_sorted_texts_s"] = bench.median(values, "texts_s")
        out["kernel"] = ours[0]["kernel"]
    roofline = {name: bench.median(rooflines, name) for name in rooflines[0]}
    out["roofline"] = roofline
    peak = roofline.get(f"{out['kernel']}_gmac_s", roofline.get("avx2_gmac_s"))
    by_weights = MODEL_MACS_A_TOKEN / (roofline["read_gb_s"] * 1e9) * 1e3
    by_arithmetic = QUERY_TOKENS * MODEL_MACS_A_TOKEN / (peak * 1e9) * 1e3
    out.update(
        roofline_ms=max(by_weights, by_arithmetic),
        roofline_weights_ms=by_weights,
        roofline_arithmetic_ms=by_arithmetic,
    )
    return out


def embed_kernels(bench):
    texts, out = query_texts(bench), {}
    for kernel in ("avx512vnni", "avx2", "scalar"):
        try:
            (found,) = bench.turns(
                lambda: bench.run(bench.build / "embed_turn", bench.model, texts, bench.seconds, 1, kernel)
            )
            out[kernel] = {"p50_ms": bench.median(found, "p50_ms"), "p99_ms": bench.median(found, "p99_ms")}
        except RuntimeError as error:
            out[kernel] = {"left_out": str(error)[-200:]}
    return out


def exact(bench):
    """Exact hits of the library by number of entries, and GPTCache asked its stored questions."""
    out = {"ours": {}}
    for entries in (1_000, 10_000, 100_000):
        (found,) = bench.turns(lambda: bench.run(bench.build / "cache_bench", bench.model, "exact", entries))
        out["ours"][str(entries)] = {
            "p50_us": bench.median(found, "p50_us"),
            "p99_us": bench.median(found, "p99_us"),
        }
    rows = [
        json.dumps({"stored": f"What is the name of part {i} of assembly {i // 97}?", "asked": ""})
        for i in range(100_000)
    ]
    file = questions.write_lines(bench.work / "parts", rows)
    out["gptcache"] = bench.run(
        bench.python, "peers/gptcache_turn.py", "exact", bench.model, bench.graph, file, 300
    )
    checks.enough_hits(out["gptcache"]["hits"], out["gptcache"]["asked"], "GPTCache, stored questions")
    return out


def gptcache(bench, python=None, graph=None):
    """GPTCache in process with 10,000 entries, asked in other words."""
    rows = [json.dumps({"stored": one, "asked": other}) for one, other in questions.pairs(10_000)]
    file = questions.write_lines(bench.work / "pairs", rows)
    found = bench.run(
        python or bench.python,
        "peers/gptcache_turn.py",
        "semantic",
        bench.model,
        graph or bench.graph,
        file,
        1000,
    )
    found["hit_share"] = checks.enough_hits(found["hits"], found["asked"], "GPTCache, other words")
    return found


def gptcache_sbert(bench):
    """The same as its documentation sets it up: sentence-transformers on torch."""
    return gptcache(bench, bench.peers / "sbert/bin/python", "sbert")


def memory(bench):
    """Resident bytes an entry, at a tenth of --rows and at --rows."""
    return {
        str(entries): bench.run(bench.build / "cache_bench", bench.model, "memory", entries)
        for entries in (bench.rows // 10, bench.rows)
    }


def index(bench):
    """Ours, hnswlib and faiss over the same rows: one partition, and 10,000 of which half is replaced."""
    base = bench.work / "base.npy"
    if not base.exists():
        texts = [text for pair in questions.pairs(10_000) for text in pair] + [
            questions.new_question(i) for i in range(20_000)
        ]
        file = questions.write_lines(bench.work / "texts", texts)
        bench.run(bench.python, "peers/onnx_vectors.py", bench.model, bench.graph, file, base)
    words = ["--bench", bench.build / "index_bench", "--model-vectors", base, "--rows", bench.rows]
    words += ["--work", bench.work]
    codes = (0, INDEX_PEER_MISSING)
    lines = bench.run(bench.python, "index_compare.py", *words, lines=True, codes=codes)
    words += ["--partitions", 10_000 if bench.rows >= 100_000 else max(1, bench.rows // 10)]
    spread = bench.run(bench.python, "index_compare.py", *words, lines=True, codes=codes)
    left_out = sorted({line["engine"] for line in lines + spread if "left_out" in line})
    return {"rows": bench.rows, "lines": lines, "partitions": spread, "left_out": left_out}


def start(bench):
    """From the program's start to /ready, with the packed model, and resident memory when idle."""

    def once():
        with servers.Ours(bench.binary, bench.server_core) as server:
            return {"ready_ms": server.ready_ms, "resident_mb": server.resident_mb()}

    (found,) = bench.turns(once)
    return {name: bench.median(found, name) for name in ("ready_ms", "resident_mb")}


def filled_storage(bench, folder, settings):
    """What filling it found. Written by the library with a server's key, once for all runs."""
    note = bench.work / f"{folder.name}.json"
    if note.exists():
        return json.loads(note.read_text())
    subprocess.run(["rm", "-rf", folder], check=True)
    with servers.Ours(bench.binary, bench.server_core, storage=folder, **settings):
        pass
    key = folder / "instance.key"
    filled = bench.run(bench.build / "cache_bench", bench.model, "fill", bench.rows, folder, key)
    note.write_text(json.dumps(filled))
    return filled


def warm(bench):
    """Start over stored entries on all cores."""
    folder = bench.work / f"warm_{bench.rows}"
    large = {"cache.size_mb": 16384, "storage.size_mb": 65536, "resources.max_memory_mb": 16384}
    out = {"entries": bench.rows, "filled": filled_storage(bench, folder, large)}
    cores = f"{bench.server_core},{bench.load_core}"
    with servers.Ours(bench.binary, cores, storage=folder, **large) as server:
        # The library's tenant is its own: entries are counted, not asked for.
        lines = servers.call(server.port, "/metrics?format=prometheus")[2].splitlines()
        served = sum(float(line.split()[-1]) for line in lines if line.startswith("cache_entries "))
        if served != bench.rows:
            raise RuntimeError(f"{served} entries came back, not {bench.rows}")
        out.update(ready_s=server.ready_ms / 1e3, resident_mb=server.resident_mb())
    return out

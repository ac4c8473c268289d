"""Parts of bench/suite.py over HTTP: exact and semantic hits, and what a miss costs."""

import re

import checks
import questions
import servers

MISSES_A_ROUND = 300


def wrk(bench, port, body):
    script = questions.write_lines(
        bench.work / "post.lua",
        [
            'wrk.method = "POST"',
            'wrk.headers["Content-Type"] = "application/json"',
            'wrk.headers["Authorization"] = "Bearer sk-bench"',
            f"wrk.body = [==[{body}]==]",
            'done = function(summary, latency) io.write(string.format(',
            '  \'{"requests": %d, "per_second": %f, "p50_ms": %f, "p99_ms": %f, "failed": %d}\\n\',',
            '  summary.requests, summary.requests * 1e6 / summary.duration,',
            '  latency:percentile(50) / 1000, latency:percentile(99) / 1000,',
            '  summary.errors.connect + summary.errors.status + summary.errors.read +',
            '  summary.errors.write + summary.errors.timeout)) end',
        ],
    )
    duration = f"-d{max(2, int(bench.seconds))}s"
    found = bench.run("wrk", "-t1", "-c16", duration, "-s", script, f"http://127.0.0.1:{port}{servers.CHAT}")
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"exact hits: {found}")
    return found


def exact_hits(port):
    """As the server counts them."""
    text = servers.call(port, "/metrics")[2]
    return float(re.search(r'^cache_hits_total\{layer="exact"\} (\S+)$', text, re.M).group(1))


def only_hits(before, after, found, is_counting_hits):
    """Raises RuntimeError unless every answer came from the cache: of one side its hits are known, of the
    other what it passed on."""
    counted, answers = after - before, sum(one["requests"] for one in found)
    if counted < answers if is_counting_hits else counted:
        raise RuntimeError(
            f"{answers} answers, but {counted:.0f} {'hits' if is_counting_hits else 'passed on'}"
        )


def exact(bench):
    """The same POST again and again: our exact layer, nginx proxy_cache, one thread each, 16 connections."""
    body = questions.chat("What is the capital of France? " * 7)
    with servers.Nginx(bench.load_core, cached=False) as model, servers.Ours(
        bench.binary, bench.server_core, upstream=model.port
    ) as server, servers.Nginx(bench.server_core, cached=True) as nginx, servers.Nginx(
        bench.server_core, cached=True, open_files=True
    ) as open_nginx:
        bodies = questions.write_lines(bench.work / "one", [body])
        caller = ("--header", "Authorization: Bearer sk-bench")  # as wrk: nothing is shared with another
        for port in (server.port, nginx.port, open_nginx.port):  # learned, then given time to be a hit
            bench.load(port, servers.CHAT, bodies, "--requests", 20, *caller)
        hits, passed = exact_hits(server.port), nginx.asked_upstream() + open_nginx.asked_upstream()
        ours, theirs, open_files = bench.turns(
            lambda: wrk(bench, server.port, body),
            lambda: wrk(bench, nginx.port, body),
            lambda: wrk(bench, open_nginx.port, body),
        )
        only_hits(hits, exact_hits(server.port), ours, True)
        now_passed = nginx.asked_upstream() + open_nginx.asked_upstream()
        only_hits(passed, now_passed, theirs + open_files, False)
        (one,) = bench.turns(lambda: bench.load(server.port, servers.CHAT, bodies, "--seconds", 1, *caller))
    out = {}
    for name, found in (("ours", ours), ("nginx", theirs), ("nginx_open_files", open_files)):
        for figure in ("per_second", "p50_ms", "p99_ms"):
            out[f"{name}_{figure}"] = bench.median(found, figure)
        out[f"{name}_samples_a_round"] = min(value["requests"] for value in found)
    out["one_client_p50_ms"] = bench.median([found["layers"]["exact"] for found in one], "p50_ms")
    return out


def times(port):
    """(sum in ms, count) of the stage histograms and of the pair encoder's, by name."""
    _, _, text = servers.call(port, "/metrics")
    sums = dict(re.findall(r'^((?:stage|pair_encoder)_time_(?:sum|count)\S*) (\S+)$', text, re.M))
    return {
        name.replace("_sum", ""): (float(value), float(sums[name.replace("_sum", "_count")]))
        for name, value in sums.items()
        if "_sum" in name
    }


def semantic_policy(bench, pairs, decision, more=None):
    """10,000 entries, each asked in other words by one client; the middle of the rounds."""
    asks = [questions.chat(asked).replace("gpt-4o-mini", "default") for _, asked in pairs]
    with servers.Ours(
        bench.binary, bench.server_core, **{"cache.decision": decision, "cache.size_mb": 1024, **(more or {})}
    ) as server:
        bench.store(server.port, pairs)
        before = times(server.port)
        bodies, rounds = questions.write_lines(bench.work / "asks", asks), []
        each = min(1500, len(asks) // bench.rounds)  # each question once: again it would be an exact hit
        for turn in range(bench.rounds):
            rounds.append(
                bench.load(
                    server.port,
                    servers.CHAT,
                    bodies,
                    "--requests",
                    each,
                    "--start",
                    turn * each,
                    "--header",
                    "Cache-Control: only-if-cached",
                )
            )
        after = times(server.port)
    hits = [found["layers"].get("semantic", {"count": 0}) for found in rounds]
    if any(found["failed"] for found in rounds):
        raise RuntimeError(f"semantic hits, {decision}: {rounds}")
    counts = {"hits": sum(found["count"] for found in hits), "asked": sum(f["requests"] for f in rounds)}
    share = checks.enough_hits(counts["hits"], counts["asked"], f"semantic hits, {decision}")
    out = {name: bench.median(hits, name) for name in ("mean_ms", "p50_ms", "p95_ms", "p99_ms")}
    out.update(counts, hit_share=share, samples_a_round=min(found["count"] for found in hits))
    out["stages_mean_ms"] = {}
    for name, (total, count) in after.items():
        gone = before.get(name, (0, 0))
        if count > gone[1]:
            out["stages_mean_ms"][name] = (total - gone[0]) / (count - gone[1])
    asked = after["pair_encoder_time"][1] - before["pair_encoder_time"][1]
    out["pair_encoder_share"] = asked / out["asked"]
    return out


def semantic(bench):
    pairs = questions.pairs(10_000)
    texts = questions.write_lines(bench.work / "asked", [asked for _, asked in pairs[:2000]])
    (embedded,) = bench.turns(
        lambda: bench.run(
            bench.build / "embed_turn", bench.model, texts, bench.seconds, 1, core=bench.server_core
        )
    )
    return {
        "entries": len(pairs),
        "embed_p50_ms": bench.median(embedded, "p50_ms"),
        "adaptive": semantic_policy(bench, pairs, "adaptive"),
        "verified": semantic_policy(bench, pairs, "verified"),
    }


def miss(bench):
    """New questions through us, through LiteLLM's proxy, and straight to the same stand-in for the model."""
    bodies = questions.write_lines(
        bench.work / "new", [questions.chat(questions.new_question(i)) for i in range(40_000)]
    )
    texts = questions.write_lines(bench.work / "newtexts", [questions.new_question(i) for i in range(1000)])
    sent = [0]

    def ask(port, count):
        sent[0] += count
        found = bench.load(
            port,
            servers.CHAT,
            bodies,
            "--requests",
            count,
            "--start",
            sent[0],
            "--header",
            "Authorization: Bearer sk-bench",
        )
        if list(found["statuses"]) != ["200"] or list(found["layers"]) != ["none"]:
            raise RuntimeError(f"not all misses: {found}")
        return found["layers"]["none"]

    with servers.Nginx(bench.load_core, cached=False) as model, servers.Ours(
        bench.binary, bench.server_core, upstream=model.port
    ) as server, servers.LiteLlm(bench.litellm, bench.server_core, model.port) as litellm:
        ask(server.port, 200)
        ask(litellm.port, 100)
        direct, ours, theirs, embedded = bench.turns(
            lambda: ask(model.port, MISSES_A_ROUND),
            lambda: ask(server.port, MISSES_A_ROUND),
            lambda: ask(litellm.port, MISSES_A_ROUND),
            lambda: bench.run(bench.build / "embed_turn", bench.model, texts, 1, 1, core=bench.server_core),
        )
        resident = {"ours_resident_mb": server.resident_mb(), "litellm_resident_mb": litellm.resident_mb()}
    out = {
        f"{name}_p50_ms": bench.median(found, "p50_ms")
        for name, found in (("direct", direct), ("ours", ours), ("litellm", theirs), ("embed", embedded))
    }
    return {
        **out,
        "ours_added_ms": out["ours_p50_ms"] - out["direct_p50_ms"],
        "litellm_added_ms": out["litellm_p50_ms"] - out["direct_p50_ms"],
        **resident,
    }

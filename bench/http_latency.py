#!/usr/bin/env python3
"""Latency of exact hits, semantic hits and misses over HTTP, and resident memory under load.

usage: http_latency.py BASE_URL SERVER_PID [--queries N] [--requests N]

Stores N questions through /cache/entries, then asks each again word for word (exact) and in other
words (semantic) through /v1/chat/completions and prints p50/p95/p99 in milliseconds. With --requests
it then sends that many exact hits on 16 connections and prints resident memory before and after.
One client, one kept-alive connection, nothing outside the standard library. Pin it to another core
than the server (taskset) or the two share one.
"""
import argparse
import http.client
import json
import threading
import time
import urllib.parse

SUBJECTS = [
    "password", "invoice", "router", "passport", "mortgage", "bicycle", "keyboard", "garden",
    "violin", "printer", "kitchen", "contract", "library card", "tax return", "wedding", "server",
    "camera", "boat", "dentist appointment", "subscription",
]
TASKS = [
    "renew", "repair", "cancel", "choose", "insure", "clean", "paint", "sell", "store", "replace",
    "measure", "ship", "label", "photograph", "inspect", "borrow", "donate", "weigh", "wrap",
    "register", "lock", "move", "rent", "upgrade", "describe", "value", "protect", "order",
    "return", "test", "open", "close", "carry", "compare", "document", "decorate", "lend", "hide",
    "find", "share", "schedule", "archive", "track", "scan", "sign", "split", "stack", "tune",
    "verify", "water",
]


def connection(url):
    made = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    made.connect()
    return made


def post(conn, path, body):
    began = time.perf_counter()
    conn.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = conn.getresponse()
    text = answer.read()
    return answer, text, (time.perf_counter() - began) * 1e3


def chat(text):
    return {"model": "default", "messages": [{"role": "user", "content": text}]}


def percentiles(times):
    times = sorted(times)
    pick = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    return {"count": len(times), "mean": round(sum(times) / len(times), 3), "p50": round(pick(0.5), 3),
            "p95": round(pick(0.95), 3), "p99": round(pick(0.99), 3)}


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0.0


def hammer(url, text, count):
    conn = connection(url)
    for _ in range(count):
        post(conn, "/v1/chat/completions", chat(text))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("server_pid", type=int)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=0)
    wanted = parser.parse_args()
    url = urllib.parse.urlparse(wanted.base_url)
    conn = connection(url)
    pairs = [(task, subject) for task in TASKS for subject in SUBJECTS][:wanted.queries]
    for task, subject in pairs:
        entry = {"query": f"How do I {task} a {subject}?", "response": f"{task} {subject}"}
        answer, text, _ = post(conn, "/cache/entries", entry)
        if answer.status != 201:
            raise SystemExit(f"storing failed: {answer.status} {text[:200]!r}")
    out = {"entries": len(pairs)}
    for name, words in (("exact", "How do I {} a {}?"), ("semantic", "How can I {} a {}?")):
        hits, others, wrong = [], 0, 0
        for task, subject in pairs:
            question = words.format(task, subject)
            answer, text, took = post(conn, "/v1/chat/completions", chat(question))
            if answer.getheader("X-Cache-Layer") == name:
                hits.append(took)
                wrong += json.loads(text)["choices"][0]["message"]["content"] != f"{task} {subject}"
            else:
                others += 1
        out[name] = percentiles(hits) if hits else {}
        out[name].update(not_hit=others, wrong=wrong)
    if wanted.requests:
        task, subject = pairs[0]
        before = resident_mb(wanted.server_pid)
        began = time.perf_counter()
        question, share = f"How do I {task} a {subject}?", wanted.requests // 16
        threads = [threading.Thread(target=hammer, args=(url, question, share)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = resident_mb(wanted.server_pid)
        out["load"] = {"requests": wanted.requests, "seconds": round(time.perf_counter() - began, 1),
                       "resident_mb_before": round(before, 1), "resident_mb_after": round(after, 1)}
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()

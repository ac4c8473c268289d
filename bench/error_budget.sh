#!/usr/bin/env bash
# The experiments of docs/quality.md, "The error budget" and "Ten users": results as JSON in bench/results.
#   bench/error_budget.sh DATA_DIR [SEEDS]
# DATA_DIR holds facts_stream.dev.jsonl.gz and intents_stream.dev.jsonl.gz (docs/quality.md, Files: a stream).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
data=${1:?usage: bench/error_budget.sh DATA_DIR [SEEDS]}
seeds=${2:-20}
build=build/release
cmake --build "$build" --target error_budget_bench federated_simulation
mkdir -p bench/results
for stream in facts intents; do
  LOG_LEVEL=WARNING "$build/error_budget_bench" models/all-MiniLM-L6-v2 verifier/default \
    "$data/${stream}_stream.dev.jsonl.gz" "bench/results/error_budget_$stream.json" "$seeds" 0.05
done
"$build/federated_simulation" bench/results/federated_simulation.json

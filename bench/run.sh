#!/usr/bin/env bash
# Every comparison of docs/performance.md in one go: installs the peers from their packages into
# build/bench, builds, measures in turns, writes bench/results/performance.json and the report with its plots.
#   bench/run.sh [options of bench/suite.py]     e.g. --part embed --part exact_http --rounds 3
#   bench/run.sh --all                           with gptcache_sbert (torch) and soak
# The parts, and how long each takes on 2 cores: bench/README.md. Keep the machine quiet meanwhile.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

./scripts/bootstrap.sh --test
./scripts/fetch_model.sh
cmake --preset release >/dev/null
cmake --build build/release -j "$(nproc)" --target enhanced-gptcache bench_programs

peers=build/bench
environment() { # NAME: the packages of requirements-NAME.txt in an environment of their own
  local list=bench/requirements-$1.txt folder=$peers/$1 want
  want=$(sha256sum "$list" | cut -d' ' -f1)
  [ -f "$folder/list.sha256" ] && [ "$(cat "$folder/list.sha256")" = "$want" ] && return 0
  /usr/bin/python3 -m venv --clear "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$list"
  echo "$want" >"$folder/list.sha256"
}
mkdir -p "$peers"
environment peers
environment litellm
# torch: gigabytes
case " $* " in *" gptcache_sbert "* | *"=gptcache_sbert "* | *" --all "*) environment sbert ;; esac
[ -f "$peers/onnx/int8.onnx" ] ||
  "$peers/peers/bin/python" bench/peers/onnx_graph.py models/all-MiniLM-L6-v2 "$peers/onnx"

"$peers/peers/bin/python" bench/suite.py --build build/release --peers "$peers" "$@" && status=0 || status=$?
[ "$status" -le 1 ] || exit "$status" # not started; 1: parts failed, what was measured is reported
"$peers/peers/bin/python" bench/report.py bench/results/performance.json docs/performance.md
exit "$status"

#!/usr/bin/env bash
# From a fresh clone to a running server: installs packages, builds, fetches and verifies the model,
# then serves on port 8080. The second time only what changed is done.
#   ./scripts/run.sh [--no-serve] [options of `enhanced-gptcache serve`]
# No provider key is needed to start: the native API works, and /v1 says what to configure.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

serve=true
args=()
for arg in "$@"; do
  case "$arg" in
    --no-serve) serve=false ;;
    *) args+=("$arg") ;;
  esac
done

./scripts/bootstrap.sh --runtime
# A build folder that scripts/test.sh has made keeps its unit tests; a new one does without them.
configure=(cmake --preset release)
[ -f build/release/CMakeCache.txt ] || configure+=(-DEGPTC_TESTS=OFF)
"${configure[@]}" >/dev/null
cmake --build build/release --target enhanced-gptcache -j "$(nproc)"
./scripts/fetch_model.sh

if $serve; then
  exec build/release/enhanced-gptcache serve ${args[@]+"${args[@]}"}
fi
echo "built: build/release/enhanced-gptcache"

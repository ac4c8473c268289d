#!/usr/bin/env bash
# Shows what the cache does, without a provider key: starts a small stand-in provider and the server on
# free ports, asks real questions, and prints what came back, from where, and how long it took.
#   ./scripts/demo.sh            builds first if need be; everything it starts ends with it
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
binary=${EGPTC_BINARY:-build/release/enhanced-gptcache}
if [ ! -x "$binary" ] || [ ! -f models/all-MiniLM-L6-v2/model.safetensors ]; then
  ./scripts/run.sh --no-serve
fi
exec /usr/bin/env python3 tools/demo.py "$binary"

#!/usr/bin/env bash
# Checks a running deployment: `enhanced-gptcache validate-deployment` with the binary that is found first.
#   scripts/deployment_validation.sh --env production [--json] [--server URL] [...]
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
for binary in "${GPTCACHE_BINARY:-}" "$here/../build/release/enhanced-gptcache" \
  "$here/../../../bin/enhanced-gptcache" /opt/enhanced-gptcache/current/bin/enhanced-gptcache \
  "$(command -v enhanced-gptcache || true)"; do
  if [ -n "$binary" ] && [ -x "$binary" ]; then
    exec "$binary" validate-deployment "$@"
  fi
done
echo 'deployment_validation.sh: no enhanced-gptcache found; name one in GPTCACHE_BINARY' >&2
exit 2

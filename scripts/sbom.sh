#!/usr/bin/env bash
# The software bill of materials of the built binary (CycloneDX JSON), and a check against known defects.
#   ./scripts/sbom.sh              writes build/release/sbom.cdx.json
#   ./scripts/sbom.sh --check      asks the npm registry, the Python index and Debian's archive; says what it
#                                  could not ask; fails when something is known
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

binary=${EGPTC_BINARY:-build/release/enhanced-gptcache}
case "${1:-}" in
  "") exec python3 tools/sbom.py "$binary" --output "${EGPTC_SBOM:-build/release/sbom.cdx.json}" ;;
  --check) exec python3 tools/sbom.py "$binary" --check ;;
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0" ;;
  *)
    echo "sbom.sh: unknown option $1 (known: --check)" >&2
    exit 2
    ;;
esac

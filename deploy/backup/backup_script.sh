#!/usr/bin/env bash
# Nightly backup (guide 5.2): settings, models, entries, the last 7 days of logs, backup_metadata.yaml with
# checksums; verified after writing; older than KEEP_DAYS removed. The server keeps serving meanwhile.
# Usage: backup_script.sh [options of enhanced-gptcache backup]
# Variables: ROOT, BACKUP_DIR, KEEP_DAYS, CONFIG, BINARY; BACKUP_KEY_FILE encrypts it.
set -euo pipefail

case "${1:-}" in
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac

ROOT="${ROOT:-/opt/enhanced-gptcache}"
BACKUP_DIR="${BACKUP_DIR:-/opt/backups/enhanced-gptcache}"
KEEP_DAYS="${KEEP_DAYS:-30}"
CONFIG="${CONFIG:-$ROOT/config.prod.yaml}"
BINARY="${BINARY:-$ROOT/current/enhanced-gptcache}"
if [ ! -x "$BINARY" ] && ! BINARY=$(command -v enhanced-gptcache); then
  echo "there is no enhanced-gptcache in $ROOT/current nor on PATH: name one in BINARY" >&2
  exit 1
fi

keys=()
[ -z "${BACKUP_KEY_FILE:-}" ] || keys=(--backup-key-file "$BACKUP_KEY_FILE")

echo "Starting Enhanced GPTCache backup at $(date)"
cd "$ROOT"
# A relative storage.path or model folder in the settings counts from here, as it does for the service.
"$BINARY" backup --config "$CONFIG" --output "$BACKUP_DIR" --keep-days "$KEEP_DAYS" \
  ${keys[@]+"${keys[@]}"} "$@"
echo "Backup completed successfully"

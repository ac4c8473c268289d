#!/usr/bin/env bash
# Restore (guide 5.2): verifies the backup, stops the service, puts settings, models, data and logs in
# place (what was there is kept in before_restore_<timestamp>; releases are not touched), starts it and
# asks /health.
# Usage: restore_script.sh BACKUP_FILE.tar.gz[.enc] [options of enhanced-gptcache restore]
# Variables: ROOT, OWNER, HEALTH_URL, HEALTH_SECONDS, BINARY; START_COMMAND, STOP_COMMAND for systemctl;
# for an encrypted backup BACKUP_KEY_FILE, else the settings in CONFIG name its key.
set -euo pipefail

case "${1:-}" in
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
if [ $# -lt 1 ]; then
  echo "Usage: $0 <backup_file.tar.gz[.enc]> [options of enhanced-gptcache restore]" >&2
  exit 1
fi
BACKUP_FILE="$(realpath "$1")"
shift
ROOT="${ROOT:-/opt/enhanced-gptcache}"
OWNER="${OWNER-gptcache:gptcache}"
HEALTH_URL="${HEALTH_URL:-http://localhost:8080/health}"
HEALTH_SECONDS="${HEALTH_SECONDS:-60}"
STOP_COMMAND="${STOP_COMMAND:-systemctl stop enhanced-gptcache}"
START_COMMAND="${START_COMMAND:-systemctl start enhanced-gptcache}"
BINARY="${BINARY:-$ROOT/current/enhanced-gptcache}"
if [ ! -x "$BINARY" ] && ! BINARY=$(command -v enhanced-gptcache); then
  echo "there is no enhanced-gptcache in $ROOT/current nor on PATH: name one in BINARY" >&2
  exit 1
fi
CONFIG="${CONFIG:-$ROOT/config.prod.yaml}"
keys=()
if [ -n "${BACKUP_KEY_FILE:-}" ]; then
  keys=(--backup-key-file "$BACKUP_KEY_FILE")
elif [[ "$BACKUP_FILE" == *.enc ]] && [ -f "$CONFIG" ]; then
  keys=(--config "$CONFIG")
fi

echo "Starting Enhanced GPTCache recovery from $BACKUP_FILE"
"$BINARY" backup ${keys[@]+"${keys[@]}"} --verify "$BACKUP_FILE"
$STOP_COMMAND
restored=0
"$BINARY" restore "$BACKUP_FILE" --root "$ROOT" ${keys[@]+"${keys[@]}"} "$@" || restored=$?
if [ "$restored" -ne 0 ]; then
  echo "Nothing was replaced; starting the service as it was" >&2
  $START_COMMAND
  exit "$restored"
fi
if [ "$(id -u)" -eq 0 ] && [ -n "$OWNER" ]; then
  for path in "$ROOT"/config*.yaml "$ROOT/configs" "$ROOT/models" "$ROOT/data" "$ROOT/logs"; do
    if [ -e "$path" ]; then chown -R "$OWNER" "$path"; fi
  done
fi
$START_COMMAND
for ((second = 0; second < HEALTH_SECONDS; second++)); do
  if curl -fs "$HEALTH_URL" >/dev/null; then
    echo "Recovery completed successfully"
    exit 0
  fi
  sleep 1
done
echo "Health check failed after recovery: $HEALTH_URL" >&2
exit 1

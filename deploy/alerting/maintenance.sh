#!/usr/bin/env bash
# Scheduled maintenance as a silence: Alertmanager notifies nobody about Enhanced GPTCache meanwhile, and
# forgets the silence by itself when the time is over.
#   maintenance.sh start [--minutes N] [--from RFC3339] [--instance HOST:PORT] COMMENT
#   maintenance.sh list
#   maintenance.sh end ID
# Needs amtool. ALERTMANAGER_URL names the Alertmanager, http://localhost:9093 when unset.
set -euo pipefail

url=${ALERTMANAGER_URL:-http://localhost:9093}
fail() { printf 'maintenance.sh: %s\n' "$*" >&2; exit 2; }
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }
command -v amtool >/dev/null || fail 'amtool is missing (Debian: prometheus-alertmanager)'

start() {
  local minutes=60 from='' instance=''
  while [ $# -gt 0 ]; do
    case "$1" in
      --minutes) minutes=${2-}; shift 2 || fail '--minutes needs a number' ;;
      --from) from=${2-}; shift 2 || fail '--from needs a time such as 2026-01-31T22:00:00Z' ;;
      --instance) instance=${2-}; shift 2 || fail '--instance needs HOST:PORT' ;;
      --) shift; break ;;
      -*) fail "unknown option $1" ;;
      *) break ;;
    esac
  done
  [[ $minutes =~ ^[0-9]{1,5}$ ]] && [ "$minutes" -ge 1 ] && [ "$minutes" -le 10080 ] ||
    fail "--minutes: \"$minutes\" is no number from 1 to 10080 (a week)"
  [ $# -eq 1 ] && [ -n "$1" ] || fail 'say in one comment what is done, it is shown beside the silence'
  local begin end
  begin=$(date -u -d "${from:-now}" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null) || fail "--from: \"$from\" is no time"
  end=$(date -u -d "$begin + $minutes minutes" +%Y-%m-%dT%H:%M:%SZ)
  local matchers=('job="enhanced-gptcache"')
  [ -z "$instance" ] || matchers+=("instance=\"$instance\"")
  amtool --alertmanager.url="$url" silence add --author="${SUDO_USER:-$(id -un)}" --comment="$1" \
    ${from:+--start="$begin"} --end="$end" "${matchers[@]}"
}

case "${1-}" in
  start) shift; start "$@" ;;
  list) amtool --alertmanager.url="$url" silence query 'job="enhanced-gptcache"' ;;
  end)
    [ $# -eq 2 ] || fail 'end needs the id that start printed'
    amtool --alertmanager.url="$url" silence expire "$2"
    ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac

#!/usr/bin/env bash
# After a rollback: is it healthy, quick, does it cache, are its settings valid, is it the right version?
#   validate_rollback.sh
# Works with any version, so it asks over HTTP and not with a subcommand. Variables: common.sh.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=deploy/rollback/common.sh
. "$here/common.sh"
[ $# -eq 0 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0"; case "$1" in -h | --help) exit 0 ;; *) exit 2 ;; esac; }

bad=0
passed() { printf 'OK       %s\n' "$*"; }
failed() { printf 'CRITICAL %s\n' "$*"; bad=1; }

if ! health=$(curl -fsS --max-time 10 "$url/health" 2>&1); then
  failed "health: $url/health: $health"
  exit 1
fi
passed "health: $(sed -n 's/.*"overall_status": *"\([a-z]*\)".*/\1/p' <<<"$health" | head -n 1)"

running=$(sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' <<<"$health" | head -n 1)
installed=$("$root/current/bin/enhanced-gptcache" version | sed 's/^enhanced-gptcache //')
if [ "$running" = "$installed" ]; then
  passed "version: $running runs, as releases/$(release_of current) says"
else
  failed "version: $running runs, but releases/$(release_of current) is $installed"
fi

total=0
for _ in 1 2 3 4 5 6 7 8 9 10; do
  took=$(curl -fsS --max-time 10 -o /dev/null -w '%{time_total}' "$url/health") || took=10
  total=$(awk "BEGIN {print $total + $took * 1000}")
done
average=$(awk "BEGIN {printf \"%.2f\", $total / 10}")
if awk "BEGIN {exit !($average <= 100)}"; then
  passed "response time: $average ms on average"
else
  failed "response time: $average ms on average, more than 100"
fi

question="Does the rollback of $(date +%s%N) work?"
asked="{\"query\": \"$question\", \"namespace\": \"validate-rollback\"}"
entry="${asked%\}}, \"response\": \"It does.\", \"ttl_seconds\": 60}"
if stored=$(call POST /cache/entries "$entry" 2>&1) && found=$(call POST /cache/lookup "$asked" 2>&1) &&
  grep -q 'It does\.' <<<"$found"; then
  passed 'cache: an entry was stored and found'
  id=$(sed -n 's/.*"ids": *\["\([^"]*\)".*/\1/p' <<<"$stored")
  [ -z "$id" ] || call DELETE "/cache/entries/$id" >/dev/null || failed "cache: $id could not be deleted"
else
  failed "cache: ${stored:-} ${found:-}"
fi

if problems=$(as_service "$root/current/bin/enhanced-gptcache" validate-config "$config" 2>&1); then
  passed "settings: $config is valid"
else
  failed "settings: $problems"
fi
exit $bad

#!/usr/bin/env bash
# The rounds of docs/maintenance.md that a machine can do: it looks, reports, and changes nothing.
#   maintenance.sh daily|weekly|monthly|quarterly
#
#   GPTCACHE_URL           where the server answers, http://localhost:8080
#   GPTCACHE_BINARY        enhanced-gptcache, else the one on PATH
#   GPTCACHE_LOG_DIR       folder of application.log; empty: the log is not looked at
#   GPTCACHE_BACKUPS       folder of the backups, /opt/backups/enhanced-gptcache
#   GPTCACHE_BACKUP_KEY_FILE  keys of encrypted backups; else those of the settings
#   GPTCACHE_KEY_VARIABLE  name of a variable with a key, where the server asks for one
# Prints one line per finding. Exit codes: 0 nothing to do, 1 something to do, 2 usage.
set -uo pipefail

round=${1-}
case "$round" in
  daily | weekly | monthly | quarterly) ;;
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
url=${GPTCACHE_URL:-http://localhost:8080}
binary=${GPTCACHE_BINARY:-enhanced-gptcache}
log=${GPTCACHE_LOG_DIR:+$GPTCACHE_LOG_DIR/application.log}
backups=${GPTCACHE_BACKUPS:-/opt/backups/enhanced-gptcache}
todo=0
fine() { printf 'ok    %-12s %s\n' "$1" "$2"; }
act() { printf 'LOOK  %-12s %s\n' "$1" "$2"; todo=1; }

key=()
if [ -n "${GPTCACHE_KEY_VARIABLE:-}" ]; then
  key=(-H "Authorization: Bearer ${!GPTCACHE_KEY_VARIABLE-}")
fi
get() { curl -fsS --max-time 20 ${key[@]+"${key[@]}"} "$url$1" 2>&1; }
# Value of one series without labels, or the sum over its labels.
metric() {
  awk -v name="$1" '{ n = $1; sub(/\{.*/, "", n) } n == name { s += $2; seen = 1 }
    END { if (seen) print s + 0 }' <<<"$metrics"
}
labelled() { awk -v name="$1" '$1 == name { print $2 + 0 }' <<<"$metrics"; }
share() { awk -v a="${1:-0}" -v b="${2:-0}" 'BEGIN { if (b > 0) printf "%.1f", 100 * a / b; else print 0 }'; }
above() { awk -v a="${1:-0}" -v b="$2" 'BEGIN { exit !(a > b) }'; }

# --- every day ---------------------------------------------------------------------------------
health_check() {
  local body
  if ! body=$(get /health); then
    act health "$url/health: $body"
  elif grep -q '"overall_status": *"healthy"' <<<"$body"; then
    fine health "healthy"
  else
    act health "$(tr -d '\n' <<<"$body")"
  fi
}
performance() {
  local hits all p95
  hits=$(labelled 'cache_requests_total{outcome="hit"}')
  all=$(metric cache_requests_total)
  fine performance "$(share "$hits" "$all") % of ${all:-0} requests since the start were hits"
  p95=$(get /metrics?format=json | sed -n 's/.*"p95": *\([0-9.]*\).*/\1/p' | head -n 1)
  fine performance "P95 of the last thousand requests, misses included: ${p95:-none} ms"
}
resources() {
  local memory
  memory=$(metric memory_usage_percent)
  if above "$memory" 80; then
    act resources "memory is at $memory %"
  else
    fine resources "memory is at ${memory:-?} %, $(metric process_open_fds) files are open"
  fi
}
errors_in_metrics() {
  local errors rejected
  errors=$(awk '/^errors_total\{/ && $2 > 0 { printf "%s ", $0 }' <<<"$metrics")
  rejected=$(labelled 'config_reload_total{result="rejected"}')
  if [ -n "$errors" ]; then act errors "since the start: $errors"; else fine errors "none since the start"; fi
  ! above "$rejected" 0 || act settings "$rejected settings files were refused since the start: see /health"
}
errors_in_log() {
  [ -n "$log" ] || return 0
  if [ ! -r "$log" ]; then act log "$log cannot be read"; return; fi
  local day errors
  day=$(date -u +%F)
  # Lines of monitoring.log_format text, and json.
  local bad="^${day}[^ ]* error |^\{\"time\":\"${day}[^\"]*\",\"level\":\"error\""
  errors=$(grep -cE "$bad" "$log")
  if [ "$errors" -gt 0 ]; then
    act log "$errors errors today; the last: $(grep -E "$bad" "$log" | tail -n 1)"
  else
    fine log "no error today"
  fi
}
# The newest one; more conditions of find may follow.
find_backup() {
  find "$backups" -maxdepth 1 -regex '.*/backup_[^/]*\.tar\.gz\(\.enc\)?' "$@" 2>/dev/null | sort | tail -n 1
}
# An encrypted one needs its key: with GPTCACHE_BACKUP_KEY_FILE, else by the settings the binary finds.
is_whole() {
  case "$1" in
    *.enc) "$binary" backup ${GPTCACHE_BACKUP_KEY_FILE:+--backup-key-file "$GPTCACHE_BACKUP_KEY_FILE"} \
      --verify "$1" >/dev/null 2>&1 ;;
    *) gzip -t "$1" 2>/dev/null ;;
  esac
}
newest_backup() {
  local newest
  newest=$(find_backup -mmin -1560)
  if [ -z "$newest" ]; then
    act backup "no backup of the last 26 hours in $backups"
  elif is_whole "$newest"; then
    fine backup "$newest is whole"
  else
    act backup "$newest is damaged"
  fi
}

# --- every week ----------------------------------------------------------------------------------
cache_review() {
  local evicted stored
  evicted=$(labelled 'cache_evictions_total{cause="size"}')
  stored=$(metric cache_stores_total)
  if above "$(share "$evicted" "$stored")" 50; then
    act cache "every second entry stored pushed another one out: raise cache.size_mb"
  else
    fine cache "$(metric cache_entries) entries, $(metric cache_bytes) bytes, $evicted evicted for space"
  fi
}
threshold_review() {
  local wrong right lost
  wrong=$(labelled 'cache_feedback_total{verdict="false_hit"}')
  right=$(labelled 'cache_feedback_total{verdict="confirmed"}')
  lost=$(labelled 'cache_feedback_total{verdict="lost_hit"}')
  local judged=$((${wrong%.*} + ${right%.*}))
  local target
  target=$(metric cache_target_error_rate)
  if [ "$judged" -ge 20 ] && above "$(share "$wrong" "$judged")" "$(share "$target" 1)"; then
    act thresholds "$wrong of $judged judged hits were wrong: lower cache.target_error_rate"
  else
    fine thresholds "$wrong of $judged judged hits were wrong, $lost hits were missed"
  fi
  awk '/^cache_decisions_total/ { print "      why misses: " $0 }' <<<"$metrics"
}
refusals() {
  local refused bad
  refused=$(awk '/^requests_total\{.*status="40[13]"/ { s += $2 } END { print s + 0 }' <<<"$metrics")
  bad=$(metric http_bad_requests_total)
  fine security "$refused calls without the right to, $bad that were no proper HTTP, since the start"
}
capacity() {
  local line
  line=$(df -P "${GPTCACHE_DATA:-.}" | awk 'NR == 2 { print $5 + 0, $4 }')
  if above "${line%% *}" 80; then
    act capacity "the disk is ${line%% *} % full"
  else
    fine capacity "the disk is ${line%% *} % full, ${line##* } KB are free"
  fi
}

# --- every month and quarter -----------------------------------------------------------------------
self_test() {
  local output
  if output=$("$binary" doctor 2>&1); then fine doctor "all checks passed"; else act doctor "$output"; fi
}
validation() {
  local output arguments=(validate-deployment --env "${ENV:-production}" --backups "$backups" --server "$url")
  [ -z "${GPTCACHE_KEY_VARIABLE:-}" ] || arguments+=(--api-key-env "$GPTCACHE_KEY_VARIABLE")
  if output=$("$binary" "${arguments[@]}" 2>&1); then
    fine deployment "$(grep -c '^ok' <<<"$output") checks passed, $(grep -c '^warning' <<<"$output") warnings"
  else
    act deployment "$(grep '^FAILED' <<<"$output" || echo "$output")"
  fi
}
restore_drill() {
  local newest
  newest=$(find_backup)
  if [ -z "$newest" ]; then
    act drill "there is no backup to practise with"
  elif [[ "$newest" == *.enc ]] && is_whole "$newest" || tar -tzf "$newest" >/dev/null 2>&1; then
    fine drill "$newest can be read; restore it on another machine (docs/maintenance.md)"
  else
    act drill "$newest cannot be unpacked"
  fi
}
updates() {
  command -v apt-get >/dev/null || return 0
  local count
  count=$(apt-get -s -o Debug::NoLocking=true upgrade 2>/dev/null | grep -c '^Inst .*[Ss]ecurity')
  if [ "$count" -gt 0 ]; then
    act updates "$count security updates wait"
  else
    fine updates "no security update waits"
  fi
}
speed() {
  local output
  output=$("$binary" doctor 2>&1 | awk '$2 == "cache" || $2 == "model"')
  fine speed "compare with the last quarter: $(tr -s ' \n' '  ' <<<"$output")"
}

if ! metrics=$(get '/metrics?format=prometheus'); then
  act metrics "$metrics"
  metrics=''
fi
# Each round does what the shorter ones do.
health_check
if [ -n "$metrics" ]; then
  performance
  resources
  errors_in_metrics
fi
errors_in_log
newest_backup
if [ "$round" != daily ]; then
  if [ -n "$metrics" ]; then
    cache_review
    threshold_review
    refusals
  fi
  capacity
fi
case "$round" in
  monthly | quarterly)
    self_test
    validation
    restore_drill
    ;;
esac
if [ "$round" = quarterly ]; then
  updates
  speed
fi
exit $todo

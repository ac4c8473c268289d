#!/usr/bin/env bash
# The rounds of docs/maintenance.md that a machine can do: it looks and reports. All it removes are copies
# of the data that deployments and rollbacks have left, when they are old.
#   maintenance.sh daily|weekly|monthly|quarterly
#
#   GPTCACHE_URL           where the server answers, http://localhost:8080
#   GPTCACHE_BINARY        enhanced-gptcache, else the one on PATH
#   GPTCACHE_LOG_DIR       folder of application.log; empty: the log is not looked at
#   GPTCACHE_BACKUPS       folder of the backups, /opt/backups/enhanced-gptcache
#   GPTCACHE_BACKUP_KEY_FILE  keys of encrypted backups; else those of the settings
#   GPTCACHE_KEY_VARIABLE  name of a variable with a key, where the server asks for one
#   GPTCACHE_STATE         folder of what the round before has seen, else STATE_DIRECTORY (systemd); without
#                          it errors are those since the start, in the log those of the last 25 hours
#   GPTCACHE_KEEP_COPIES_DAYS  age at which copies of the data are removed, 7
# Prints one line per finding. Exit codes: 0 nothing to do, 1 something to do, 2 usage.
set -uo pipefail

round=${1-}
case "$round" in
  daily | weekly | monthly | quarterly) ;;
  -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
url=${GPTCACHE_URL:-http://localhost:8080}
binary=${GPTCACHE_BINARY:-enhanced-gptcache}
state=${GPTCACHE_STATE:-${STATE_DIRECTORY:-}}
seen=${state:+$state/$round}
keep_copies_days=${GPTCACHE_KEEP_COPIES_DAYS:-7}
if ! [[ $keep_copies_days =~ ^[0-9]{1,4}$ ]]; then
  echo "GPTCACHE_KEEP_COPIES_DAYS: \"$keep_copies_days\" is not 0 to 9999" >&2
  exit 2
fi
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
# What the round before saw: one line a series, and "round" with its time. Counters begin anew with the
# server.
before() { [ -z "$seen" ] || awk -v name="$1" '$1 == name { print $2 }' "$seen" 2>/dev/null; }
series_of_errors() { awk '/^errors_total\{/ || /^config_reload_total\{result="rejected"\}/' <<<"$metrics"; }
errors_in_metrics() {
  local name value last since='since the start' errors='' rejected=0
  [ -z "$(before round)" ] || since="since $(before round)"
  while read -r name value; do
    [ -n "$name" ] || continue
    last=$(before "$name")
    value=$(awk -v a="$value" -v b="${last:-0}" 'BEGIN { print (a >= b) ? a - b : a + 0 }')
    above "$value" 0 || continue
    case "$name" in errors_total*) errors+="$name $value " ;; *) rejected=$value ;; esac
  done < <(series_of_errors)
  if [ -n "$errors" ]; then act errors "$since: $errors"; else fine errors "none $since"; fi
  ! above "$rejected" 0 || act settings "$rejected settings files were refused $since: see /health"
}
remember() {
  [ -n "$seen" ] || return 0
  mkdir -p "$state" 2>/dev/null
  if ! { printf 'round %s\n' "$now" && if [ -n "$metrics" ]; then series_of_errors; else
    grep -v '^round ' "$seen" 2>/dev/null || true; fi; } >"$seen.new" || ! mv -f "$seen.new" "$seen"; then
    act state "$seen cannot be written: errors will be told again"
  fi
}
# Rotated files (application.1.log) as well: midnight and 50 MB come between two rounds.
errors_in_log() {
  [ -n "$log" ] || return 0
  if [ ! -r "$log" ]; then act log "$log cannot be read"; return; fi
  local since found files
  since=$(before round)
  since=${since:-$(date -u -d '25 hours ago' +%FT%T)}
  mapfile -t files < <(
    find "$(dirname "$log")" -maxdepth 1 -name 'application*.log' -newermt "${since}Z" | sort -rV)
  # Lines of monitoring.log_format text, and json; their times are UTC.
  found=$(awk -v since="$since" '
    /^\{"time":"/ {
      if (substr($0, 10, 19) >= since && /^\{"time":"[^"]*","level":"error"/) { n++; line = $0 }
      next
    }
    $2 == "error" && substr($1, 1, 19) >= since { n++; line = $0 }
    END { print n + 0 " " line }' ${files[@]+"${files[@]}"} </dev/null)
  if [ "${found%% *}" -gt 0 ]; then
    act log "${found%% *} errors since $since; the last: ${found#* }"
  else
    fine log "no error since $since"
  fi
}
# Copies of the data (deploy/rollback) hold what was erased after they were made.
old_copies() {
  local data copy
  data=$("$binary" validate-config --print storage.path 2>/dev/null) || return 0
  [ -n "$data" ] || return 0
  while IFS= read -r copy; do
    if rm -rf "$copy"; then
      fine copies "$copy was older than $keep_copies_days days and is removed"
    else
      act copies "$copy is older than $keep_copies_days days and cannot be removed"
    fi
  done < <(find "$(dirname "$data")" -mindepth 1 -maxdepth 1 -type d -mmin "+$((keep_copies_days * 1440))" \
    \( -name "$(basename "$data").before*" -o -name "$(basename "$data").from-*" \) 2>/dev/null)
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

now=$(date -u +%FT%T)
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
old_copies
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
remember
exit $todo

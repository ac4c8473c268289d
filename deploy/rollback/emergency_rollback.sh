#!/usr/bin/env bash
# Goes back to the version that served before, with the settings it had.
#   emergency_rollback.sh [--to RELEASE] [--keep-config]
#
# Data the old version cannot read is set aside (<storage.path>.from-...) and replaced by the copy that
# deploy.sh made before the switch. API keys, changes of /admin/config, the audit log and the keystore with
# its ledger of erasures never go back: what was revoked or erased since stays so. maintenance.sh removes
# old copies.
# Variables: common.sh. Exit codes: 0 serves again, 1 not, 2 usage.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=deploy/rollback/common.sh
. "$here/common.sh"

to='' keep_config=false
while [ $# -gt 0 ]; do
  case "$1" in
    --to) [ $# -ge 2 ] || usage_error '--to needs the name of a release'; to=$2; shift 2 ;;
    --keep-config) keep_config=true; shift ;;
    --automatic) shift ;;  # called by deploy.sh, which holds the lock
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) usage_error "unknown argument $1" ;;
  esac
done
lock

[ -L "$root/current" ] || [ ! -e "$root/current" ] || die "$root/current is no link: nothing was changed"
bad=$(release_of current)
to=${to:-$(release_of previous)}
[ -n "$to" ] || die 'no previous version is available for a rollback'
binary=$root/releases/$to/bin/enhanced-gptcache
[ -x "$binary" ] || die "releases/$to holds no bin/enhanced-gptcache"
[ "$to" != "$bad" ] || die "$to serves already: name another release with --to ($(ls -m "$root/releases"))"
bad_binary=$root/releases/${bad:-$to}/bin/enhanced-gptcache
data=$(storage_of "$config" "$bad_binary" "$binary")
ledger=$(ledger_of "$data" "$config" "$bad_binary" "$binary")

# --- settings: whatever fails here, the old version starts with those there are ---------------------
put_settings_back() {
  local theirs=$root/releases/$to/.config
  [ -f "$theirs" ] || theirs=$config.backup
  [ -f "$theirs" ] || return 0
  if [ "$(storage_of "$theirs" "$binary" "$bad_binary")" != "$data" ]; then
    say "WARNING: $theirs names another storage.path; going on with the present settings" >&2
    return 0
  fi
  # What did not work is kept for inspection.
  [ ! -f "$config" ] || cp -p "$config" "$config.rolled_back" ||
    say 'WARNING: the settings that did not work could not be kept' >&2
  if cp -p "$theirs" "$config.new" && mv -f "$config.new" "$config"; then
    say "settings are those of ${theirs#"$root/"} again"
  else
    rm -f "$config.new"
    say "WARNING: $theirs could not be put back; going on with the present settings" >&2
  fi
}
# A --serve-percent would go on holding hits back.
take_share_back() {
  local admin=$data/admin_config.json
  [ -f "$root/.serve_percent" ] || return 0
  if [ -f "$admin" ]; then
    cp -p "$admin" "$(dirname "$data")/admin_config.json.rolled_back" ||
      say 'WARNING: admin_config.json could not be kept' >&2
    set_admin_value "$admin" cache.serve_percent "$(cat "$root/.serve_percent")" ||
      say 'WARNING: cache.serve_percent stays as it is: change it by /admin/config' >&2
  fi
  rm -f "$root/.serve_percent"
}
# Changes of /admin/config that the old version does not know would keep it from starting.
check_admin_changes() {
  local admin=$data/admin_config.json
  [ -f "$admin" ] && ! as_service "$binary" validate-config "$config" >/dev/null 2>&1 || return 0
  mv -f "$admin" "$admin.tried" || return 0
  if as_service "$binary" validate-config "$config" >/dev/null 2>&1; then
    mv -f "$admin.tried" "$(dirname "$data")/admin_config.json.rolled_back" || return 0
    say "WARNING: $to does not accept the changes of /admin/config; they are kept beside the data" >&2
  else
    mv -f "$admin.tried" "$admin"
  fi
}

# --- data: entries go back, what is known of keys and erasures does not -----------------------------
# Without its last word the ledger is one of erasures under way: the next start takes what it names out of the
# data and writes every file of it anew (docs/formats.md). The chain of its lines stays whole.
open_ledger() { # LEDGER
  [ -s "$1" ] || return 0
  case "$(tail -n 1 "$1" | cut -d' ' -f4)" in
    done | replayed) sed '$d' "$1" | rewrite "$1" ;;
  esac
}
put_data_back() {
  local kept of aside
  of=$(cat "$data.before/.of" 2>/dev/null) || of=$to
  [ "$of" = "$to" ] || die "$to does not become healthy, and the copy of the data is that of $of"
  rm -rf "$data.back"
  cp -a --reflink=auto "$data.before" "$data.back" || return 1
  for kept in keystore instance.key api_keys.json admin.key admin_config.json audit taus.bin \
    error_budgets.bin; do
    rm -rf "${data:?}.back/$kept" || return 1  # of a copy that an earlier deploy.sh made
    [ ! -e "$data/$kept" ] || cp -a "$data/$kept" "$data.back/" || return 1
  done
  rm -rf "$data.back/.of" "$data.back/LOCK" "$data.back/keystore/LOCK" "$data.back/index" || return 1
  if [ "$ledger" = "$data/keystore/erasures.ledger" ]; then
    open_ledger "$data.back/keystore/erasures.ledger" || return 1
  else
    open_ledger "$ledger" || return 1
  fi
  aside=$data.from-${bad:-unknown}-$(date -u +%Y%m%d_%H%M%S)
  mv -T "$data" "$aside" || return 1
  mv -T "$data.back" "$data" || { mv -T "$aside" "$data"; return 1; }
  # A second copy of the keys would outlive their destruction.
  rm -rf "$aside/keystore"
  touch "$aside"
  say "the data of ${bad:-the other version} is kept in $aside"
}

say "rolling back from ${bad:-nothing} to $to"
# Before the stop: a disk that refuses this leaves what serves alone.
point current "$to" || die "the link current could not be changed; nothing was changed"
# However it ends, something is started; nor does a terminal that goes away end it.
stop() {
  trap 'service start || true' EXIT
  service stop
}
start() {
  trap - EXIT
  service start && becomes_healthy
}
trap : HUP INT TERM PIPE
stop || say 'WARNING: the service could not be stopped; going on'
[ -z "$data" ] || [ -e "$data" ] || [ ! -d "$data.back" ] || mv -T "$data.back" "$data"
if [ "$keep_config" = false ]; then
  put_settings_back
  [ -z "$data" ] || take_share_back
fi
[ -z "$data" ] || check_admin_changes

if ! start; then
  [ -n "$data" ] && [ -d "$data.before" ] ||
    die "$to does not become healthy, and there is no copy of its data"
  say "WARNING: $to does not become healthy on the present data; giving it the copy from before" >&2
  stop || true
  put_data_back || die "the copy of the data could not be put in place; the present data is untouched"
  start || die "$to does not become healthy: see its log"
fi
point_previous "$to" || say 'WARNING: the link previous could not be changed' >&2
notify "Enhanced GPTCache: rolled back from ${bad:-nothing} to $to"
say "rollback finished: $to serves"

#!/usr/bin/env bash
# Goes back to the version that served before, with the settings it had.
#   emergency_rollback.sh [--to RELEASE] [--keep-config]
#
# Data the old version cannot read is set aside (data/cache.from-...) and replaced by the copy deploy.sh made
# before the switch; nothing is deleted. Variables: common.sh. Exit codes: 0 serves again, 1 not, 2 usage.
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
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) usage_error "unknown argument $1" ;;
  esac
done
lock

bad=$(release_of current)
to=${to:-$(release_of previous)}
[ -n "$to" ] || die 'no previous version is available for a rollback'
[ -x "$root/releases/$to/bin/enhanced-gptcache" ] || die "releases/$to holds no bin/enhanced-gptcache"
[ "$to" != "$bad" ] || die "$to serves already: name another release with --to ($(ls -m "$root/releases"))"

say "rolling back from ${bad:-nothing} to $to"
service stop || say 'WARNING: the service could not be stopped; going on'
point current "$to"
if [ "$keep_config" = false ] && [ -f "$config.backup" ]; then
  # What did not work is kept for inspection.
  [ ! -f "$config" ] || cp -p "$config" "$config.rolled_back"
  cp -p "$config.backup" "$config.new"
  mv -f "$config.new" "$config"
  # So does what /admin/config has changed since: a --serve-percent would go on holding hits back.
  if [ -d "$root/data/cache.before" ] && [ -f "$root/data/cache/admin_config.json" ]; then
    mv -f "$root/data/cache/admin_config.json" "$root/data/admin_config.json.rolled_back"
    [ ! -f "$root/data/cache.before/admin_config.json" ] ||
      cp -p "$root/data/cache.before/admin_config.json" "$root/data/cache/admin_config.json"
  fi
  say "settings are those of config.prod.yaml.backup again"
fi

if ! { service start && becomes_healthy; }; then
  [ -d "$root/data/cache.before" ] || die "$to does not become healthy, and there is no copy of its data"
  say "WARNING: $to does not become healthy on the present data; giving it the copy from before" >&2
  service stop || true
  aside=$root/data/cache.from-${bad:-unknown}-$(date -u +%Y%m%d_%H%M%S)
  mv -T "$root/data/cache" "$aside"
  cp -a --reflink=auto "$root/data/cache.before" "$root/data/cache"
  say "the data of ${bad:-the other version} is kept in $aside"
  { service start && becomes_healthy; } || die "$to does not become healthy: see its log"
fi
notify "Enhanced GPTCache: rolled back from ${bad:-nothing} to $to"
say "rollback finished: $to serves"

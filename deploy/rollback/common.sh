# shellcheck shell=bash disable=SC2034
# Shared by deploy.sh, emergency_rollback.sh and validate_rollback.sh; sourced, never run.
#
#   GPTCACHE_ROOT      the layout's folder, /opt/enhanced-gptcache
#   GPTCACHE_URL       where the server answers, http://localhost:8080
#   GPTCACHE_SERVICE   command that takes start and stop; default: systemctl (by sudo, unless root)
#   GPTCACHE_WAIT      seconds a version has to become healthy, 60
#   GPTCACHE_KEY_VARIABLE  name of a variable with a key, where the server asks for one
#   GPTCACHE_NOTIFY    command that is told, in one argument, what happened

root=${GPTCACHE_ROOT:-/opt/enhanced-gptcache}
url=${GPTCACHE_URL:-http://localhost:8080}
wait_seconds=${GPTCACHE_WAIT:-60}
config=$root/config.prod.yaml

say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*"; }
die() { say "ERROR: $*" >&2; exit 1; }
usage_error() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 2; }

service() { # start|stop; what it starts must not inherit the lock
  if [ -n "${GPTCACHE_SERVICE:-}" ]; then
    $GPTCACHE_SERVICE "$1" 9>&-
  elif [ "$(id -u)" -eq 0 ]; then
    systemctl "$1" enhanced-gptcache
  else
    sudo systemctl "$1" enhanced-gptcache
  fi
}

notify() {
  [ -z "${GPTCACHE_NOTIFY:-}" ] || $GPTCACHE_NOTIFY "$1" || say "WARNING: the notification failed"
}

# One of them at a time, whoever calls.
lock() {
  exec 9>"$root/.deploy.lock" || die "cannot write in $root"
  [ -n "${GPTCACHE_LOCKED:-}" ] || flock -n 9 || die "another deployment or rollback is at work"
  export GPTCACHE_LOCKED=1
}

# Name of the release a link points to; empty when there is no such link.
release_of() { [ ! -L "$root/$1" ] || basename "$(readlink "$root/$1")"; }

# A link is replaced in one step, so that there is always one.
point() { # LINK RELEASE
  ln -sfn "releases/$2" "$root/.$1.new"
  mv -Tf "$root/.$1.new" "$root/$1"
}

key_header() {
  local name=${GPTCACHE_KEY_VARIABLE:-}
  [ -z "$name" ] || printf 'Authorization: Bearer %s' "${!name-}"
}
call() { # METHOD PATH [BODY]: the answer's body; fails on a status of 400 and more
  curl -fsS --max-time 10 -X "$1" -H "$(key_header)" \
    ${3:+-H 'Content-Type: application/json' -d "$3"} "$url$2"
}

# Ready, and not unhealthy, within the time.
becomes_healthy() {
  local end=$((SECONDS + wait_seconds))
  while [ $SECONDS -lt $end ]; do
    if curl -fsS --max-time 3 -o /dev/null "$url/ready" 2>/dev/null &&
      curl -fsS --max-time 5 -o /dev/null "$url/health" 2>/dev/null; then
      return 0
    fi
    sleep 0.5
  done
  return 1
}

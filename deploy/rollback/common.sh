# shellcheck shell=bash disable=SC2034
# Shared by deploy.sh, emergency_rollback.sh and validate_rollback.sh; sourced, never run.
#
#   GPTCACHE_ROOT      the layout's folder, /opt/enhanced-gptcache
#   GPTCACHE_URL       where the server answers, http://localhost:8080
#   GPTCACHE_SERVICE   command that takes start and stop; default: systemctl (by sudo, unless root)
#   GPTCACHE_WAIT      seconds a version has to become healthy, 60
#   GPTCACHE_KEY_VARIABLE  name of a variable with a key, where the server asks for one
#   GPTCACHE_NOTIFY    command that is told, in one argument, what happened
#   GPTCACHE_ENVIRONMENT  the service's EnvironmentFile, /etc/default/enhanced-gptcache
# A command may be the path of a program, spaces and all, or a program and its arguments.

root=${GPTCACHE_ROOT:-/opt/enhanced-gptcache}
url=${GPTCACHE_URL:-http://localhost:8080}
wait_seconds=${GPTCACHE_WAIT:-60}
config=$root/config.prod.yaml
environment=${GPTCACHE_ENVIRONMENT:-/etc/default/enhanced-gptcache}
# The service's user reads what is made here, whatever the caller keeps to himself.
umask 022

# A terminal that is gone must not end what is half done.
say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*" || true; }
die() { say "ERROR: $*" >&2; exit 1; }
usage_error() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 2; }

by_command() { # COMMAND ARGUMENT
  if [ -x "$1" ]; then
    "$1" "$2" 9>&-
  else
    # shellcheck disable=SC2086
    $1 "$2" 9>&-
  fi
}
service() { # start|stop; what it starts must not inherit the lock
  if [ -n "${GPTCACHE_SERVICE:-}" ]; then
    by_command "$GPTCACHE_SERVICE" "$1"
  elif [ "$(id -u)" -eq 0 ]; then
    systemctl "$1" enhanced-gptcache
  else
    sudo systemctl "$1" enhanced-gptcache
  fi
}

notify() {
  [ -z "${GPTCACHE_NOTIFY:-}" ] || by_command "$GPTCACHE_NOTIFY" "$1" ||
    say 'WARNING: the notification failed'
}

# Runs a program where the service runs and with its variables. The file is read as systemd reads it: nothing
# in it is executed.
as_service() ( # COMMAND...
  cd "$root" || exit 1
  export ENV=${ENV:-production}
  if [ -r "$environment" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
      [[ $line =~ ^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || continue
      value=${BASH_REMATCH[2]%"${BASH_REMATCH[2]##*[![:space:]]}"}
      case "$value" in
        \"*\" | \'*\') value=${value:1:${#value}-2} ;;
      esac
      export "${BASH_REMATCH[1]}=$value"
    done <"$environment"
  fi
  exec "$@"
)

# The storage folder by some settings, without a slash at the end; the layout's own when neither program can
# read them.
storage_of() { # CONFIG BINARY OTHER-BINARY
  local path
  path=$(as_service "$2" validate-config "$1" --print storage.path 2>/dev/null) ||
    path=$(as_service "$3" validate-config "$1" --print storage.path 2>/dev/null) || path=data/cache
  [ -z "$path" ] || (cd "$root" && realpath -m -- "$path")
}
# The ledger of erasures, which may lie apart from the storage folder.
ledger_of() { # STORAGE CONFIG BINARY OTHER-BINARY
  local path
  path=$(as_service "$3" validate-config "$2" --print storage.keystore_path 2>/dev/null) ||
    path=$(as_service "$4" validate-config "$2" --print storage.keystore_path 2>/dev/null) || path=''
  printf '%s/erasures.ledger\n' "$(cd "$root" && realpath -m -- "${path:-$1/keystore}")"
}

# Writes a file anew with its owner and mode, as a whole.
rewrite() { # FILE, the text on standard input
  cp -p "$1" "$1.new" 2>/dev/null || { : >"$1.new" && chmod 600 "$1.new"; } || return 1
  cat >"$1.new" && mv -f "$1.new" "$1" || { rm -f "$1.new"; return 1; }
}
# One value of admin_config.json, which has one line a key.
admin_value() { # FILE KEY
  [ ! -f "$1" ] || sed -n "s/^  \"$2\": \"\(.*\)\",\{0,1\}\$/\1/p" "$1"
}
set_admin_value() { # FILE KEY VALUE; an empty value takes the key away
  local text=''
  if [ -f "$1" ]; then
    if grep -qvE '^[{}]?$|^\{\}$|^  "[a-z0-9_.]+": ".*",?$' "$1"; then return 1; fi
    text=$(grep -E '^  "' "$1" | grep -vF "  \"$2\": " | sed 's/,$//' || true)
  fi
  [ -z "$3" ] || text=${text:+$text$'\n'}"  \"$2\": \"$3\""
  if [ -z "$text" ]; then
    rm -f "$1"
    return
  fi
  printf '{\n%s\n}\n' "$(sed '$!s/$/,/' <<<"$text")" | rewrite "$1"
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
  ln -sfn "releases/$2" "$root/.$1.new" && mv -Tf "$root/.$1.new" "$root/$1"
}
# Where a release goes back to: the one that it replaced.
point_previous() { # RELEASE now in service
  local before
  before=$(cat "$root/releases/$1/.previous" 2>/dev/null) || before=''
  if [ -n "$before" ] && [ "$before" != "$1" ] && [ -x "$root/releases/$before/bin/enhanced-gptcache" ]; then
    point previous "$before"
  else
    rm -f "$root/previous"
  fi
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

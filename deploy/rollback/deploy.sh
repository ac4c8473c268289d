#!/usr/bin/env bash
# Puts a new version into service and takes it back by itself when it does not become healthy.
#   deploy.sh [--config FILE] [--serve-percent N] [--keep N] RELEASE
#
# RELEASE is the tarball that `cpack -G TGZ` makes, or a folder with bin/enhanced-gptcache in it; its name
# (without enhanced-gptcache- and .tar.gz) is the version's name under releases/.
#   --config FILE      new settings; they become config.prod.yaml
#   --serve-percent N  serve only this share of the semantic hits from the first answer on, as a change of
#                      /admin/config would (cache.serve_percent)
#   --keep N           releases kept besides current and previous, 3
# What is where, and the variables that change it: common.sh. Exit codes: 0 in service, 1 not (the old
# version serves again, or was never touched), 2 usage.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=deploy/rollback/common.sh
. "$here/common.sh"

new_config='' serve_percent='' keep=3
while [ $# -gt 0 ]; do
  case "$1" in
    --config)
      [ $# -ge 2 ] && [ -f "$2" ] || usage_error '--config needs a file'
      new_config=$(realpath "$2"); shift 2 ;;  # the settings are checked from the layout's folder
    --serve-percent)
      [[ ${2-} =~ ^[0-9]{1,3}$ ]] && [ "$2" -le 100 ] ||
        usage_error "--serve-percent: \"${2-}\" is not 0 to 100"
      serve_percent=$2; shift 2 ;;
    --keep) [[ ${2-} =~ ^[0-9]{1,3}$ ]] || usage_error '--keep needs a number'; keep=$2; shift 2 ;;
    -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) usage_error "unknown option $1" ;;
    *) break ;;
  esac
done
[ $# -eq 1 ] || usage_error 'name one release: a tarball or a folder'
release=$1
[ -e "$release" ] || usage_error "$release does not exist"
[ -f "$config" ] || [ -n "$new_config" ] || die "$config is missing: give one with --config"

name=$(basename "$release")
name=${name%.tar.gz}
name=${name#enhanced-gptcache-}
[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._+-]*$ ]] || usage_error "\"$name\" is no name for a release"
# Run by root, what the service writes and reads still belongs to the owner of the layout.
own() { [ "$(id -u)" -ne 0 ] || chown --reference="$root" "$@"; }
mkdir -p "$root/releases"
for folder in data data/cache logs; do
  [ -d "$root/$folder" ] || { mkdir "$root/$folder" && own "$root/$folder"; }
done
lock

# --- before anything that serves is touched --------------------------------------------------------
target=$root/releases/$name
for link in current previous; do
  [ -L "$root/$link" ] || [ ! -e "$root/$link" ] ||
    die "$root/$link is no link: move it to releases/, and make the link, before anything is deployed"
done
old=$(release_of current)
[ "$name" != "$old" ] || die "$name is the version in service; give the new one another name"
trap 'rm -rf "$target.new"' EXIT
rm -rf "$target.new"
mkdir "$target.new"
if [ -d "$release" ]; then
  cp -a "$release/." "$target.new/"
else
  tar -xzf "$release" -C "$target.new" --strip-components=1 --no-same-owner
fi
# A folder may come from somebody who keeps his files to himself; the service has a user of its own.
chmod -R u+rwX,go+rX "$target.new"
chmod go+rx "$root/releases"
binary=$target.new/bin/enhanced-gptcache
[ -x "$binary" ] || die "$release holds no bin/enhanced-gptcache"
version=$("$binary" version) || die "bin/enhanced-gptcache of $release does not run here"
as_service "$binary" validate-config "${new_config:-$config}" ||
  die "$name does not accept ${new_config:-$config}; nothing was changed"

data=$(storage_of "${new_config:-$config}" "$binary" "$binary")
if [ -n "$old" ] && [ -f "$config" ] && [ -n "$new_config" ]; then
  served=$(storage_of "$config" "$root/current/bin/enhanced-gptcache" "$binary")
  [ "$data" = "$served" ] ||
    die "storage.path goes from ${served:-nothing} to ${data:-nothing}: a rollback would lose keys and" \
      'erasures; move the data and change the setting first'
fi
# Room for a second copy of the data; the copy of the last deployment makes way when it has to.
kilobytes() { [ ! -d "$1" ] || du -sk "$1" | cut -f1; }
free_kilobytes() { df -Pk "$1" | awk 'NR == 2 { print $4 }'; }
room_for_copy() { # KB that are to be had
  [ "$1" -gt $(($(kilobytes "$data") + 1024)) ]
}
keeps_earlier=true
if [ -n "$data" ] && [ -d "$data" ]; then
  free=$(free_kilobytes "$data")
  if ! room_for_copy "$free"; then
    keeps_earlier=false
    earlier=$(kilobytes "$data.before")
    room_for_copy $((free + ${earlier:-0})) ||
      die "$data has $(kilobytes "$data") KB, and only $free KB are free for the copy; nothing was changed"
  fi
fi
share=cache.serve_percent
if [ -n "$serve_percent" ]; then
  [ -n "$data" ] || die '--serve-percent needs storage.path: the share is kept there'
  ! as_service printenv EGPTC_CACHE__SERVE_PERCENT >/dev/null ||
    die "--serve-percent: EGPTC_CACHE__SERVE_PERCENT in $environment would win over it"
fi

# So that scripts find the program as current/enhanced-gptcache, too.
[ -e "$target.new/enhanced-gptcache" ] || ln -s bin/enhanced-gptcache "$target.new/enhanced-gptcache"
if [ -n "$old" ]; then
  printf '%s\n' "$old" >"$target.new/.previous"
  if [ ! -e "$root/releases/$old/.previous" ]; then
    release_of previous | grep -vxF -e "$old" >"$root/releases/$old/.previous" || true
  fi
fi
rm -rf "$target"
mv -T "$target.new" "$target"
say "unpacked $version as releases/$name"

# --- the switch ------------------------------------------------------------------------------------
# However it ends from here on, something serves: a step that fails and a signal take it all back.
is_stopped=false is_switched=false
take_back() {
  local status=$?
  trap - EXIT
  trap : HUP INT TERM PIPE
  [ "$status" -ne 0 ] || status=1
  say "ERROR: the deployment of $name was cut short (status $status); taking it back" >&2
  if [ -z "$old" ]; then
    service stop || true
    rm -f "$root/current"
    die "there is no earlier version to go back to"
  fi
  if [ "$is_stopped" = false ]; then
    :
  elif [ "$is_switched" = true ]; then
    "$here/emergency_rollback.sh" --automatic || die "and the rollback to $old failed: act by hand"
  else
    point_previous "$old" || true
    service start && becomes_healthy || die "and $old does not become healthy: act by hand"
  fi
  [ ! -e "$config.backup.earlier" ] || mv -f "$config.backup.earlier" "$config.backup" || true
  if [ -n "$data" ] && [ -e "$data.before.earlier" ]; then
    rm -rf "$data.before" && mv -T "$data.before.earlier" "$data.before" || true
  fi
  die "$old serves again; $name is still in releases/ for inspection"
}
# What is never put back, because going back on it would make a revoked key valid, an erased subject known or
# lines of the audit log unsaid, is not copied either; nor is what the server makes by itself.
copy_data() {
  local path
  if [ -e "$data.before" ] && [ "$keeps_earlier" = true ]; then
    mv -T "$data.before" "$data.before.earlier"
  fi
  rm -rf "$data.before" "$data.before.new"
  mkdir "$data.before.new"
  for path in "$data"/* "$data"/.[!.]*; do
    [ -e "$path" ] || continue
    case "${path##*/}" in
      keystore | instance.key | api_keys.json | admin.key | admin_config.json | audit) ;;
      LOCK | checkpoints | quarantine | index) ;;
      *) cp -a --reflink=auto "$path" "$data.before.new/" ;;
    esac
  done
  printf '%s\n' "$old" >"$data.before.new/.of"
  chmod --reference="$data" "$data.before.new"
  [ "$(id -u)" -ne 0 ] || chown --reference="$data" "$data.before.new" "$data.before.new/.of"
  mv -T "$data.before.new" "$data.before"
}
rm -rf "$config.backup.earlier" "${data:-$root/data/cache}.before.earlier"
trap take_back EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap : PIPE
if [ -f "$config" ]; then
  cp -p "$config" "$config.backup.new"
  [ ! -f "$config.backup" ] || mv -f "$config.backup" "$config.backup.earlier"
  mv -f "$config.backup.new" "$config.backup"
  [ -z "$old" ] || cp -p "$config" "$root/releases/$old/.config"
fi
is_stopped=true
service stop
# What the new version makes of the data, the old one may not be able to read: it gets its own back then.
[ -z "$old" ] || [ -z "$data" ] || [ ! -d "$data" ] || copy_data
[ -z "$old" ] || point previous "$old"
point current "$name"
is_switched=true
if [ -n "$new_config" ]; then
  install -m 0640 "$new_config" "$config.new"
  if [ -f "$config.backup" ]; then
    chown --reference="$config.backup" "$config.new" 2>/dev/null || true
  else
    own "$config.new"
  fi
  mv -f "$config.new" "$config"
fi
rm -f "$root/.serve_percent"
if [ -n "$serve_percent" ]; then
  admin=$data/admin_config.json
  admin_value "$admin" "$share" >"$root/.serve_percent"
  is_new=true
  [ ! -e "$admin" ] || is_new=false
  set_admin_value "$admin" "$share" "$serve_percent"
  [ "$is_new" = false ] || own "$admin"
  is=$(as_service "$target/bin/enhanced-gptcache" validate-config "$config" --print "$share")
  [ "$is" = "$serve_percent" ] || die "$share is $is by the settings, not $serve_percent"
  say "$share is $serve_percent; raise it with PUT $url/admin/config"
fi
say "current is $name${old:+, previous is $old}"

if ! { service start && becomes_healthy; }; then
  say "ERROR: $name did not become healthy within $wait_seconds s" >&2
  exit 1
fi
trap - EXIT HUP INT TERM
rm -rf "$config.backup.earlier" "${data:-$root/data/cache}.before.earlier"
notify "Enhanced GPTCache: $name is in service"
say "$name is in service"

# --- old releases ----------------------------------------------------------------------------------
find "$root/releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\n' | sort -rn | cut -d' ' -f2- |
  { grep -vxF -e "$name" -e "${old:-$name}" || true; } | tail -n "+$((keep + 1))" |
  while read -r stale; do
    rm -rf "${root:?}/releases/$stale"
    say "removed the old release $stale"
  done

#!/usr/bin/env bash
# Puts a new version into service and takes it back by itself when it does not become healthy.
#   deploy.sh [--config FILE] [--serve-percent N] [--keep N] RELEASE
#
# RELEASE is the tarball that `cpack -G TGZ` makes, or a folder with bin/enhanced-gptcache in it; its name
# (without enhanced-gptcache- and .tar.gz) is the version's name under releases/.
#   --config FILE      new settings; they become config.prod.yaml
#   --serve-percent N  serve only this share of the semantic hits at first (cache.serve_percent)
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
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
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
[ "$name" != "$(release_of current)" ] || die "$name is the version in service; give the new one another name"
rm -rf "$target.new"
mkdir "$target.new"
if [ -d "$release" ]; then
  cp -a "$release/." "$target.new/"
else
  tar -xzf "$release" -C "$target.new" --strip-components=1 --no-same-owner
fi
binary=$target.new/bin/enhanced-gptcache
[ -x "$binary" ] || { rm -rf "$target.new"; die "$release holds no bin/enhanced-gptcache"; }
version=$("$binary" version) || {
  rm -rf "$target.new"
  die "bin/enhanced-gptcache of $release does not run here"
}
if ! (cd "$root" && "$binary" validate-config "${new_config:-$config}"); then
  rm -rf "$target.new"
  die "$name does not accept ${new_config:-$config}; nothing was changed"
fi
# So that scripts find the program as current/enhanced-gptcache, too.
[ -e "$target.new/enhanced-gptcache" ] || ln -s bin/enhanced-gptcache "$target.new/enhanced-gptcache"
rm -rf "$target"
mv -T "$target.new" "$target"
say "unpacked $version as releases/$name"

# --- the switch ------------------------------------------------------------------------------------
old=$(release_of current)
if [ -f "$config" ]; then
  cp -p "$config" "$config.backup.new"
  mv -f "$config.backup.new" "$config.backup"
fi
service stop
# What the new version makes of the data, the old one may not be able to read: it gets its own back then.
rm -rf "$root/data/cache.before"
cp -a --reflink=auto "$root/data/cache" "$root/data/cache.before"
[ -z "$old" ] || point previous "$old"
point current "$name"
if [ -n "$new_config" ]; then
  install -m 0640 "$new_config" "$config.new"
  if [ -f "$config.backup" ]; then
    chown --reference="$config.backup" "$config.new" 2>/dev/null || true
  else
    own "$config.new"
  fi
  mv -f "$config.new" "$config"
fi
say "current is $name${old:+, previous is $old}"

if service start && becomes_healthy; then
  if [ -n "$serve_percent" ]; then
    call PUT /admin/config "{\"cache\": {\"serve_percent\": $serve_percent}}" >/dev/null ||
      die "$name serves, but cache.serve_percent could not be set"
    say "cache.serve_percent is $serve_percent; raise it with PUT $url/admin/config"
  fi
  notify "Enhanced GPTCache: $name is in service"
  say "$name is in service"
else
  say "ERROR: $name did not become healthy within $wait_seconds s" >&2
  if [ -n "$old" ]; then
    "$here/emergency_rollback.sh" --automatic || die "and the rollback to $old failed: act by hand"
    die "$old serves again; $name is still in releases/ for inspection"
  fi
  service stop || true
  die "there is no earlier version to go back to"
fi

# --- old releases ----------------------------------------------------------------------------------
find "$root/releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\n' | sort -rn | cut -d' ' -f2- |
  { grep -vxF -e "$name" -e "${old:-$name}" || true; } | tail -n "+$((keep + 1))" |
  while read -r stale; do
    rm -rf "${root:?}/releases/$stale"
    say "removed the old release $stale"
  done

#!/usr/bin/env bash
# Makes the folder of secrets that docker-compose.prod.yml mounts: random ones where a random one will do,
# empty files for those that somebody else gives you. What is there already is never touched.
#   deploy/make_secrets.sh [FOLDER]      FOLDER defaults to ./secrets
#
# Containers run as different users, so the files are readable to all, and the folder to its owner only.
set -euo pipefail
umask 077
folder=${1:-secrets}
if [[ $folder == -* ]]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  [ "$folder" = -h ] || [ "$folder" = --help ]
  exit
fi
mkdir -p "$folder"
chmod 700 "$folder"

made=() empty=()
put() { # NAME COMMAND...: the command's output becomes the secret
  local path="$folder/$1"
  shift
  [ ! -s "$path" ] || return 0
  "$@" >"$path.new"
  chmod 444 "$path.new"
  mv -f "$path.new" "$path"
  made+=("$path")
}
await() { # NAME: a secret that has to be filled in
  local path="$folder/$1"
  [ -e "$path" ] || : >"$path"
  chmod 444 "$path"
  [ -s "$path" ] || empty+=("$path")
}
admin_key() { printf 'egptc_%s_%s\n' "$(openssl rand -hex 6)" "$(openssl rand -hex 32)"; }

put admin_key admin_key
put redis_password openssl rand -hex 32
put grafana_admin_password openssl rand -hex 16
for name in upstream_api_key smtp_password slack_webhook_url pagerduty_routing_key; do await "$name"; done

[ ${#made[@]} -eq 0 ] || printf 'made: %s\n' "${made[@]}"
[ ${#empty[@]} -eq 0 ] || printf 'to be filled in: %s\n' "${empty[@]}"

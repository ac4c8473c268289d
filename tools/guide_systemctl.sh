#!/bin/bash
# What is left of systemctl without process 1: starts what a unit says, as the unit's user. Put into the clean
# root by tools/guide_transcript.py; used nowhere else.
unit='' file=''
for word in "$@"; do
  case "$word" in -* | start | stop | enable | disable | status | daemon-reload) ;; *) unit=$word ;; esac
done
[ -n "$unit" ] || exit 0
for folder in /lib/systemd/system /etc/systemd/system; do
  [ ! -f "$folder/$unit.service" ] || file=$folder/$unit.service
done
[ -n "$file" ] || { echo "there is no unit $unit" >&2; exit 4; }
value() { sed -n "s/^$1=//p" "$file"; }
pidfile=/run/$unit.pid
alive() {
  [ -f "$pidfile" ] || return 1
  grep -qs '^State:' "/proc/$(cat "$pidfile")/status" &&
    ! grep -qs '^State:.Z' "/proc/$(cat "$pidfile")/status"
}

start() {
  local words=() user folder
  user=$(value User) folder=$(value StateDirectory)
  mapfile -t words < <(value Environment)
  if [ -n "$folder" ]; then install -d -o "$user" -g "$user" "/var/lib/$folder"; fi
  cd "$(value WorkingDirectory)" || exit 1
  # shellcheck disable=SC2046
  setsid setpriv --reuid "$user" --regid "$user" --init-groups env "${words[@]}" $(value ExecStart) \
    >"/var/log/$unit.log" 2>&1 </dev/null 9>&- &
  echo $! >"$pidfile"
}
stop() {
  alive || return 0
  kill "$(cat "$pidfile")"
  while alive; do sleep 0.1; done
  rm -f "$pidfile"
}

case " $* " in
  *' stop '*) stop ;;
  *' start '* | *' --now '*) start ;;
  *' status '*) alive && echo "$unit runs as $(ps -o user=,args= -p "$(cat "$pidfile")")" ;;
esac

#!/usr/bin/env bash
# Installs every Debian 12 package this project needs. Idempotent: when nothing is missing it asks
# dpkg once and returns in well under a second, without apt and without root.
#   --runtime  what scripts/run.sh needs (build and serve)
#   --package  also what cpack needs to make Debian packages
#   --test     also what scripts/test.sh and tools/dev need (the default)
#   --image    also what building the container image without Docker and tests/docs/transcript.py need
#   --list     print the packages of the chosen group and exit
set -euo pipefail

# Why each one is here is told in docs/dependencies.md.
runtime=(g++ cmake ninja-build ccache pkg-config
  libboost1.81-dev libsimdjson-dev libyaml-cpp-dev libfmt-dev libspdlog-dev libeigen3-dev
  libsodium-dev zlib1g-dev libbrotli-dev libzstd-dev libcli11-dev libutf8proc-dev libexpected-dev
  libssl-dev nlohmann-json3-dev librocksdb-dev libarchive-dev libre2-dev
  python3 python3-venv python3-pip curl git ca-certificates openssl)
package=(dpkg-dev file)
image=(buildah debootstrap systemd-container)
test=(libgtest-dev libgmock-dev jq gcovr prometheus nginx wrk
  prometheus-alertmanager docker-compose systemd shellcheck chromium
  g++-aarch64-linux-gnu qemu-user clang-14 clang-tidy-14 clang-format-14 libclang-rt-14-dev)

group=test
list_only=false
for arg in "$@"; do
  case "$arg" in
    --runtime) group=runtime ;;
    --package) group=package ;;
    --image) group=image ;;
    --test) group=test ;;
    --list) list_only=true ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *)
      echo "bootstrap.sh: unknown option $arg (known: --runtime --package --test --image --list)" >&2
      exit 2
      ;;
  esac
done

packages=("${runtime[@]}")
if [ "$group" != runtime ]; then
  packages+=("${package[@]}")
fi
if [ "$group" = image ]; then
  packages+=("${image[@]}")
fi
if [ "$group" = test ] || [ "$group" = image ]; then
  packages+=("${test[@]}")
  # A machine may have its own, newer node; Debian's is taken only where there is none.
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
fi
if $list_only; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
  awk '$1 == "installed" {print $2}' || true)
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "bootstrap: all ${#packages[@]} packages are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "bootstrap.sh: neither root nor sudo; an administrator must install: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi

# nginx, prometheus and alertmanager are test tools here: apt must not start them as services. Debian asks
# /usr/sbin/policy-rc.d before it starts one; ours is put there for this run only.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

echo "bootstrap: installing ${missing[*]}"
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }
apt update
apt install -y --no-install-recommends "${missing[@]}"

# Not started now, and not at the next boot either, where this run installed them.
if [ -d /run/systemd/system ]; then
  for service in nginx prometheus prometheus-alertmanager; do
    if printf '%s\n' "${missing[@]}" | grep -qx "$service"; then
      "${as_root[@]}" systemctl disable --now "$service" 2>/dev/null || true
    fi
  done
fi
echo "bootstrap: done"

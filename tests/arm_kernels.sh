#!/usr/bin/env bash
# The kernels of src/simd for ARM: built by the cross compiler, run by qemu in user mode, tested like others.
# qemu checks what they compute; how fast they are only an ARM machine can tell.
#   tests/arm_kernels.sh [FOLDER]     FOLDER (build/arm) keeps what was compiled
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
folder=${1-build/arm}
mkdir -p "$folder"

# Debian has no arm64 build of these two header libraries without a foreign architecture; headers are alike.
include=$folder/include
mkdir -p "$include"
ln -sfn /usr/include/fmt "$include/fmt"
ln -sfn /usr/include/tl "$include/tl"
google=/usr/src/googletest
flags=(-std=c++20 -O2 -Wall -Wextra -DFMT_HEADER_ONLY -Iinclude -Isrc "-I$include")
google_flags=(-O1 "-I$google/googletest" "-I$google/googletest/include" "-I$google/googlemock"
  "-I$google/googlemock/include")

objects=()
compile() { # SOURCE FLAGS...
  local object
  object=$folder/$(basename "$1").o
  objects+=("$object")
  ccache aarch64-linux-gnu-g++ "${flags[@]}" "${@:2}" -c "$1" -o "$object"
}
kernel_flags=(-O3 -ffp-contract=off -Werror)
compile src/simd/kernels_neon.cpp "${kernel_flags[@]}" -march=armv8.2-a+dotprod
for source in kernels_scalar cpu dispatch pack; do compile "src/simd/$source.cpp" "${kernel_flags[@]}"; done
for test in src/simd/*_test.cpp; do compile "$test" "${google_flags[@]}"; done
for source in googletest/src/gtest-all.cc googletest/src/gtest_main.cc googlemock/src/gmock-all.cc; do
  compile "$google/$source" "${google_flags[@]}"
done
aarch64-linux-gnu-g++ -static "${objects[@]}" -o "$folder/simd_test"

# The tile must not spill: no store to the stack inside its loop.
tile=$(aarch64-linux-gnu-objdump -d --no-show-raw-insn "$folder/kernels_neon.cpp.o" |
  awk '/tile_5/ {on=1} on {print} on && /ret/ {on=0}')
grep -q sdot <<<"$tile" || { echo "arm_kernels: the tile has no dot product" >&2; exit 1; }
if grep -qE "str\s+q[0-9]+, \[sp" <<<"$tile"; then
  echo "arm_kernels: the tile of 5 rows spills:" >&2
  echo "$tile" >&2
  exit 1
fi
qemu-aarch64 -cpu max "$folder/simd_test" --gtest_brief=1
# And on a processor without dot products the scalar table is taken.
qemu-aarch64 -cpu cortex-a53 "$folder/simd_test" --gtest_brief=1

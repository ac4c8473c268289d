#!/usr/bin/env bash
# From a fresh clone to every test run: installs packages, builds, fetches and verifies the model,
# runs the unit tests (ctest), the ARM kernels (qemu), the wire tests (pytest with the openai Python SDK),
# the Node SDK tests (node --test), the console in Chromium, every fuzz target for 20 seconds and the coverage
# gate. Each phase is bounded in time and says how long it took.
#   ./scripts/test.sh             all of that
#   ./scripts/test.sh --quick     no coverage build, no wire test marked slow
#   ./scripts/test.sh --coverage  the coverage gate only
#   ./scripts/test.sh --asan      unit and wire tests under AddressSanitizer and UBSan
#   ./scripts/test.sh --tsan      unit and wire tests under ThreadSanitizer
#   ./scripts/test.sh --image     builds and uses the container image (root, buildah, debootstrap)
#   ./scripts/test.sh --fuzz [N]  every fuzz target for N seconds (20), then schemathesis
#   ./scripts/test.sh --all       the default, then --image, --asan, --tsan and --fuzz
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

mode=default
fuzz_seconds=20
for arg in "$@"; do
  case "$arg" in
    --quick | --coverage | --asan | --tsan | --image | --fuzz | --all) mode=${arg#--} ;;
    [0-9]*) fuzz_seconds=$arg ;;
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *)
      echo "test.sh: unknown option $arg (known: --quick --coverage --asan --tsan --image --fuzz --all)" >&2
      exit 2
      ;;
  esac
done

jobs=$(nproc)
started=$SECONDS
summary=()

# phase NAME LIMIT_SECONDS COMMAND...: runs it under the limit, keeps its time, stops at a failure.
phase() {
  local name=$1 limit=$2 begun=$SECONDS status=0
  shift 2
  printf '\n=== %s\n' "$name"
  timeout --kill-after=20 "$limit" "$@" || status=$?
  summary+=("$(printf '%-28s %4d s' "$name" $((SECONDS - begun)))")
  printf -- '--- %s: %d s\n' "$name" $((SECONDS - begun))
  if [ "$status" -ne 0 ]; then
    [ "$status" -eq 124 ] && echo "test.sh: $name ran past its limit of $limit s" >&2
    echo "test.sh: $name failed with status $status" >&2
    exit "$status"
  fi
}

build() { # PRESET [TARGET...]
  local preset=$1
  shift
  local tests=ON
  [ "$preset" = fuzz ] && tests=OFF
  cmake --preset "$preset" -DEGPTC_TESTS=$tests >/dev/null
  cmake --build "build/$preset" -j "$jobs" ${1+--target "$@"}
}

python_environment() { # pinned packages in .venv, made again when the list changes
  local list=tests/requirements.txt stamp=.venv/requirements.sha256
  local want
  want=$(sha256sum "$list" | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
  /usr/bin/python3 -m venv --clear .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r "$list"
  echo "$want" >"$stamp"
}

node_environment() { # FOLDER...: the locked packages of each
  local folder stamp want
  for folder in "$@"; do
    stamp=$folder/node_modules/lock.sha256
    want=$(sha256sum "$folder/package-lock.json" | cut -d' ' -f1)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && continue
    (cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
    echo "$want" >"$stamp"
  done
}

unit_tests() { # PRESET: builds of other presets run the unit tests only; the tools' checks need one run
  local exclude=()
  [ "$1" = release ] || exclude=(-E '^tools\.')
  ctest --test-dir "build/$1" --output-on-failure -j "$jobs" --timeout 900 ${exclude[@]+"${exclude[@]}"}
}

wire_tests() { # PRESET [pytest options]
  local preset=$1 slowness=1
  shift
  case "$preset" in asan-ubsan) slowness=3 ;; tsan) slowness=8 ;; esac
  EGPTC_TEST_SLOWNESS=$slowness EGPTC_BINARY="$PWD/build/$preset/enhanced-gptcache" \
    .venv/bin/python -m pytest -q -p no:cacheprovider --durations=8 "$@" tests/wire
}

# Three at a time: alerts and rollbacks mostly wait.
deploy_tests() { # [pytest options]
  local folder status=0 group number=0 groups=(
    "tests/deploy/test_monitoring.py tests/deploy/test_rollback_failures.py"
    "tests/deploy/test_rollback.py tests/docs"
    "tests/deploy/test_files.py tests/deploy/test_validate_deployment.py tests/deploy/test_vocabulary.py
     tests/deploy/test_sbom.py tests/deploy/test_guide_files.py tests/deploy/test_maintenance_state.py")
  folder=$(mktemp -d)
  for group in "${groups[@]}"; do
    number=$((number + 1))
    # shellcheck disable=SC2086
    {
      .venv/bin/python -m pytest -q -p no:cacheprovider -rs --durations=4 "$@" $group ||
        touch "$folder/failed"
    } >"$folder/$number" 2>&1 &
  done
  wait
  cat "$folder"/[0-9]*
  [ ! -e "$folder/failed" ] || status=1
  rm -rf "$folder"
  return "$status"
}

# The ARM kernels, cross-compiled and run by qemu.
arm_tests() {
  tests/arm_kernels.sh build/arm
}

image_test() {
  ./scripts/bootstrap.sh --image
  .venv/bin/python -m pytest -q -p no:cacheprovider -rs tests/deploy/test_image.py
}

node_tests() {
  .venv/bin/python tests/node/launch.py
}

# The console in Chromium; also that console/generated is what its sources give.
console_tests() {
  .venv/bin/python tests/console/launch.py
}

# Finds nothing and says how many inputs it tried, or stops with the input that broke something.
fuzz_target() { # NAME SECONDS
  mkdir -p "build/fuzz/corpus/$1" "build/fuzz/found/$1"
  "build/fuzz/egptc_fuzz_$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/found/$1/" "build/fuzz/corpus/$1" \
    "build/fuzz/seeds/$1" 2>"build/fuzz/$1.log" ||
    { tail -n 60 "build/fuzz/$1.log"; echo "fuzz target $1 failed" >&2; return 1; }
  printf 'fuzz %-12s %s executions\n' "$1" \
    "$(awk '/number_of_executed_units/ {print $2}' "build/fuzz/$1.log")"
}

fuzz_targets() { # SECONDS for each; one on each core
  build/fuzz/egptc_fuzz_seeds build/fuzz/seeds "$PWD"
  find build/fuzz/seeds -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort |
    xargs -P "$jobs" -I{} bash -euo pipefail -c 'fuzz_target "$@"' fuzz_target {} "$1"
}

schemathesis_run() { # EXAMPLES for each operation
  local list=tests/fuzz/requirements.txt folder=build/fuzz/python want
  want=$(sha256sum "$list" | cut -d' ' -f1)
  if [ ! -f "$folder/requirements.sha256" ] || [ "$(cat "$folder/requirements.sha256")" != "$want" ]; then
    /usr/bin/python3 -m venv --clear "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$list"
    echo "$want" >"$folder/requirements.sha256"
  fi
  .venv/bin/python tests/fuzz/run_schemathesis.py "$folder/bin/schemathesis" "$1"
}

coverage_gate() {
  local folders=(match cache proxy store vault security privacy backup)
  local targets=("${folders[@]/#/egptc_}")
  build coverage "${targets[@]/%/_test}"
  .venv/bin/python tools/coverage_gate.py build/coverage --minimum 90 "${folders[@]}"
}

export -f build python_environment node_environment unit_tests wire_tests deploy_tests image_test node_tests
export -f console_tests arm_tests fuzz_target fuzz_targets schemathesis_run
export -f coverage_gate
export jobs
run() { # NAME LIMIT FUNCTION ARGS...: a phase that is one of the functions above
  phase "$1" "$2" bash -euo pipefail -c '"$@"' run "${@:3}"
}

prepare() {
  phase "packages" 900 ./scripts/bootstrap.sh --test
  run "python environment" 300 python_environment
}
default_run() { # pytest options
  run "build release" 1500 build release
  phase "model" 300 ./scripts/fetch_model.sh
  run "unit tests" 900 unit_tests release
  run "ARM kernels" 300 arm_tests
  run "wire tests" 900 wire_tests release "$@"
  run "deployment and document tests" 900 deploy_tests "$@"
  run "node packages" 300 node_environment tests/node console tests/console
  run "node tests" 180 node_tests
  run "console tests" 300 console_tests
}
sanitizer_run() { # PRESET
  export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp"
  run "build $1" 2400 build "$1"
  phase "model" 300 ./scripts/fetch_model.sh
  run "unit tests $1" 2400 unit_tests "$1"
  run "wire tests $1" 2400 wire_tests "$1" -m "not timing"
}

fuzz_run() { # SECONDS for each target
  run "build fuzz" 1800 build fuzz egptc_fuzz
  run "fuzz targets" $((15 * $1 + 300)) fuzz_targets "$1"
}
long_fuzz_run() {
  fuzz_run "$fuzz_seconds"
  run "build release" 1500 build release
  phase "model" 300 ./scripts/fetch_model.sh
  run "schemathesis" 1200 schemathesis_run 10
}

prepare
case "$mode" in
  default | all)
    default_run
    fuzz_run 20
    run "coverage" 900 coverage_gate
    ;;
  quick) default_run -m "not slow" ;;
  coverage)
    phase "model" 300 ./scripts/fetch_model.sh
    run "coverage" 1200 coverage_gate
    ;;
esac
case "$mode" in
  image | all)
    run "build release" 1500 build release
    phase "model" 300 ./scripts/fetch_model.sh
    run "container image" 3000 image_test
    ;;
esac
case "$mode" in asan | all) sanitizer_run asan-ubsan ;; esac
case "$mode" in tsan | all) sanitizer_run tsan ;; esac
case "$mode" in fuzz | all) long_fuzz_run ;; esac

printf '\n'
printf '%s\n' "${summary[@]}"
printf '%-28s %4d s\n' "all of it" $((SECONDS - started))

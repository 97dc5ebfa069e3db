#!/usr/bin/env bash
# The whole check, as `make test` and CI run it: lint, types, then pytest with the arguments given.
#   scripts/check.sh [PYTEST ARGUMENT ...]
# Lint and type errors do not keep the tests from running; any failure fails the whole. A test that skips has
# failed, unless it says "not on this platform" (tests/conftest.py): scripts/setup.sh brings what tests need.
# Those that measure how long a person waits run one at a time; all others beside them, one process for each
# processor, at the lowest priority, so that they take only what is left. With arguments: one pytest with just those.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

VENV=$PWD/.venv
STUBS=$VENV/firmware-stubs
# The programs the tests start: micropython, nats-server and mpremote from the environment, mosquitto from sbin.
export PATH="$VENV/bin:$PATH:/usr/sbin:/sbin"
# A test that runs make itself is not a part of this make.
unset MAKEFLAGS MFLAGS MAKELEVEL
export KANHU_REQUIRE_ALL=${KANHU_REQUIRE_ALL:-1}
failed=()

step() {
    local name=$1
    shift
    printf '== %s\n' "$name"
    "$@" || failed+=("$name")
}

step "ruff check" ruff check --quiet .
step "ruff format" ruff format --check --quiet .
step "types: host and protocol" mypy
MYPYPATH="$STUBS:firmware:protocol" step "types: firmware and protocol on MicroPython" \
    mypy --config-file firmware/mypy.ini --custom-typeshed-dir "$STUBS" firmware protocol/kanhu_protocol

status=0
if [ ${#failed[@]} -gt 0 ]; then
    printf -v list '%s, ' "${failed[@]}"
    printf 'failed, so the whole has failed whatever the tests say: %s\n' "${list%, }" >&2
    status=1
fi
printf '== tests\n'
TIMED=(tests/benchmarks tests/e2e tests/faults tests/tls tests/firmware/test_load.py hil_tests/smoke)
if [ $# -gt 0 ]; then
    pytest --durations=15 "$@" || status=1
else
    others=$(mktemp)
    # In order: xdist would keep the files with the fewest tests, which are the longest ones, for the end.
    nice -n 19 pytest -n auto --dist=loadfile --no-loadscope-reorder --durations=8 tests "${TIMED[@]/#/--ignore=}" \
        >"$others" 2>&1 &
    beside=$!
    trap 'kill "$beside" 2>/dev/null; rm -f "$others"' EXIT
    printf '== tests that measure time\n'
    pytest --durations=15 "${TIMED[@]}" || status=1
    printf '== all others, which ran beside them\n'
    wait "$beside" || status=1
    cat "$others"
fi
exit $status

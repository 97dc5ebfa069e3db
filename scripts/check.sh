#!/usr/bin/env bash
# The whole check, as `make test` and CI run it: lint, types, then pytest with the arguments given.
#   scripts/check.sh [PYTEST ARGUMENT ...]
# Lint and type errors do not keep the tests from running; any failure fails the whole.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

VENV=$PWD/.venv
STUBS=$VENV/firmware-stubs
# The programs the tests start: micropython, nats-server and mpremote from the environment, mosquitto from sbin.
export PATH="$VENV/bin:$PATH:/usr/sbin:/sbin"
# A test that runs make itself is not a part of this make.
unset MAKEFLAGS MFLAGS MAKELEVEL
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
step "tests" pytest "$@"

if [ ${#failed[@]} -gt 0 ]; then
    printf -v list '%s, ' "${failed[@]}"
    printf 'failed: %s\n' "${list%, }" >&2
    exit 1
fi

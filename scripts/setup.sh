#!/usr/bin/env bash
# Set-up for `make demo` and `make test`: does what is missing, says so on stderr, and is quick when nothing is.
#   scripts/setup.sh demo   virtual environment and packages
#   scripts/setup.sh test   the same, the type stubs, the apt packages of scripts/apt-packages.txt, the AsyncAPI linter
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
# Administration programs such as mosquitto are in sbin, which an ordinary user's PATH leaves out on Debian.
export PATH="$PATH:/usr/sbin:/sbin"

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

# Stamps hold what a step was done for; a step is done again when that has changed.
fresh() { [ -f "$VENV/stamp-$1" ] && [ "$(cat "$VENV/stamp-$1")" = "$2" ]; }
stamp() { printf '%s' "$2" >"$VENV/stamp-$1"; }
hash_of() { cat "$@" | cksum; }

# Runs a long command with its output in a log, counting the lines that match a pattern; shows the end if it fails.
counted() {
    local pattern=$1 total=$2 log=$VENV/setup.log every=25
    shift 2
    [ -t 2 ] && every=1
    if ! "$@" 2>&1 | tee "$log" | awk -v p="$pattern" -v total="$total" -v every="$every" '
        / newly installed/ { total = $3 }  # apt knows how many there are
        $0 ~ p { n++; if (n % every == 0) { printf "setup:   %d of about %d\n", n, total; fflush() } }' >&2
    then
        tail -n 15 "$log" >&2
        return 1
    fi
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed: run 'apt-get install python3 python3-venv', or name one with PYTHON=/path/to/python3"
}

virtual_environment() {
    if [ -x $VENV/bin/python ] && $VENV/bin/python -m pip --version >/dev/null 2>&1; then
        return
    fi
    local python
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python has no venv: run 'apt-get install python3-venv' and try again"
    say "making the virtual environment $VENV with $("$python" --version)"
    "$python" -m venv --clear $VENV
}

packages() {
    local key total
    key="$(hash_of requirements.lock) $($VENV/bin/python --version)"
    fresh packages "$key" && return
    total=$(grep -c '^[a-z0-9].*==' requirements.lock)
    say "installing the packages of requirements.lock, hashes checked (a minute or two)"
    counted '^Collecting ' "$total" $VENV/bin/python -m pip install --no-input --disable-pip-version-check \
        --progress-bar off --require-hashes -r requirements.lock ||
        die "the packages could not be installed (log: $VENV/setup.log); is the package index reachable?"
    stamp packages "$key"
}

project() {
    local key
    key="$(hash_of pyproject.toml) $PWD"
    fresh project "$key" && return
    say "installing kanhu itself, editable"
    $VENV/bin/python -m pip install --quiet --no-input --disable-pip-version-check \
        --no-deps --no-build-isolation -e . >&2
    stamp project "$key"
}

firmware_stubs() {
    local key
    key="$(hash_of requirements.lock scripts/firmware_stubs.py)"
    fresh firmware-stubs "$key" && return
    say "collecting the ESP32-S3 type stubs"
    $VENV/bin/python scripts/firmware_stubs.py $VENV/firmware-stubs
    stamp firmware-stubs "$key"
}

apt_packages() {
    local missing=() program package _ as_root=()
    while read -r program package _; do
        case $program in '' | '#'*) continue ;; esac
        command -v "$program" >/dev/null || [ -e "$program" ] || missing+=("$package")
    done <scripts/apt-packages.txt
    [ ${#missing[@]} -eq 0 ] && return

    command -v apt-get >/dev/null ||
        die "these programs are missing and there is no apt-get to install them: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            as_root=(sudo)
        else
            die "not root, so please run: sudo apt-get install --no-install-recommends ${missing[*]}"
        fi
    fi
    say "installing apt packages: ${missing[*]} and what they need"
    counted '^Get:' 1 "${as_root[@]}" apt-get -q update || say "apt-get update failed; trying with the lists at hand"
    # Exit code 101 of policy-rc.d means "do not start services": the tests start brokers of their own.
    local policy=/usr/sbin/policy-rc.d made_policy=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
        "${as_root[@]}" chmod 755 $policy
        made_policy=yes
    fi
    local status=0
    counted '^Setting up ' "${#missing[@]}" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y install --no-install-recommends "${missing[@]}" || status=$?
    [ -n "$made_policy" ] && "${as_root[@]}" rm -f $policy
    [ $status -eq 0 ] || die "apt-get could not install: ${missing[*]} (log: $VENV/setup.log)"
    case " ${missing[*]} " in *' mosquitto '*)
        if [ -d /run/systemd/system ]; then
            "${as_root[@]}" systemctl disable --quiet mosquitto.service || true
            say "the mosquitto system service stays off; 'systemctl enable --now mosquitto' turns it on"
        fi ;;
    esac
}

asyncapi_linter() {
    local folder=$VENV/asyncapi-lint key
    key="$(hash_of scripts/asyncapi-lint/package-lock.json)"
    fresh asyncapi-lint "$key" && return
    say "installing the AsyncAPI linter (npm, pinned)"
    mkdir -p $folder
    cp scripts/asyncapi-lint/package.json scripts/asyncapi-lint/package-lock.json $folder/
    SCARF_ANALYTICS=false npm ci --prefix $folder --ignore-scripts --no-audit --no-fund --loglevel=error >&2 ||
        die "npm could not install the AsyncAPI linter; is the npm registry reachable?"
    stamp asyncapi-lint "$key"
}

# Two set-ups at once would tread on each other: the second waits for the first.
if command -v flock >/dev/null; then
    exec 9<Makefile
    flock 9
fi

case ${1:-} in
demo)
    virtual_environment
    packages
    project
    ;;
test)
    virtual_environment
    apt_packages
    packages
    project
    firmware_stubs
    asyncapi_linter
    ;;
*)
    die "usage: scripts/setup.sh demo|test"
    ;;
esac

#!/usr/bin/env bash
# Lints AsyncAPI documents with Spectral's asyncapi rules; warnings fail: scripts/lint-asyncapi.sh FILE ...
# The linter is the one `make test` installs; linting itself needs no network.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
spectral=$root/.venv/asyncapi-lint/node_modules/.bin/spectral

[ $# -gt 0 ] || { echo "usage: scripts/lint-asyncapi.sh FILE ..." >&2; exit 2; }
for file in "$@"; do
    # Spectral passes over a file that is missing or empty.
    [ -s "$file" ] || { echo "lint-asyncapi: no such file, or empty: $file" >&2; exit 2; }
done
[ -x "$spectral" ] || { echo "lint-asyncapi: the linter is not installed: run 'scripts/setup.sh test'" >&2; exit 2; }
exec "$spectral" lint --quiet --fail-severity=warn --ruleset "$root/scripts/asyncapi-lint/ruleset.yaml" "$@"

#!/usr/bin/env bash
# Fails when `make generate` changes what is committed or lies about.
set -euo pipefail
cd "$(dirname "$0")/.."

sums() { { find gen envd/gen internal/rows -name '*.go' -print0; find test/links -name '*.txt' -print0; printf 'db/schema.sql\0README.md\0'; } | sort -z | xargs -0 sha256sum; }

before=$(sums)
make --no-print-directory generate
if ! difference=$(diff <(echo "$before") <(sums)); then
  echo "Generated code is not up to date; make generate has changed it now:" >&2
  echo "$difference" | awk '/^[<>]/ { print "  " $3 }' | sort -u >&2
  exit 1
fi

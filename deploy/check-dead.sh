#!/usr/bin/env bash
# Fails where a function can be reached from no program and no test. Examples are
# documentation and are called by their name.
set -euo pipefail
cd "$(dirname "$0")/.."

deadcode=$(pwd)/bin/tools/deadcode
mkdir -p "$(dirname "$deadcode")"
go build -modfile=tools/go.mod -o "$deadcode" golang.org/x/tools/cmd/deadcode
dead=$({ "$deadcode" -test ./...; (cd envd && "$deadcode" -test ./...); (cd templates/code-interpreter/server && "$deadcode" -test ./...); (cd templates/mcp-gateway/server && "$deadcode" -test ./...); } | grep -v '/example_test\.go:' || true)
if [ -n "$dead" ]; then
  echo "$dead" >&2
  echo "Delete what is dead, or test it where other modules use it." >&2
  exit 1
fi

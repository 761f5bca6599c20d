#!/usr/bin/env bash
# Fails where a go.mod or go.sum is not what `go mod tidy` makes of the code.
set -euo pipefail
cd "$(dirname "$0")/.."

untidy=0
for module in . envd templates/code-interpreter/server templates/mcp-gateway/server examples/extension tools tools/runsc; do
  if ! (cd "$module" && go mod tidy -diff) >&2; then
    echo "Not tidy; run: cd $module && go mod tidy" >&2
    untidy=1
  fi
done
exit $untidy

#!/usr/bin/env bash
# Installs the pinned Node.js of tools/node where the machine's own is too old
# for the official SDK: it has to be able to require() an ES module.
set -euo pipefail
if ! node -e 'const [major, minor] = process.versions.node.split(".").map(Number)
              process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'; then
  echo "Node.js $(node --version) is too old for the official SDK: installing a newer one into tools/node"
  npm ci --no-audit --no-fund --loglevel=error --prefix "$(dirname "$0")/../tools/node"
fi

#!/usr/bin/env bash
# Builds gVisor's runsc at the version that tools/runsc/go.mod pins. It is a module of its
# own, so that nothing of it is in the others' go.mod. Snapshots with memory restore with
# the same version only, by the name that it gives itself here.
set -euo pipefail
cd "$(dirname "$0")/../tools/runsc"

version="$(go list -m -f '{{.Version}}' gvisor.dev/gvisor)"
# A dynamic runsc could not start itself again in an empty root directory.
CGO_ENABLED=0 go build -trimpath -buildvcs=false \
  -ldflags "-s -w -X gvisor.dev/gvisor/runsc/version.version=$version" \
  -o ../../bin/runsc gvisor.dev/gvisor/runsc

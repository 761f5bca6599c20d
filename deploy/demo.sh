#!/usr/bin/env bash
# Runs a Python program in a sandbox of the Wrenn that runs on this machine.
# Usage: demo.sh path/to/wrenn (and, where root is needed for it, its prefix)
set -euo pipefail

wrenn=("$@")
sandbox=$("${wrenn[@]}" sandbox create)
trap '"${wrenn[@]}" sandbox kill "$sandbox"' EXIT
echo "In sandbox $sandbox, a Python program says:"
"${wrenn[@]}" sandbox exec "$sandbox" -- python3 - <<'PYTHON' | sed 's/^/  | /'
import os, platform

print(f"Hello from Python {platform.python_version()} on Linux {platform.release()},")
print(f"a machine of my own with {os.cpu_count()} CPU and {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 20} MiB of memory.")
PYTHON

#!/bin/bash
# Feeds every parser of untrusted bytes with made-up input for a few seconds
# each, from what its corpus holds. FUZZ_TIME says for how long.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZ_TIME:-3s}

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# feed runs one target of one package. Go's fuzzer now and then takes the end of
# its own time for a failure, and finds no input to blame: that alone counts for
# nothing, at most twice.
feed() {
	local attempt
	for attempt in 1 2 3; do
		if go test -run '^$' -fuzz "^$1\$" -fuzztime "$time" -fuzzminimizetime 1x "$2" </dev/null 2>&1 | tee "$output"; then
			return
		fi
		if grep -q 'Failing input' "$output" || ! grep -q '^ *context deadline exceeded$' "$output"; then
			return 1
		fi
		echo "The fuzzer ran out of time in the middle of an input; once more"
	done
	return 1
}

# fuzz runs every target of the module in a directory, one after the other. Patterns say
# which of its files to look in.
fuzz() (
	cd "$1"
	git grep --untracked -o -E '^func Fuzz[A-Za-z0-9_]+' -- "${@:2}" | sed 's/:func / /' | sort -u |
		while read -r file target; do
			echo "Fuzzing $target in $(dirname "$file") for $time"
			feed "$target" "./$(dirname "$file")"
		done
)

fuzz . ':(glob)[!e]*/**/*_test.go' ':(exclude,glob)templates/*/server/**'
fuzz envd ':(glob)**/*_test.go'
fuzz templates/code-interpreter/server ':(glob)**/*_test.go'
fuzz templates/mcp-gateway/server ':(glob)**/*_test.go'

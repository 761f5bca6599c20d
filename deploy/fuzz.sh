#!/bin/sh
# Feeds every parser of untrusted bytes with made-up input for a few seconds
# each, from what its corpus holds. FUZZ_TIME says for how long.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZ_TIME:-3s}

# fuzz runs every target of the module in a directory, one after the other.
fuzz() (
	cd "$1"
	git grep --untracked -o -E '^func Fuzz[A-Za-z0-9_]+' -- "$2" | sed 's/:func / /' | sort -u |
		while read -r file target; do
			echo "Fuzzing $target in $(dirname "$file") for $time"
			go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x "./$(dirname "$file")" </dev/null
		done
)

fuzz . ':(glob)[!e]*/**/*_test.go'
fuzz envd ':(glob)**/*_test.go'

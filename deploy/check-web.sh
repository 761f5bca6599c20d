#!/usr/bin/env bash
# Fails where the dashboard's committed files are not what its source builds, its types
# or style are wrong, or its first page is too large. The new files stay, to be committed.
set -euo pipefail
cd "$(dirname "$0")/../web"

built=../internal/webui/dist
first_page_limit=$((350 * 1024))
sums() { (cd "$built" 2>/dev/null && find . -type f -print0 | sort -z | xargs -0 sha256sum) || true; }

npm ci --no-audit --no-fund --loglevel=error
npm run --silent api
npm run --silent lint
npm run --silent check
before=$(sums)
npm run --silent build
if ! difference=$(diff <(echo "$before") <(sums)); then
  echo "The dashboard's files are not up to date; they have been built now, commit internal/webui/dist:" >&2
  echo "$difference" | awk '/^[<>]/ { print "  " $3 }' | sort -u >&2
  exit 1
fi

size=$(gzip -c9 "$built/index.html" | wc -c)
for file in $(grep -o '/app/assets/[^"]*' "$built/index.html"); do
  size=$((size + $(gzip -c9 "$built/${file#/app/}" | wc -c)))
done
if [ "$size" -gt "$first_page_limit" ]; then
  echo "The dashboard's first page has $size bytes compressed, more than $first_page_limit" >&2
  exit 1
fi

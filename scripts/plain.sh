#!/bin/sh
# Runs the tests that the race detector would skew (allocations, memory,
# millions of rounds) in a plain build: those in files that begin with
# //go:build !race, and no others, as race has run the rest.
set -eu
cd "$(dirname "$0")/.."

files=$(grep -rl --include='*_test.go' '^//go:build !race$' bench cmd internal | xargs -r grep -l '^func Test' || true)
[ -n "$files" ] || exit 0

# shellcheck disable=SC2086 # a list of files without spaces
names=$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' $files | paste -s -d '|' -)
packages=$(for file in $files; do echo "./${file%/*}"; done | sort -u)
# shellcheck disable=SC2086
exec go test -count=1 -p 1 -timeout 10m -run "^($names)\$" $packages </dev/null

#!/bin/sh
# Runs every fuzz target for the same time: scripts/fuzz.sh 10s
# (go test -fuzz takes one target of one package a time.)
set -eu
cd "$(dirname "$0")/.."
span=${1:-10s}

found=0
for file in $(grep -rl --include='*_test.go' '^func Fuzz' cmd internal); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		found=$((found + 1))
		echo "fuzz: $target in ${file%/*} for $span"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$span" -fuzzminimizetime 1x "./${file%/*}" </dev/null
	done
done
if [ "$found" -eq 0 ]; then
	echo "fuzz: no fuzz target found" >&2
	exit 1
fi

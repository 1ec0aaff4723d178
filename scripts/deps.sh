#!/bin/sh
# Installs the Debian packages that tests and benchmarks start: only what is
# missing, without a question. Nothing of it is needed to build or to run.
set -eu

# command:package, in the order in which they are named to the reader.
wanted='
gcc:gcc
chromium:chromium
nginx:nginx-light
haproxy:haproxy
keepalived:keepalived
named-checkzone:bind9-utils
redis-server:redis-server
redis-cli:redis-tools
rabbitmq-server:rabbitmq-server
wrk:wrk
strace:strace
ip:iproute2
nft:nftables
sysctl:procps
'
# What brings no command on the PATH: the race detector's C headers, a font that
# has the characters of a page in Chinese, and a database whose programs lie in
# a folder of their version.
others='libc6-dev fonts-noto-cjk postgresql postgresql-client'

has_command() {
	# A user's PATH may lack /usr/sbin, where nginx lies.
	command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]
}

has_package() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=''
for pair in $wanted; do
	has_command "${pair%%:*}" || missing="$missing ${pair#*:}"
done
if command -v dpkg-query >/dev/null 2>&1; then
	for package in $others; do
		has_package "$package" || missing="$missing $package"
	done
fi

[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "deps: this machine has no apt-get; please install what Debian calls:$missing" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "deps: missing:$missing" >&2
	echo "deps: run this once, then try again: sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y --no-install-recommends $missing </dev/null >/dev/null

#!/bin/sh
# A flash sale to try out: publishes examples/sneakers.yaml, which here opens
# 20 seconds after the first start, and serves it until Ctrl-C.
set -eu
umask 077
cd "$(dirname "$0")/.."

data=demo-data
sale=$data/sneakers.yaml
buyers=${DOORBUSTER_LISTEN:-127.0.0.1:8080}
operators=${DOORBUSTER_ADMIN_LISTEN:-127.0.0.1:8081}

in_20_seconds() { # GNU's date, else BSD's
	date -u -d '+20 seconds' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v+20S +%Y-%m-%dT%H:%M:%SZ
}

mkdir -p "$data"
chmod 700 "$data"
if [ -e "$sale" ]; then
	when='continues where it was'
else
	# Closed by hand, so that the demo still sells tomorrow.
	sed -e "s/^opens_at:.*/opens_at: $(in_20_seconds)/" -e '/^closes_at:/d' examples/sneakers.yaml >"$sale.new"
	mv "$sale.new" "$sale"
	when='opens in 20 seconds'
fi
id=$(sed -n 's/^id: *\([a-z0-9-]*\).*/\1/p' "$sale")

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
fi
cat <<TEXT

  ${bold}Doorbuster demo${plain}: the sale "$id" $when

  Buy a shoe     ${bold}http://$buyers/s/$id${plain}
                 ${dim}no account needed: pick a size, press the button, pay at the sandbox cashier${plain}
  Operate it     ${bold}http://$operators/admin/api/v1/sales${plain}
                 ${dim}bearer token in $data/admin-token; also /metrics, /readyz, /debug/pprof${plain}

  In a second terminal:
    the figures  ./bin/doorbuster sale show $id --data $data --admin-url http://$operators
    the orders   curl -H "Authorization: Bearer \$(cat $data/admin-token)" -H 'Accept: text/csv' \\
                   http://$operators/admin/api/v1/sales/$id/orders
    the books    ./bin/doorbuster audit --data $data

  ${dim}Ctrl-C ends it; make demo goes on where it was; rm -r $data starts anew.${plain}

TEXT

# exec: Ctrl-C and SIGTERM reach the node itself.
exec ./bin/doorbuster serve --data "$data" --sale "$sale" --listen "$buyers" --admin-listen "$operators"

#!/bin/sh
# Makes one Redis Cluster of the nodes named, each master with a replica, and
# returns when every node sees all slots served and every master has its
# replica. A cluster that is there already is left as it is.
#
#     redis-cluster.sh HOST:PORT…
set -eu

REDISCLI_AUTH=$(cat "${SECRETS:-/run/secrets}/redis-password")
export REDISCLI_AUTH

# ask NODE WORD… runs a command there.
ask() {
	at=$1
	shift
	redis-cli -h "${at%:*}" -p "${at##*:}" "$@"
}

# says NODE TEXT finds a line in what the node says of the cluster and itself.
says() {
	{
		ask "$1" cluster info
		ask "$1" info replication
	} | tr -d '\r' | grep -qxE "$2"
}

# waits NODE TEXT waits until the node says so, or two minutes.
waits() {
	tries=0
	until says "$1" "$2"; do
		tries=$((tries + 1))
		if [ "$tries" -ge 120 ]; then
			echo "redis-cluster: $1 does not say $2" >&2
			exit 1
		fi
		sleep 1
	done
}

# A node that knows only itself was never part of a cluster.
if says "$1" cluster_known_nodes:1; then
	redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
fi
for node in "$@"; do
	waits "$node" cluster_state:ok
	waits "$node" cluster_slots_ok:16384
	waits "$node" "cluster_known_nodes:$#"
	waits "$node" 'connected_slaves:[1-9][0-9]*|master_link_status:up'
done
echo 'redis-cluster: all slots are served'

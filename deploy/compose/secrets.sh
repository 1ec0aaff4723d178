#!/bin/sh
# Makes the secrets of the shop, each in a file of its own in secrets/ beside
# this script. What is there is kept: the root key must never change.
set -eu
cd "$(dirname "$0")"

umask 077
mkdir -p secrets # closed to others; in it, files that the containers' users can read
cd secrets

# random prints so many random bytes, as text that fits into any URL.
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# put NAME writes what it is given, unless the file is there.
put() {
	if [ -e "$1" ]; then
		cat >/dev/null
		return
	fi
	cat >"$1.new"
	chmod 0444 "$1.new"
	mv "$1.new" "$1"
	echo "made secrets/$1"
}

for name in buyer-key admin-token root-key payments-key; do
	random 32 | put "$name"
done
for name in postgres-password postgres-node-password postgres-owner-password redis-password redis-node-password rabbitmq-password; do
	random 24 | put "$name"
done

# What nodes may do in Redis: their keys and channel, with these commands, which
# are internal/redis.Rights. The first password is for you, and the replicas.
rights='resetkeys ~doorbuster:* resetchannels &doorbuster:* -@all'
rights="$rights +evalsha +eval +hget +hmget +hset +hdel +hincrby +hgetall +hlen +hvals +hscan +unlink +get +set +incrby +decrby"
rights="$rights +xadd +xlen +xdel +xack +xreadgroup +xautoclaim +xgroup|create +xgroup|delconsumer +xinfo|consumers +publish +subscribe +unsubscribe"
rights="$rights +ping +hello +auth +client|setname +info +cluster|slots +cluster|nodes +asking"

put redis.conf <<END
requirepass $(cat redis-password)
masterauth $(cat redis-password)
user doorbuster reset on >$(cat redis-node-password) $rights
END

put rabbitmq.conf <<END
default_user = doorbuster
default_pass = $(cat rabbitmq-password)
default_vhost = doorbuster
default_user_tags.administrator = false
END

# Where the nodes find their machines. The passwords make it a secret.
put doorbuster.yaml <<END
database-url: postgres://doorbuster_node:$(cat postgres-node-password)@postgres:5432/doorbuster?sslmode=disable
migrate-url: postgres://doorbuster_owner:$(cat postgres-owner-password)@postgres:5432/doorbuster?sslmode=disable
redis-url: redis://doorbuster:$(cat redis-node-password)@redis-1:6379,redis-2:6379,redis-3:6379,redis-4:6379,redis-5:6379,redis-6:6379
amqp-url: amqp://doorbuster:$(cat rabbitmq-password)@rabbitmq:5672/doorbuster
END

#!/bin/bash
# Runs once, when the database server is empty: the database, the roles of the
# ledger (docs/operations.md) and the two users that come in as them.
#
#     doorbuster_node   what nodes are: no DDL, lines only added
#     doorbuster_owner  may change the schema; used at a node's start alone
set -eo pipefail

secrets=${SECRETS:-/run/secrets}
node=$(cat "$secrets/postgres-node-password")
owner=$(cat "$secrets/postgres-owner-password")

psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
	-v node="$node" -v owner="$owner" <<'SQL'
CREATE ROLE doorbuster_app NOLOGIN;
CREATE ROLE doorbuster_operator NOLOGIN;
CREATE ROLE doorbuster_migrate NOLOGIN;
CREATE USER doorbuster_node PASSWORD :'node';
CREATE USER doorbuster_owner PASSWORD :'owner';
GRANT doorbuster_app, doorbuster_operator TO doorbuster_node;
GRANT doorbuster_migrate TO doorbuster_owner;
CREATE DATABASE doorbuster;
REVOKE ALL ON DATABASE doorbuster FROM PUBLIC;
GRANT CONNECT ON DATABASE doorbuster TO doorbuster_node, doorbuster_owner;
GRANT CREATE ON DATABASE doorbuster TO doorbuster_migrate;
SQL

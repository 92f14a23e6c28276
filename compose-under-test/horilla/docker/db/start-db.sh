#!/bin/sh
# Makes the cluster on its first start, then becomes postgres. The cluster is made beside its place and moved there
# when it is complete and on the disk: a first start that was interrupted begins anew at the next one.
set -eu
trap 'exit 130' INT # the first process of a container has no default for it

making=${PGDATA%/*}/.initdb

if [ ! -d "$PGDATA" ]; then
  rm -rf "$making"
  initdb --pgdata="$making" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-local=peer --auth-host=scram-sha-256 >/dev/null
  cat >"$making/pg_hba.conf" <<EOF
local all postgres peer
local all all scram-sha-256
host all all all scram-sha-256
EOF
  password=$(printf '%s' "${POSTGRES_PASSWORD:?must be set}" | sed "s/'/''/g")
  postgres --single -D "$making" -c exit_on_error=on postgres >/dev/null <<EOF
CREATE ROLE horilla LOGIN CREATEDB PASSWORD '$password'
CREATE DATABASE horilla OWNER horilla
EOF
  sync -f "$making"
  mv "$making" "$PGDATA"
  sync "${PGDATA%/*}"
  echo "start-db: made a new cluster in $PGDATA"
fi

exec postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql \
  -c max_connections=200 -c log_timezone=UTC -c timezone=UTC

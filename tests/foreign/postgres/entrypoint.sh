#!/bin/sh
# As PostgreSQL's own image does it: root prepares the directory, then gives itself up.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres {} +
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password
    initdb --auth=scram-sha-256 --pwfile=/tmp/password
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"

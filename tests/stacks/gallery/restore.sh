#!/bin/bash
# Rows and, where the archive has them, pictures become what the archive holds.
set -euo pipefail
parts=$(mktemp -d)
tar -C "$parts" -xf "$1"
docker-compose exec -T gallery psql -qh /tmp -U gallery -v ON_ERROR_STOP=1 postgres <"$parts/rows.sql" >/dev/null
if [ -e "$parts/pictures.tar" ]; then
  docker-compose exec -T gallery sh -c 'rm -rf /pictures/* && echo cleared && tar -C /pictures -xv' \
    <"$parts/pictures.tar" >/dev/null
fi
rm -rf "$parts"

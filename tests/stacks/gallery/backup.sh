#!/bin/bash
# The rows and the pictures in one archive; `rows`: the rows alone; `older`: the rows, and the pictures of the backup before.
set -euo pipefail
what=${1:-both}
archive=backups/$(date +%s%N).tar
mkdir -p backups/parts
docker-compose exec -T gallery pg_dump -h /tmp -U gallery --clean --if-exists postgres >backups/parts/rows.sql
case $what in
  both) docker-compose exec -T gallery tar -C /pictures -c . >backups/parts/pictures.tar ;;
  rows) rm -f backups/parts/pictures.tar ;;
esac
tar -C backups/parts -cf "$archive" .
echo "./$archive"

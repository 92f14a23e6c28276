#!/bin/bash
set -euo pipefail
mkdir -p backups
archive=./backups/$(date +%s%N).tar
docker-compose exec -T box tar -C /files -c . >"$archive"
echo "$archive"

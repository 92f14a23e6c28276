#!/bin/bash
# Each step can be interrupted and run again.
set -euo pipefail
echo building
docker-compose build
echo starting
docker-compose up -d
echo migrating
docker-compose exec -T box true
echo deployed

#!/bin/bash
# Broken: the volumes go with the old containers.
set -euo pipefail
docker-compose build
docker-compose down -v
docker-compose up -d

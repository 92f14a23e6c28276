#!/bin/bash
set -euo pipefail
docker-compose exec -T box sh -c 'rm -rf /files/* && tar -C /files -x' <"$1"

#!/bin/bash
set -euo pipefail
docker-compose exec -T box sh -c 'rm -rf /files/* && sync --file-system /files && echo cleared && tar -C /files -xv' <"$1"

#!/bin/bash
# Broken: if it is interrupted after the volume is made anew, the next run overwrites what was set aside.
set -euo pipefail
echo saving
rm -rf aside
docker-compose cp box:/files aside
echo clearing
docker-compose down -v
docker-compose up -d --build
echo restoring
docker-compose cp aside/. box:/files
echo deployed

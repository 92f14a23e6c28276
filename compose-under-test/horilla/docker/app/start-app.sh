#!/bin/sh
# Prepares database and static files, then becomes gunicorn. `start-app.sh --replica` leaves preparing to the first one.
set -eu
trap 'exit 143' TERM # the first process of a container has no default for it
[ "${1:-}" = --replica ] || python manage.py prepare
exec gunicorn config.wsgi \
  --bind 0.0.0.0:8000 \
  --workers "${GUNICORN_WORKERS:-2}" --threads 4 \
  --worker-tmp-dir /dev/shm --no-control-socket \
  --timeout 60 --graceful-timeout 8 --keep-alive 5

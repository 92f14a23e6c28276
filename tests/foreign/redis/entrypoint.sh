#!/bin/sh
# As Redis' own image does it: all that is in the directory belongs to redis, then root gives itself up.
set -eu
find /data ! -user redis -exec chown redis {} +
exec setpriv --reuid=redis --regid=redis --init-groups "$@"

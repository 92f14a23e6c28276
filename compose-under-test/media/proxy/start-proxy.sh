#!/bin/sh
# The body limit is the API's own (plus the multipart envelope), so that both are set in one place.
set -eu
max_bytes=${MEDIA_MAX_BYTES:?}
case $max_bytes in
  *[!0-9]*) echo "start-proxy: MEDIA_MAX_BYTES must be a number of bytes, not '$max_bytes'" >&2; exit 1 ;;
esac
printf 'client_max_body_size %s;\n' "$((max_bytes + 65536))" > /tmp/body-limit.conf
exec nginx -c /etc/nginx/nginx.conf -e stderr

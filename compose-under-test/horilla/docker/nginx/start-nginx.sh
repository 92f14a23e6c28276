#!/bin/sh
# Writes what nginx.conf cannot know, sees to the certificate, then becomes nginx.
set -eu

tls=/etc/nginx/tls
fail() { echo "start-nginx: $*" >&2; exit 1; }

# A pair is made out of sight and moved into place by renames that a later start completes.
make_self_signed() {
  rm -rf $tls/.making
  mkdir $tls/.making
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -config /dev/null \
    -subj "/CN=$SERVER_NAME" \
    -addext "subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:$SERVER_NAME" \
    -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' \
    -addext 'keyUsage=critical,digitalSignature,keyCertSign' \
    -addext 'extendedKeyUsage=serverAuth' \
    -addext 'subjectKeyIdentifier=hash' \
    -keyout $tls/.making/privkey.pem -out $tls/.making/fullchain.pem
  chmod 600 $tls/.making/privkey.pem
  sync -f $tls
  mv $tls/.making $tls/.made
  echo "start-nginx: made a self-signed certificate for localhost, 127.0.0.1 and $SERVER_NAME"
}

move_into_place() {
  for part in privkey.pem fullchain.pem; do
    if [ -e $tls/.made/$part ]; then mv $tls/.made/$part $tls/$part; fi
  done
  rmdir $tls/.made
  sync -f $tls
}

if [ ! -e $tls/.made ] && [ ! -e $tls/fullchain.pem ] && [ ! -e $tls/privkey.pem ]; then
  [ "$TLS_SELF_SIGNED" = yes ] ||
    fail "no certificate: put fullchain.pem and privkey.pem on the volume at $tls, or set TLS_SELF_SIGNED=yes"
  make_self_signed
fi
if [ -e $tls/.made ]; then move_into_place; fi
for part in fullchain.pem privkey.pem; do
  [ -r $tls/$part ] || fail "$tls/$part is missing or cannot be read by $(id -un)"
done

# A file within its limit always fits: the rest is what multipart/form-data adds to it.
largest=$UPLOAD_MAX_BYTES
[ "$DOCUMENT_MAX_BYTES" -le "$largest" ] || largest=$DOCUMENT_MAX_BYTES
port=
[ "$HTTPS_PORT" = 443 ] || port=:$HTTPS_PORT
cat >/tmp/settings.conf <<EOF
client_max_body_size $((largest + 65536));
map \$host \$https_origin { default https://\$host$port; }
EOF

exec nginx -c /etc/nginx/nginx.conf -e stderr

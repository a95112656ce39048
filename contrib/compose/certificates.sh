#!/bin/sh
# Makes a certificate authority and a certificate for each server, once; what is there already stays.
# Usage: certificates.sh DIRECTORY [OWNER]   OWNER is the user id that the servers read their keys as.
set -eu
directory=$1
owner=${2:-}
servers="postgres rabbitmq"

mkdir -p "$directory"
cd "$directory"
umask 077
if [ ! -e ca.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=torkd example CA" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout ca.key -out ca.new 2>/dev/null
    chmod 644 ca.new
    mv ca.new ca.pem
fi
for server in $servers; do
    [ -e "$server.pem" ] && continue
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$server" -keyout "$server.key" -out "$server.csr" 2>/dev/null
    printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\n' "$server" >"$server.ext"
    openssl x509 -req -in "$server.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile "$server.ext" -out "$server.new" 2>/dev/null
    rm "$server.csr" "$server.ext"
    [ -z "$owner" ] || chown "$owner" "$server.key"
    chmod 644 "$server.new"
    mv "$server.new" "$server.pem"
done

#!/bin/sh
# Installs the servers that tests use, from Debian's packages, where that is possible; says what is missing where not.
# The tests start them by themselves, on free ports and sockets, and in directories of their own.
set -u

missing=""
[ -x /usr/lib/postgresql/15/bin/initdb ] || missing="$missing postgresql-15"

[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"

# needs PROGRAM PACKAGE...: these packages, unless the program is there already, wherever it came from.
needs() {
    program=$1
    shift
    command -v "$program" >/dev/null 2>&1 || missing="$missing $*"
}
needs setpriv util-linux
needs ip iproute2
needs systemd-analyze systemd
needs openssl openssl
needs curl curl
needs zsh zsh
needs fish fish
needs nginx nginx
needs iptables iptables
needs runc runc
needs dockerd docker.io
needs docker-init tini
needs docker-registry docker-registry
# Beside Podman itself: networks in which containers find each other by name, and an init for containers.
needs podman podman conmon netavark aardvark-dns
needs catatonit catatonit
if command -v podman >/dev/null 2>&1 && [ ! -x /usr/lib/podman/netavark ] && [ ! -x /usr/libexec/podman/netavark ]; then
    missing="$missing netavark aardvark-dns"
fi
# The images of tests hold nothing else, so it has to be the static one.
if ! dpkg-query -W -f '${Status}' busybox-static 2>/dev/null | grep -q "ok installed"; then
    missing="$missing busybox-static"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing for some tests, which are skipped:$missing" >&2
    exit 0
fi

# The packages would start servers of their own; the tests want the programs only.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get update >/dev/null 2>&1
    apt-get install -y --no-install-recommends $missing >/dev/null || {
        echo "could not be installed, tests that need them are skipped:$missing" >&2
        exit 0
    }
}

#!/bin/sh
# Installs the servers that tests use, from Debian's packages, where that is possible; says what is missing where not.
# The tests start them by themselves, on free ports and in directories of their own.
set -u

missing=""
[ -x /usr/lib/postgresql/15/bin/initdb ] || missing="$missing postgresql-15"
command -v setpriv >/dev/null 2>&1 || missing="$missing util-linux"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing for some tests, which are skipped:$missing" >&2
    exit 0
fi

# The package would start a server on port 5432; the tests want the programs only.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get update >/dev/null 2>&1
    apt-get install -y --no-install-recommends $missing >/dev/null || {
        echo "could not be installed, tests that need them are skipped:$missing" >&2
        exit 0
    }
}

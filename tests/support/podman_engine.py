"""A `podman system service` of the test run's own: its storage, networks and addresses are in the keeper's directory.

Its settings are what Podman needs where the machine can't raise limits, and where cgroups are those of the first version.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

from tests.support.engine_api import EngineApi
from tests.support.images import load_images
from tests.support.server_process import start_server, stop_server
from tests.support.subnets import claim_subnet

PROGRAMS = ("podman", "conmon", "runc")
NETAVARK = Path("/usr/lib/podman/netavark")


def start(base: Path) -> None:
    """Start it in this directory and load the images."""
    subnet = claim_subnet(base)
    (base / "networks").mkdir()
    (base / "networks" / "podman.json").write_text(json.dumps(_default_network(subnet)))
    (base / "containers.conf").write_text(_containers_conf(base, subnet))
    (base / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\nrunroot = "{base}/run"\ngraphroot = "{base}/data"\n'
    )
    # Those of tests speak no TLS; whatever port they get.
    hosts = ("127.0.0.1", "localhost")
    (base / "registries.conf").write_text(
        "".join(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in hosts)
    )
    socket = base / "engine.sock"
    start_server(
        base,
        ["podman", "system", "service", "--time=0", f"unix://{socket}"],
        ready=EngineApi(str(socket)).is_up,
        env=environment(base),
    )
    load_images(EngineApi(str(socket)))


def end(base: Path) -> None:
    """Stop it, and remove all containers and networks: so bridges and entries of shared memory go, too."""
    stop_server(base)
    for command in (
        ["rm", "--all", "--force", "--time=0"],
        ["volume", "prune", "--force"],
        ["network", "prune", "--force"],
    ):
        subprocess.run(
            ["podman", *command], env={**os.environ, **environment(base)}, check=False, timeout=60, capture_output=True
        )


def environment(base: Path) -> dict[str, str]:
    """What makes a podman command use this directory."""
    return {
        "CONTAINERS_CONF": str(base / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(base / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(base / "registries.conf"),
        "REGISTRY_AUTH_FILE": str(base / "no-auth.json"),
    }


def _containers_conf(base: Path, subnet: IPv4Network) -> str:
    return f"""[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
events_logger = "file"
cgroup_manager = "cgroupfs"
runtime = "{_runtime()}"
[network]
network_backend = "{"netavark" if NETAVARK.exists() else "cni"}"
network_config_dir = "{base}/networks"
default_subnet_pools = [{{"base" = "{subnet}", "size" = 24}}]
"""


def _default_network(subnet: IPv4Network) -> dict[str, object]:
    """The network of containers that name none, on a bridge of its own."""
    first = next(subnet.subnets(new_prefix=24))
    return {
        "name": "podman",
        "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
        "driver": "bridge",
        "network_interface": f"torkd-t{str(subnet).split('.')[1]}",
        "created": "2024-01-01T00:00:00Z",
        "subnets": [{"subnet": str(first), "gateway": str(first.network_address + 1)}],
        "ipv6_enabled": False,
        "internal": False,
        "dns_enabled": False,
        "ipam_options": {"driver": "host-local"},
    }


def _runtime() -> str:
    """crun can't be used where a part of the cgroups is of the first version, a part of the second."""
    is_unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return "crun" if is_unified and shutil.which("crun") else "runc"

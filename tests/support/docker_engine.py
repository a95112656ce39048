"""A dockerd of the test run's own: beside others on the machine without touching them.

It has its own bridge and addresses. It is told to leave the packet filter alone, since a second dockerd would throw away the
first one's rules: one rule of ours lets its containers talk with each other.
"""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

from tests.support.engine_api import EngineApi
from tests.support.images import load_images
from tests.support.server_process import start_server, stop_server
from tests.support.subnets import claim_subnet, claimed_subnet

PROGRAMS = ("dockerd", "containerd", "runc", "ip")


def start(base: Path) -> None:
    """Start it in this directory and load the images."""
    subnet = claim_subnet(base)
    bridge = _bridge(subnet)
    _run("ip", "link", "add", "name", bridge, "type", "bridge")
    _run("ip", "address", "add", f"{subnet.network_address + 1}/24", "dev", bridge)
    _run("ip", "link", "set", bridge, "up")
    if shutil.which("iptables"):
        _run("iptables", "-w", "-I", "FORWARD", *_rule(subnet))
    launch(base)
    load_images(EngineApi(str(base / "engine.sock")))


def launch(base: Path) -> subprocess.Popen[bytes]:
    """Start the server itself, the first time or after it was killed."""
    subnet = claimed_subnet(base)
    assert subnet is not None
    socket = base / "engine.sock"
    # containerd dies with a killed dockerd; where nobody reaps orphans, its pid seems to be alive.
    for stale in ("dockerd.pid", "exec/containerd/containerd.pid"):
        (base / stale).unlink(missing_ok=True)
    return start_server(
        base,
        [
            *("dockerd", "--host", f"unix://{socket}", "--pidfile", str(base / "dockerd.pid")),
            *("--data-root", str(base / "data"), "--exec-root", str(base / "exec"), "--config-file", _config(base)),
            *("--bridge", _bridge(subnet), "--iptables=false", "--ip6tables=false", "--ip-masq=false"),
            *("--default-address-pool", f"base={subnet},size=24", "--shutdown-timeout", "1"),
        ],
        ready=EngineApi(str(socket)).is_up,
    )


def end(base: Path) -> None:
    """Stop it, and remove what is outside of its directory."""
    stop_server(base)
    subnet = claimed_subnet(base)
    if subnet is None:
        return
    if shutil.which("iptables"):
        subprocess.run(["iptables", "-w", "-D", "FORWARD", *_rule(subnet)], check=False)
    _run("ip", "link", "delete", _bridge(subnet))
    for bridge in _bridges_in(subnet):
        _run("ip", "link", "delete", bridge)


def _config(base: Path) -> str:
    """An empty one: the machine's own says how *its* dockerd runs."""
    config = base / "daemon.json"
    config.write_text("{}")
    return str(config)


def _bridge(subnet: IPv4Network) -> str:
    return f"torkd-t{str(subnet).split('.')[1]}"


def _bridges_in(subnet: IPv4Network) -> list[str]:
    """Those of networks that are still there."""
    told = subprocess.run(["ip", "-oneline", "-4", "address", "show", "type", "bridge"], capture_output=True, text=True)
    stem = str(subnet.network_address).removesuffix("0.0")
    return [line.split()[1] for line in told.stdout.splitlines() if line.split()[3].startswith(stem)]


def _rule(subnet: IPv4Network) -> list[str]:
    return ["-s", str(subnet), "-d", str(subnet), "-m", "comment", "--comment", "torkd tests", "-j", "ACCEPT"]


def _run(*command: str) -> None:
    subprocess.run(command, check=True)

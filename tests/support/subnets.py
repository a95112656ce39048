"""A network of the machine that nobody uses, for an engine's bridges."""

from __future__ import annotations

import json
import random
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

CLAIM = "subnet"
"""The file in which a server notes what it took."""


def claim_subnet(base: Path) -> IPv4Network:
    """A /16 of 10/8 to which no route leads and that no other server of tests has; it goes with the directory."""
    routes = json.loads(subprocess.run(["ip", "-json", "-4", "route"], capture_output=True, check=True).stdout)
    taken = {f"{route['dst'].split('/')[0]}" for route in routes if route["dst"] != "default"}
    claimed = {claim.read_text() for claim in base.parent.glob(f"*/{CLAIM}")}
    free = [
        network
        for network in IPv4Network("10.0.0.0/8").subnets(new_prefix=16)
        if str(network) not in claimed and not any(address.startswith(_stem(network)) for address in taken)
    ]
    chosen = random.choice(free[90:])  # the first ones are what people like
    (base / CLAIM).write_text(str(chosen))
    return chosen


def claimed_subnet(base: Path) -> IPv4Network | None:
    """What was claimed for this directory, if anything."""
    claim = base / CLAIM
    return IPv4Network(claim.read_text()) if claim.exists() else None


def _stem(network: IPv4Network) -> str:
    return str(network.network_address).removesuffix("0.0")

"""The address of the client: the peer's, or what proxies that we trust say of whom they serve.

A header that anybody can send decides nothing: from its end on, each hop is believed only as long as it is a trusted proxy.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import falcon

Address = IPv4Address | IPv6Address


class ClientAddress:
    """Comes first: limits and the log ask for it."""

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._trusted = [ip_network(entry.strip(), strict=False) for entry in trusted_proxies]

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.client_address = self._client(req)

    def _client(self, req: falcon.Request) -> str:
        peer = req.remote_addr or ""
        address = _parsed(peer)
        if address is None or not self._is_trusted(address):
            return str(address or peer)
        forwarded = (req.get_header("X-Forwarded-For") or "").split(",")
        for hop in reversed(
            [text.strip() for text in forwarded if text.strip()] or [req.get_header("X-Real-IP") or ""]
        ):
            found = _parsed(hop)
            if found is None:
                break
            address = found
            if not self._is_trusted(found):
                break
        return str(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted if network.version == address.version)


def bucket_of(address: str) -> str:
    """Whose limits an address counts for: one household has a whole /64 of IPv6."""
    found = _parsed(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, 64), strict=False))
    return address


def _parsed(text: str) -> Address | None:
    host = text.strip().strip("[]") if text.count(":") != 1 else text.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found

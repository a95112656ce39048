"""Which addresses are not of the open internet: this machine, its neighbours, and what only a cloud's own machines can reach."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_SPECIAL = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
"""Answered by what is below or beside a machine, and taken for global by Python: metadata at Oracle, the host at Azure."""
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")


def is_private(address: str) -> bool:
    """Whether it is private, loopback, link-local, unique-local, shared by a carrier, reserved, multicast, or reaches a
    cloud's metadata; also where it is written as an IPv6 address that stands for such an IPv4 one. Raises `ValueError`.
    """
    return any(_is_private(known) for known in _meanings(ip_address(address.partition("%")[0])))


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    if address.is_multicast or address.is_unspecified or not address.is_global:
        return True
    if isinstance(address, IPv6Address):
        return address.is_site_local
    return any(address in network for network in _SPECIAL)


def _meanings(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address, and the IPv4 addresses to which a gateway may translate it."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield address.teredo[1]
        if address in _COMPATIBLE or any(address in network for network in _NAT64):
            yield IPv4Address(int(address) & 0xFFFFFFFF)

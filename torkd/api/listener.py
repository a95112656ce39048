"""Where the API listens. Sockets are bound before anything else starts, so that a taken port is told at once."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

from tork.errors import StartError
from torkd.settings import split_address

_BACKLOG = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where to listen: `address` as host:port or, without one, the first free of a range of ports."""

    address: str | None
    key: str
    """The setting that changes it."""
    default_host: str
    default_ports: range


def coordinator_place(address: str | None) -> Place:
    """Where a coordinator, or standalone, listens."""
    return Place(address=address, key="coordinator.address", default_host="localhost", default_ports=range(8000, 8100))


def worker_place(address: str | None) -> Place:
    """Where a worker listens: on all interfaces unless told otherwise."""
    return Place(address=address, key="worker.address", default_host="", default_ports=range(8001, 8100))


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """A bound socket that listens."""

    sock: socket.socket
    host: str
    """As it was configured; empty for all interfaces."""
    scheme: str = "http"

    @property
    def port(self) -> int:
        port: int = self.sock.getsockname()[1]
        return port

    @property
    def endpoint(self) -> str:
        """Its URL, for people and for clients on this machine."""
        host = self.host or "localhost"
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"


def listen(place: Place) -> Listener:
    """Bind and listen. Raises `StartError` with the setting to change."""
    if place.address is not None:
        host, port = split_address(place.address)
        try:
            return Listener(sock=_bind(host, port), host=host)
        except OSError as error:
            raise StartError(_refusal(place, error)) from error
    for port in place.default_ports:
        try:
            return Listener(sock=_bind(place.default_host, port), host=place.default_host)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StartError(_refusal(place, error)) from error
    raise StartError(
        f"no port from {place.default_ports[0]} to {place.default_ports[-1]} is free: set {place.key} to an address that is"
    )


def _bind(host: str, port: int) -> socket.socket:
    sock = _bound(host, port)
    # Accepted sockets inherit it: no answer waits for the client's acknowledgement of the part before.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _bound(host: str, port: int) -> socket.socket:
    if not host:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
        return socket.create_server(("", port), backlog=_BACKLOG)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # IPv4 first: a client that knows 'localhost' as ::1 too goes on to 127.0.0.1, not every one the other way round.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return socket.create_server(address[:2], family=family, backlog=_BACKLOG)


def _refusal(place: Place, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{place.address} is in use by another process: stop that, or set {place.key} to a free address"
    reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error.args[-1])
    shown = place.address or f"{place.default_host}:{place.default_ports[0]}"
    return f"can't listen on {shown} ({reason}): set {place.key} to an address of this machine"

"""Defaults that depend on the machine or on other settings.

They are filled in when all other values are there; none of them depends on another of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from torkd.settings.addresses import split_address

_MANAGEMENT_PORT = 15672
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 - what a daemon may listen on; nothing listens here


@dataclass(frozen=True)
class Machine:
    """What of the machine decides defaults."""

    cwd: Path
    home: Path
    is_root: bool


@dataclass(frozen=True)
class Derived:
    """A default: in words for the docs, and as a function of the values so far."""

    words: str
    compute: Callable[[Mapping[str, Any], Machine], Any]


def _same_as(key: str) -> Derived:
    return Derived(key, lambda values, _: values[key])


def _data_directory(_: Mapping[str, Any], machine: Machine) -> Path:
    return Path("/var/lib/tork") if machine.is_root else machine.home / ".local/share/tork"


def _management_url(values: Mapping[str, Any], _: Machine) -> str:
    host = urlsplit(values["broker.rabbitmq.url"]).hostname or "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{_MANAGEMENT_PORT}"


def _client_endpoint(values: Mapping[str, Any], _: Machine) -> str:
    if values["endpoint"] or not values["coordinator.address"]:
        return str(values["endpoint"] or "http://localhost:8000")
    host, port = split_address(values["coordinator.address"])
    if host in _EVERYWHERE:
        host = "localhost"
    scheme = "https" if values["coordinator.tls.cert"] else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


DERIVED: Mapping[str, Derived] = {
    "data.dir": Derived("/var/lib/tork as root, else ~/.local/share/tork", _data_directory),
    "client.endpoint": Derived(
        "endpoint, else where coordinator.address is, else http://localhost:8000", _client_endpoint
    ),
    "broker.rabbitmq.management.url": Derived("port 15672 of the host in broker.rabbitmq.url", _management_url),
    "locker.type": _same_as("datastore.type"),
    "locker.postgres.dsn": _same_as("datastore.postgres.dsn"),
    "locker.postgres.max_open_conns": _same_as("datastore.postgres.max_open_conns"),
    "locker.postgres.max_idle_conns": _same_as("datastore.postgres.max_idle_conns"),
    "locker.postgres.conn_max_lifetime": _same_as("datastore.postgres.conn_max_lifetime"),
    "locker.postgres.conn_max_idle_time": _same_as("datastore.postgres.conn_max_idle_time"),
}

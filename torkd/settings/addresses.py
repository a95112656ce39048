"""Addresses and URLs as settings write them: `localhost:8000`, `:8001`, `[::1]:8000`, `http://host:8000`."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

_MAX_PORT = 65535


def split_address(text: str) -> tuple[str, int]:
    """Host (empty for all interfaces) and port of a `host:port`. Raises `ValueError` with what would be right."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not colon
        or not _is_port(port)
        or (":" in bare) != (bare != host)
        or any(c.isspace() or c in "/@[]" for c in bare)
    ):
        raise ValueError("not an address (right would be host:port, such as 'localhost:8000' or ':8001')")
    return bare, int(port)


def is_loopback(text: str) -> bool:
    """Whether an address can be reached from this machine only."""
    host, _ = split_address(text)
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name may lead anywhere


def check_address(text: str) -> None:
    """Raises `ValueError` unless `text` is a `host:port`."""
    split_address(text)


def url_check(*schemes: str) -> Callable[[str], None]:
    """A check that a text is a URL with a host and one of these schemes; it raises `ValueError` otherwise."""

    def check(text: str) -> None:
        if not _is_url(text, schemes):
            raise ValueError(
                f"not a usable URL (right would begin with {' or '.join(f'{s}://' for s in schemes)} and name a host)"
            )

    return check


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False  # an unclosed bracket, or a port that is no number


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= _MAX_PORT

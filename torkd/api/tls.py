"""What HTTPS needs: a certificate and its key, read when the files change and not for each connection."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tork.errors import StartError

log = logging.getLogger(__name__)

RECORD = 16 * 1024
"""Bytes that are sent together. A socket with TLS tells how much it has sent when that was all it was given: given more, a client that
takes it slowly would look like one that takes nothing."""
_Look = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tls:
    """The files. A renewed certificate needs no restart."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Raises `StartError` when they can't be used."""
        try:
            self.load()
        except ssl.SSLError as error:
            raise StartError(
                f"coordinator.tls.cert {self.certificate} and coordinator.tls.key {self.key} can't be used: "
                f"{error.reason or error} (right would be PEM files of one pair, the key without a passphrase)"
            ) from error
        except OSError as error:
            raise StartError(
                f"coordinator.tls.cert {self.certificate} or coordinator.tls.key {self.key} can't be read: {error.strerror}"
            ) from error

    def load(self) -> ssl.SSLContext:
        """Read them. Raises `OSError`, of which `SSLError` is one."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
        return context

    def look(self) -> _Look:
        """Differs from what it was when a file was changed, replaced or removed."""
        return tuple(map(_look_of, (self.certificate, self.key)))


class CurrentCertificate:
    """The context for new connections. Files that can't be used leave the one of before in force. For one thread."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._read: _Look | None = None
        """What the files looked like when they were read last, whatever came of it."""
        self._context: ssl.SSLContext | None = None

    def __call__(self, config: Any, make_default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """As gunicorn's setting `ssl_context` wants it. Raises `OSError` when there has been no context yet."""
        look = self._tls.look()
        if self._context is not None and look == self._read:
            return self._context
        self._read = look
        try:
            self._context = self._tls.load()
        except OSError as error:
            if self._context is None:
                raise
            self._warn(error)
        return self._context

    def _warn(self, error: OSError) -> None:
        log.warning(
            "coordinator.tls.cert %s and coordinator.tls.key %s have changed and can't be used: %s; the certificate of before stays",
            self._tls.certificate,
            self._tls.key,
            error,
        )


def _look_of(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _no_passphrase() -> str:
    """Never ask on the terminal: a daemon has none."""
    return ""

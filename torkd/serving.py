"""`torkd run …`: the port, and the processes that serve, put together; what is the same in every mode.

The parent process holds what must outlive the serving ones: the listening socket, and standalone the database's keeper. The
daemon of a mode is made in the serving process, after the fork, and again in its successor when one dies.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torkd
from tork.errors import StartError
from torkd.api.listener import Listener, Place, listen
from torkd.api.served import Served
from torkd.api.server import ServerOptions, serve
from torkd.api.tls import Tls
from torkd.banner import show_banner
from torkd.extensions import Extensions
from torkd.logs import configure_logging, set_level
from torkd.memory import keep_little_freed_memory
from torkd.settings import Loaded, Settings
from torkd.settings.addresses import is_loopback
from torkd.switching import switch_often

log = logging.getLogger(__name__)


class Daemon(Protocol):
    """What serves in one process."""

    @property
    def app(self) -> Callable[..., Iterable[bytes]]:
        """The WSGI application. It answers from the start, while `start` is tried again too."""

    def start(self) -> object:
        """Begin the work."""

    def drain(self, *, short: bool = False) -> None:
        """Take no more work; return when what was in hand is done or handed back."""

    def end_streams(self) -> None:
        """End the answers that last."""

    def leave(self) -> None:
        """End as if killed: what can go on without this process is left to its successor."""

    def close(self) -> None:
        """Stop everything."""

    def reload(self, settings: Settings) -> None:
        """Take over what can change while running."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """How one mode serves."""

    make: Callable[[int], Daemon]
    """The daemon of this process, not yet started; takes the port."""
    drain_seconds: float
    processes: int = 1
    tls: Tls | None = None
    body_limit: int = 0


def tls_of(settings: Settings) -> Tls | None:
    """What HTTPS needs, where it is wanted. Raises `StartError` when it can't be used."""
    tls = settings.coordinator.tls
    if tls.cert is None and tls.key is None:
        return None
    if tls.cert is None or tls.key is None:
        has, lacks = ("key", "cert") if tls.cert is None else ("cert", "key")
        raise StartError(
            f"coordinator.tls.{has} is set without coordinator.tls.{lacks} (right would be both, or neither)"
        )
    found = Tls(certificate=tls.cert, key=tls.key)
    found.check()
    return found


def open_door(loaded: Loaded, place: Place) -> Listener:
    """Set up the log, take the port, show the banner. Raises `StartError`, with nothing started."""
    settings = loaded.settings
    configure_logging(settings.logging.level, settings.logging.format)
    listener = listen(place)
    show_banner(settings.cli.banner_mode, version=torkd.__version__, stdout=sys.stdout, stderr=sys.stderr)
    return listener


def warn_of_open_door(settings: Settings) -> None:
    """Say it once when others can reach the API and nobody is asked who they are, or passwords come in clear."""
    address, web, tls = settings.coordinator.address, settings.middleware.web, settings.coordinator.tls
    if address is None or is_loopback(address):
        return
    if not (web.basicauth.enabled or web.keyauth.enabled):
        log.warning(
            "whoever reaches %s may do everything: nobody is asked who they are (right would be"
            " middleware.web.basicauth.enabled or middleware.web.keyauth.enabled, or an address of this machine alone)",
            address,
        )
    elif tls.cert is None and not web.trusted_proxies:
        log.warning(
            "passwords and keys come to %s in clear (right would be coordinator.tls.cert and coordinator.tls.key, or"
            " middleware.web.trusted_proxies with the proxy that encrypts)",
            address,
        )


def serve_mode(extensions: Extensions, listener: Listener, mode: Mode, **told: Any) -> int:
    """Serve until a signal ends it; the exit code. `told` is logged with the first line. Raises `StartError`."""
    # Asked now: gunicorn takes the socket over.
    port, endpoint = listener.port, replace(listener, scheme="https" if mode.tls else "http").endpoint

    def start() -> Served:
        switch_often()
        keep_little_freed_memory()
        daemon = mode.make(port)
        daemon.start()
        log.info("serving on %s", endpoint, extra=told)
        return Served(
            app=daemon.app,
            drain=daemon.drain,
            end_streams=daemon.end_streams,
            leave=daemon.leave,
            close=daemon.close,
            reload=lambda: _reload(daemon, extensions),
        )

    options = ServerOptions(
        drain_seconds=mode.drain_seconds, processes=mode.processes, tls=mode.tls, body_limit=mode.body_limit
    )
    code = serve(listener, options, start=start)
    log.info("stopped")
    return code


def _reload(daemon: Daemon, extensions: Extensions) -> None:
    """Read again what can change while running: the logging level, and what the daemon knows to change."""
    settings = extensions.read_settings().settings
    set_level(settings.logging.level)
    daemon.reload(settings)
    log.info("read the settings again: level %s, queues %s", settings.logging.level, dict(settings.worker.queues))

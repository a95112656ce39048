"""Serving with gunicorn: one parent that watches, and processes that serve and do the daemon's work.

The parent holds the listening socket and nothing else. Everything with threads or connections is made by `start` in the
serving process, after the fork, and again in its successor when one dies.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication

from tork.errors import StartError
from torkd.api.arbiter import TorkArbiter
from torkd.api.listener import Listener
from torkd.api.served import Served
from torkd.api.server_log import ServerLog
from torkd.api.tls import CurrentCertificate, Tls
from torkd.api.worker_class import StreamingWorker
from torkd.notify import Notifier

log = logging.getLogger(__name__)

_AFTER_DRAIN_SECONDS = 5
_START_SECONDS = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """How to serve."""

    drain_seconds: float
    """How long draining may take; what is not over `_AFTER_DRAIN_SECONDS` later is killed."""
    processes: int = 1
    threads: int = 64
    connections: int = 4096
    tls: Tls | None = None
    """None: plain HTTP."""
    body_limit: int = 0
    """Larger bodies are refused by the application before it reads them."""


def serve(
    listener: Listener, options: ServerOptions, *, start: Callable[[], Served], notifier: Notifier | None = None
) -> int:
    """Serve until a signal ends it; the exit code. `start` is called in each serving process, and may raise `StartError`.

    Raises `StartError` when the first one could not start. Returns in the calling process only.
    """
    parent = os.getpid()
    _allow_open_files(2 * options.connections)
    application = _Application(listener, options, start)
    arbiter = TorkArbiter(application, notifier or Notifier())
    os.environ.pop("SERVER_SOFTWARE", None)  # gunicorn's; tasks would inherit it
    code = 0
    try:
        arbiter.run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        if os.getpid() == parent:
            raise
        log.exception("a serving process failed")
        code = 1
    if os.getpid() != parent:
        _end_child(code)
    if arbiter.failure:
        raise StartError(arbiter.failure)
    return code


def _allow_open_files(count: int) -> None:
    """As many as the connections need, where the system lets us choose."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _end_child(code: int) -> NoReturn:
    """A serving process ends here: unwinding further would run what only the parent may clean up."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Application(BaseApplication):
    """gunicorn's view of us."""

    tell = -1
    # the end of the arbiter's pipe that its children write to
    was_ready = False
    # whether a child has ever served: then an outage while its successor starts is waited for, not told as a failed start

    def __init__(self, listener: Listener, options: ServerOptions, start: Callable[[], Served]) -> None:
        self._listener = listener
        self._options = options
        self.start = start
        self.body_limit = options.body_limit
        super().__init__()

    def load_config(self) -> None:
        options = self._options
        values: dict[str, Any] = {
            "bind": [f"fd://{self._listener.sock.fileno()}"],
            "workers": options.processes,
            "worker_class": StreamingWorker,
            "logger_class": ServerLog,
            "threads": options.threads,
            "worker_connections": options.connections,
            "graceful_timeout": int(options.drain_seconds + _AFTER_DRAIN_SECONDS),
            "timeout": _START_SECONDS,
            "keepalive": 30,
            "preload_app": False,
            "max_requests": 0,
            "control_socket_disable": True,
            "limit_request_line": 8190,
            "default_proc_name": "torkd",
        }
        if options.tls is not None:
            values |= {
                "certfile": str(options.tls.certificate),
                "keyfile": str(options.tls.key),
                "do_handshake_on_connect": False,
                "ssl_context": CurrentCertificate(options.tls),
            }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> NoReturn:
        raise NotImplementedError("the serving process makes its application with start()")

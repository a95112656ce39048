"""HTTP for one client: what `torkctl run` talks to. Loopback only, a free port, and nobody without the key gets in.

The engine runs whatever it is sent as the user who started it, so other users of the machine must not reach it.
"""

from __future__ import annotations

import hmac
import secrets
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from torkd.endpoints import Wsgi


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no news."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the name is the base class's
        """The engine logs requests itself."""


class PrivateServer:
    """Serves the API in threads of this process until `close`."""

    def __init__(self, app: Wsgi, place: tuple[str, int] | None = None) -> None:
        """At a `place`, a host and a port, whoever reaches it may ask. Raises `OSError` when it can't be had."""
        self.key = secrets.token_hex(24) if place is None else ""
        """What the client sends as `Authorization: Bearer <key>`; empty when nobody asks for it."""
        host, port = place or ("127.0.0.1", 0)
        served = self._guarded(app) if place is None else app
        self._server = make_server(host, port, served, server_class=_Server, handler_class=_Handler)
        self.endpoint = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="private-http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def _guarded(self, app: Wsgi) -> Wsgi:
        wanted = f"Bearer {self.key}".encode()

        def guard(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            given = str(environ.get("HTTP_AUTHORIZATION", "")).encode("latin-1", "replace")
            if hmac.compare_digest(given, wanted):
                return app(environ, start_response)
            start_response("401 Unauthorized", [("Content-Type", "application/json")])
            return [b'{"message":"Unauthorized"}']

        return guard

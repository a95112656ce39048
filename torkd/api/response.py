"""Answers on their way out: head and body at once, and a client that takes them slowly holds a thread for a moment only.

What it has not taken by then waits without a thread (`Outgoing`), and the connection is closed when it is sent.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

import falcon
from gunicorn.http import wsgi

from torkd.api.streams.body import Head

SEND_SECONDS = 1.0
"""How long a thread waits for a client to take an answer."""
STALLED_SECONDS = 60.0
"""How long a client may take nothing."""
MOST_UNSENT = 256 * 1024 * 1024
"""What all such clients may be owed together: above it those are dropped that have taken nothing for longest."""
_PIECE = 256 * 1024
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class CompactResponse(wsgi.Response):
    """Sends head and body at once, and does not say which server it is."""

    _unsent_head = b""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.left = bytearray()
        """What the client has not taken in time."""
        self._until = 0.0

    def default_headers(self) -> list[str]:
        return [header for header in super().default_headers() if not header.startswith("Server:")]

    def send_headers(self) -> None:
        if not self.headers_sent:
            self._unsent_head = head_text(self).encode("latin-1")
            self.headers_sent = True

    def close(self) -> None:
        self.send_headers()
        self._emit_body(b"")

    def _emit_body(self, data: bytes) -> None:
        """An empty chunk is the last one, as HTTP has it."""
        if self.chunked:
            data = b"%X\r\n%b\r\n" % (len(data), data)
        data, self._unsent_head = self._unsent_head + data, b""
        self._until = self._until or time.monotonic() + SEND_SECONDS
        self.left += data if self.left else data[_send_until(self.sock, data, self._until) :]


def head_text(resp: wsgi.Response) -> str:
    """The head of a response with its status as it is now."""
    lines = (f"{name}: {value}\r\n" for name, value in resp.headers)
    return "".join([*resp.default_headers(), *lines, "\r\n"])


def head_of(resp: wsgi.Response) -> Head:
    """The head of a detached answer, made when its status is known."""

    def head(status: int, length: int | None) -> bytes:
        resp.status = falcon.code_to_http_status(status)
        if length is not None:
            resp.chunked = False
            resp.headers = [*resp.headers, ("Content-Length", str(length))]
        return head_text(resp).encode("latin-1")

    return head


@dataclass(slots=True)
class Outgoing:
    """What a slow client is still to get."""

    left: bytearray
    until: float
    """When patience ends, unless it takes something."""
    _sent: int = 0

    @property
    def owed(self) -> int:
        """In bytes."""
        return len(self.left) - self._sent

    def send(self, sock: socket.socket, now: float) -> bool:
        """Send what is taken at once; whether that was all. Raises `OSError` when the client is gone."""
        with memoryview(self.left) as view:
            while self.owed:
                try:
                    self._sent += sock.send(view[self._sent : self._sent + _PIECE])
                except _NOT_NOW:
                    return False
                self.until = now + STALLED_SECONDS
        return True


def _send_until(sock: socket.socket, data: bytes, until: float) -> int:
    """How much was sent when all was, or when it was time."""
    sent = 0
    try:
        while sent < len(data) and (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            sent += sock.send(memoryview(data)[sent : sent + _PIECE])
    except TimeoutError:
        pass
    sock.settimeout(None)
    return sent

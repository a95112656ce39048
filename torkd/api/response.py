"""Answers on their way out: no thread waits for a client to take one, and what is made in parts is made as the client takes them.

What a client has not taken waits without a thread, and all of that together is bounded: `MOST_UNSENT`.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import falcon
from gunicorn.http import wsgi

from torkd.api.streams.body import Head
from torkd.api.tls import RECORD

log = logging.getLogger(__name__)

STALLED_SECONDS = 60.0
"""How long a client may take nothing."""
MOST_UNSENT = 64 * 1024 * 1024
"""What all clients may be owed together: above it those are dropped that have taken nothing for longest."""
_PIECE = 256 * 1024
_AT_ONCE = 8 * _PIECE
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class PartsBody:
    """A body whose parts cost something: under our worker each is made when the client has taken the one before."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self._parts


class CompactResponse(wsgi.Response):
    """Head and body at once, not saying which server it is. What it is told to write it keeps in `unsent`."""

    _unsent_head = b""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.unsent: deque[memoryview] = deque()

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
        head, self._unsent_head = self._unsent_head, b""
        self.unsent.extend(memoryview(piece) for piece in (head, data) if piece)


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


class Outgoing:
    """One answer: made and sent by one thread at a time."""

    def __init__(self, resp: CompactResponse, body: Iterable[bytes], now: float) -> None:
        self.until = now + STALLED_SECONDS
        """When patience ends, unless the client takes something."""
        self.keeps = False
        """Whether the connection may be used for another request."""
        self._resp = resp
        self._body = body
        self._parts = iter(body)
        self.is_costly = isinstance(body, PartsBody)
        """Whether making a part costs much."""
        self._is_there = isinstance(body, list)
        self._is_made = False

    @property
    def owed(self) -> int:
        """In bytes."""
        return sum(map(len, self._resp.unsent))

    @property
    def is_over(self) -> bool:
        """Whether all was made and sent."""
        return self._is_made and not self._resp.unsent

    def send(self, sock: socket.socket, now: float) -> None:
        """Send what is taken at once. Raises `OSError` when the client is gone."""
        unsent = self._resp.unsent
        piece = RECORD if isinstance(sock, ssl.SSLSocket) else _PIECE
        for _ in range(_AT_ONCE // piece):
            if not unsent:
                return
            try:
                sent = sock.send(unsent[0][:piece])
            except _NOT_NOW:
                return
            self.until = now + STALLED_SECONDS
            if sent == len(unsent[0]):
                unsent.popleft()
            else:
                unsent[0] = unsent[0][sent:]

    def send_part(self, sock: socket.socket) -> None:
        """Make the next part, and send what is taken of it at once. Raises what the body raises, and `OSError`."""
        try:
            self._make()
            self.send(sock, time.monotonic())
        except BaseException:
            self.close()
            raise

    def go_on(self, sock: socket.socket) -> Outgoing:
        """The same, and for parts that cost little again as long as the client takes them at once."""
        self.send_part(sock)
        while not (self.is_costly or self.owed or self._is_made):
            self.send_part(sock)
        return self

    def close(self) -> None:
        """No more of the body is wanted. May be repeated."""
        close = getattr(self._body, "close", None)
        self._body = ()
        if close is not None:
            try:
                close()
            except Exception:  # it is a plugin's, and all of its answer was made, or nobody wants the rest
                log.exception("the body of an answer could not be closed")

    def _make(self) -> None:
        """The next part. What is there already is taken whole."""
        for part in self._parts:
            self._resp.write(part)
            if self.owed and not self._is_there:
                return
        self._resp.close()
        self._is_made = True
        self.close()

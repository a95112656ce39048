"""Requests on their way in: collected without a thread, so that clients that send slowly, or never go on, hold up nobody.

A request goes to a thread when all of it is there, or when more of it need not be seen to refuse it: a thread never waits for more.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass, field
from enum import Enum

MOST_HEAD = 64 * 1024
MOST_BODY = 1024 * 1024
"""Collected at least; more where the application takes larger bodies."""
MOST_WAITING = 64 * 1024 * 1024
"""What all requests that have not arrived yet may hold together, and again all that have: of the former those are dropped that hold most
for longest, of the latter the newest are refused. Twice the largest body, where that is more."""
RECEIVE_SECONDS = 60.0
"""How long a request may take to arrive, and a second more for each `SLOWEST` of it."""
SLOWEST = 16 * 1024
"""Bytes a second."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PIECE = 64 * 1024
_PIECES_AT_ONCE = 16
_CHUNK_OVERHEAD = 2
# the chunks of a body may be this many times what they hold
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)


class Arrival(Enum):
    """How much of a request is there."""

    PART = "part"
    WHOLE = "whole"
    TOO_LONG = "too long"
    """The head has no end."""
    TOO_LARGE = "too large"
    """A body in chunks is more than anybody would take."""


@dataclass(slots=True)
class Incoming:
    """What has arrived of one request, and perhaps of the next."""

    until: float
    """When patience ends, if nothing more comes."""
    most_body: int = MOST_BODY
    data: bytearray = field(default_factory=bytearray)
    _body_at: int = 0
    _chunk_at: int = 0
    _in_chunks: int = 0
    _is_invited: bool = False

    def receive(self, sock: socket.socket) -> Arrival:
        """Take what is there. A client that has gone is left to whoever reads the rest."""
        for _ in range(_PIECES_AT_ONCE):
            if (arrival := self._invite(sock)) is not Arrival.PART:
                return arrival
            try:
                piece = sock.recv(_PIECE)
            except _NOT_NOW:
                return arrival
            except OSError:
                return Arrival.WHOLE
            if not piece:
                return Arrival.WHOLE
            self.data += piece
        return self._invite(sock)

    def is_late(self, now: float) -> bool:
        """Whether it has taken too long."""
        return now > self.until + len(self.data) / SLOWEST

    def burden(self, now: float) -> float:
        """How much it holds, and for how long."""
        return len(self.data) * (now - self.until + RECEIVE_SECONDS)

    def state(self) -> Arrival:
        """How much of the request is there."""
        if not self._find_body():
            return Arrival.TOO_LONG if len(self.data) > MOST_HEAD else Arrival.PART
        there = len(self.data) - self._body_at
        if _CHUNKED.search(self.data, 0, self._body_at):
            return self._state_of_chunks(there)
        length = _LENGTH.search(self.data, 0, self._body_at)
        expected = int(length[1][:20]) if length else 0
        return Arrival.WHOLE if there >= expected or expected > self.most_body else Arrival.PART

    def _state_of_chunks(self, there: int) -> Arrival:
        arrival = self._look_at_chunks()
        if arrival is Arrival.PART and there > _CHUNK_OVERHEAD * self.most_body + MOST_HEAD:
            return Arrival.TOO_LARGE
        return arrival

    def _look_at_chunks(self) -> Arrival:
        """What is no chunk counts as the end: it is refused where it is read."""
        while (line_end := self.data.find(b"\r\n", self._chunk_at)) >= 0:
            try:
                size = int(self.data[self._chunk_at : line_end].partition(b";")[0], 16)
            except ValueError:
                return Arrival.WHOLE
            if size <= 0:
                return Arrival.WHOLE if self.data.find(b"\r\n\r\n", line_end) >= 0 else Arrival.PART
            if self._in_chunks + size > self.most_body:
                return Arrival.TOO_LARGE
            if len(self.data) < line_end + 2 + size + 2:
                return Arrival.PART
            self._chunk_at = line_end + 2 + size + 2
            self._in_chunks += size
        return Arrival.WHOLE if len(self.data) - self._chunk_at > MOST_HEAD else Arrival.PART

    def _invite(self, sock: socket.socket) -> Arrival:
        """The state; a client that asks before it sends the body is told to go on, once."""
        arrival = self.state()
        if self._body_at and not self._is_invited:
            self._is_invited = True
            if _EXPECTS.search(self.data, 0, self._body_at):
                _say(sock, CONTINUE)
        return arrival

    def _find_body(self) -> int:
        if not self._body_at and (end := self.data.find(b"\r\n\r\n")) >= 0:
            self._body_at = self._chunk_at = end + 4
        return self._body_at


def _say(sock: socket.socket, data: bytes) -> None:
    try:
        sock.send(data)
    except OSError:
        pass  # it is noticed where the request is read

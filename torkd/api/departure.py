"""Connections on their way out: closed when the client has seen the answer, without anybody waiting for that.

A socket that is closed while bytes of the client are unread resets the connection, and the answer may be lost with it. So the
sending side is closed first, and what still comes is dropped until the client closes too, for a moment at most.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

LINGER_SECONDS = 2.0
_PIECE = 64 * 1024
_MOST = 1024 * 1024
"""Whoever sends more than this after the end has no claim to an answer."""


@dataclass(slots=True)
class Leaving:
    """A client that was answered for the last time."""

    until: float
    """When patience ends."""
    _dropped: int = 0

    def begin(self, sock: socket.socket) -> bool:
        """Tell the client that nothing more comes; whether it is gone already."""
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            return True
        return self.is_over(sock)

    def is_over(self, sock: socket.socket) -> bool:
        """Drop what has come; whether the connection can be closed."""
        while self._dropped < _MOST:
            try:
                piece = sock.recv(_PIECE)
            except BlockingIOError:
                return False
            except OSError:
                return True
            if not piece:
                return True
            self._dropped += len(piece)
        return True

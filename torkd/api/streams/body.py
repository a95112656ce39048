"""A response body that the server takes out of its request's thread.

Under our gunicorn worker `detach` hands the socket to the stream hub. Any other WSGI server just iterates, which costs
it a thread for as long as the body lasts.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from tork.errors import NotFound, Unavailable
from torkd.api.streams.doorbell import Doorbell
from torkd.api.streams.feed import Feed, Told, cut_short

DETACHABLE = "torkd.detachable"
"""The WSGI variable by which our worker says that it detaches bodies."""
_CHECK_SECONDS = 15.0
_RETRY_SECONDS = 1.0


class Head(Protocol):
    """Makes the head of the response."""

    def __call__(self, status: int, length: int | None) -> bytes:
        """Its bytes; without a length the body comes in chunks where the client knows how."""


class Hub(Protocol):
    """What takes over a connection."""

    def adopt(self, sock: socket.socket, feed: Feed, head: Head, *, chunked: bool, gone: Callable[[], None]) -> None:
        """Serve the feed on this socket from now on; `gone` is called once when it is closed."""


class DetachedBody:
    """The body of one feed."""

    def __init__(self, hub: Hub, doorbell: Doorbell, feed: Feed) -> None:
        self._hub = hub
        self._doorbell = doorbell
        self._feed = feed

    def detach(self, sock: socket.socket, head: Head, *, chunked: bool, gone: Callable[[], None]) -> None:
        """Hand the connection over."""
        self._hub.adopt(sock, self._feed, head, chunked=chunked, gone=gone)

    def __iter__(self) -> Iterator[bytes]:
        for told in follow(self._feed, self._doorbell):
            yield told.data or self._feed.heartbeat


def follow(feed: Feed, doorbell: Doorbell) -> Iterator[Told]:
    """What the feed tells, in the calling thread, until it ends."""
    rung = threading.Event()
    with doorbell.listen(feed, rung.set):
        while True:
            rung.clear()
            told = _read(feed)
            yield told
            if told.ended:
                return
            if told.again_in != 0:
                rung.wait(_CHECK_SECONDS if told.again_in is None else told.again_in)
            if doorbell.closed:
                yield feed.farewell()
                return


def _read(feed: Feed) -> Told:
    try:
        return feed.read()
    except NotFound as error:
        return cut_short(feed, 404, str(error))
    except Unavailable:
        return Told(again_in=_RETRY_SECONDS)

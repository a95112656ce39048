"""Serves all open streams with one thread that watches sockets and a few that read: an idle stream costs no thread."""

from __future__ import annotations

import logging
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable

import falcon

from tork.errors import NotFound, Unavailable
from torkd.api.errors import refusal
from torkd.api.streams.body import DETACHABLE, DetachedBody, Head, follow
from torkd.api.streams.connection import Connection
from torkd.api.streams.doorbell import Doorbell
from torkd.api.streams.feed import Feed, Told, cut_short
from torkd.api.streams.guarded import GuardedFeed

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
CHECK_SECONDS = 15.0
STALLED_SECONDS = 60.0
_TICK_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_RETRY_AFTER = {"Retry-After": "5"}


class StreamHub:
    """Started by the first stream. `close` ends every stream within moments."""

    def __init__(
        self,
        doorbell: Doorbell,
        *,
        readers: int = 3,
        most: int = 2000,
        on_count: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`on_count` is told how many streams are open whenever that changes."""
        self._doorbell = doorbell
        self._on_count = on_count
        self._most = most
        self._reader_count = readers
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._connections: set[Connection] = set()
        self._to_read: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._to_attend: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        for end in (self._wake_reader, self._wake_writer):
            os.set_blocking(end, False)
        self._stopping = False
        self._tick_at = self._check_at = 0.0
        self._soon: set[Connection] = set()
        """What has something due before the next tick."""

    def answer(self, req: falcon.Request, resp: falcon.Response, feed: Feed) -> None:
        """Make the feed the response: a stream, or an answer that is awaited. Refused when there are too many."""
        if self._stopping or len(self._connections) >= self._most:
            raise refusal(503, "too many streams are open: try again later", _RETRY_AFTER)
        is_allowed = req.context.get("is_still_allowed")
        if is_allowed is not None and feed.heartbeat:
            feed = GuardedFeed(feed, is_allowed)
        self._doorbell.subscribe()
        resp.content_type = feed.content_type
        if feed.heartbeat:
            resp.set_header("Cache-Control", "no-cache")
            resp.set_header("X-Accel-Buffering", "no")
        elif not req.env.get(DETACHABLE):
            # The status is not known before the end, and here nobody can send it later than the head.
            for told in follow(feed, self._doorbell):
                resp.status, resp.data = told.status, told.data
            return
        resp.stream = DetachedBody(self, self._doorbell, feed)

    def adopt(self, sock: socket.socket, feed: Feed, head: Head, *, chunked: bool, gone: Callable[[], None]) -> None:
        """Serve the feed on this socket until it ends or the client leaves."""
        sock.setblocking(False)
        now = time.monotonic()
        connection = Connection(
            sock,
            feed,
            head,
            chunked=chunked,
            gone=gone,
            schedule=self._schedule,
            attend=self._attend,
            now=now,
        )
        with self._lock:
            stopping = self._stopping
            if not stopping:
                self._start_threads()
                self._connections.add(connection)
                self._on_count(len(self._connections))
        if stopping:
            connection.leave(now)
            connection.close()
            return
        self._doorbell.add(feed, lambda: connection.wake(time.monotonic()))
        self._attend(connection)
        connection.start(now)

    def close(self) -> None:
        """Say goodbye to every client and stop."""
        with self._lock:
            self._stopping = True
            threads, self._threads = self._threads, []
        self._poke()
        for _ in threads:
            self._to_read.put(None)
        for thread in threads:
            thread.join(timeout=5)
        if not threads:
            self._selector.close()
        self._doorbell.close()

    def _start_threads(self) -> None:
        if self._threads:
            return
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._threads = [threading.Thread(target=self._watch, name="streams", daemon=True)]
        self._threads += [
            threading.Thread(target=self._read_feeds, name=f"stream-reader-{number}", daemon=True)
            for number in range(self._reader_count)
        ]
        for thread in self._threads:
            thread.start()

    def _schedule(self, connection: Connection) -> None:
        self._to_read.put(lambda: self._read(connection))

    def _attend(self, connection: Connection) -> None:
        self._to_attend.put(connection)
        self._poke()

    def _poke(self) -> None:
        try:
            os.write(self._wake_writer, b"\0")
        except BlockingIOError:
            pass  # the pipe is full: it will wake up anyway

    def _read_feeds(self) -> None:
        while (work := self._to_read.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("a stream could not be served")

    def _read(self, connection: Connection) -> None:
        if not connection.begin_reading():
            return
        started = time.monotonic()
        try:
            told = connection.feed.read()
        except NotFound as error:
            told = cut_short(connection.feed, 404, str(error))
        except Unavailable as error:
            log.warning("a stream waits for the datastore: %s", error)
            told = Told(again_in=_RETRY_SECONDS)
        except Exception:
            log.exception("a stream ended unexpectedly")
            told = cut_short(connection.feed, 500, "Internal Server Error")
        now = time.monotonic()
        connection.deliver(told, took=now - started, now=now)

    def _watch(self) -> None:
        while not self._stopping:
            try:
                self._watch_once()
            except Exception:
                log.exception("the streams could not be looked after")
                time.sleep(_RETRY_SECONDS)
        for connection in list(self._connections):
            connection.leave(time.monotonic())
            self._drop(connection)
        self._selector.close()

    def _watch_once(self) -> None:
        """One round: what is due, then what the sockets say."""
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + _TICK_SECONDS
            self._soon = set(self._connections)
        if now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            self._to_read.put(self._doorbell.check_versions)
        self._soon = self._tick(self._soon, now)
        waits = [self._tick_at - now, *(wait for c in self._soon if (wait := c.wait_seconds(now)) is not None)]
        self._soon |= self._wait(max(min(waits), 0.0))

    def _tick(self, connections: set[Connection], now: float) -> set[Connection]:
        """Look at these connections; those that have something due before the next tick are returned."""
        waiting: set[Connection] = set()
        for connection in connections:
            connection.tick(now, heartbeat_seconds=HEARTBEAT_SECONDS, stalled_seconds=STALLED_SECONDS)
            self._adjust(connection)
            wait = connection.wait_seconds(now)
            if wait is not None and wait < _TICK_SECONDS and connection in self._connections:
                waiting.add(connection)
        return waiting

    def _wait(self, seconds: float) -> set[Connection]:
        """Wait for sockets; connections that somebody wants to be looked at are returned."""
        for key, events in self._selector.select(seconds):
            if key.fileobj == self._wake_reader:
                os.read(self._wake_reader, 65536)
                continue
            connection: Connection = key.data
            if events & selectors.EVENT_READ and connection.has_left():
                self._drop(connection)
            elif events & selectors.EVENT_WRITE:
                connection.flush(time.monotonic())
                self._adjust(connection)
        asking: set[Connection] = set()
        while not self._to_attend.empty():
            asking.add(self._to_attend.get())
        return asking

    def _adjust(self, connection: Connection) -> None:
        """Watch the socket for what the connection needs now, or let it go."""
        if connection not in self._connections:
            return
        if connection.is_over:
            self._drop(connection)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.wants_to_write else 0)
        known = self._selector.get_map().get(connection.sock)
        if known is None:
            self._selector.register(connection.sock, events, connection)
        elif known.events != events:
            self._selector.modify(connection.sock, events, connection)

    def _drop(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._doorbell.remove(connection.feed)
        with self._lock:
            self._connections.discard(connection)
            self._on_count(len(self._connections))
        if self._selector.get_map().get(connection.sock) is not None:
            self._selector.unregister(connection.sock)
        connection.close()

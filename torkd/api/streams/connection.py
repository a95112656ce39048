"""One client of the stream hub: its socket, what is still to be sent, and when its feed is read next.

At most one thread reads the feed at a time, and nobody reads it while an earlier answer is not sent yet: a slow client
holds back itself and nothing else. Writing never blocks.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

from torkd.api.streams.body import Head
from torkd.api.streams.feed import Feed, Told
from torkd.api.tls import RECORD

LAST_CHUNK = b"0\r\n\r\n"
_REST_FACTOR, _SHORT_REST_FACTOR = 4.0, 0.5
_MAX_REST_SECONDS = 1.0
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection:
    """All state is guarded by the lock. `schedule` puts it in line to be read; `attend` asks the hub's loop to look at it."""

    def __init__(
        self,
        sock: socket.socket,
        feed: Feed,
        head: Head,
        *,
        chunked: bool,
        gone: Callable[[], None],
        schedule: Callable[[Connection], None],
        attend: Callable[[Connection], None],
        now: float,
    ) -> None:
        self.sock = sock
        self.feed = feed
        self.gone = gone
        self._head = head
        self._head_sent = False
        self._chunked = chunked and bool(feed.heartbeat)
        self._schedule = schedule
        self._attend = attend
        self._lock = threading.Lock()
        self._unsent = bytearray()
        self._sent_at = now
        self._due_at: float | None = None
        self._rest_until = now
        self._rung = self._reading = self._finishing = self._broken = self._closed = False

    def start(self, now: float) -> None:
        """Send the head of a stream, and read for the first time."""
        with self._lock:
            if self.feed.heartbeat and not self._head_sent:
                self._append_head(Told())
                self._send(now)
        self.wake(now)

    def wake(self, now: float) -> None:
        """There may be something new."""
        with self._lock:
            self._rung = True
            self._read_if_ready(now)

    def begin_reading(self) -> bool:
        """A reader is about to read. False when there is nobody to read for any more."""
        with self._lock:
            self._rung = False
            self._due_at = None
            if self._closed:
                self._reading = False
            return not self._closed

    def deliver(self, told: Told, *, took: float, now: float) -> None:
        """What the reader found; `took` is how long it needed: an expensive feed rests longer, unless it had much to tell."""
        with self._lock:
            self._reading = False
            if self._closed:
                return
            factor = _SHORT_REST_FACTOR if told.is_worth_it else _REST_FACTOR
            self._rest_until = now + min(took * factor, _MAX_REST_SECONDS)
            self._append(told)
            if told.again_in == 0:
                self._rung = True
            elif told.again_in is not None:
                self._due_at = now + told.again_in
            self._send(now)
            self._read_if_ready(now)

    def tick(self, now: float, *, heartbeat_seconds: float, stalled_seconds: float) -> None:
        """What time brings: a due reading, a heartbeat, the end of patience with a client that takes nothing."""
        with self._lock:
            if self._unsent:
                self._broken = self._broken or now - self._sent_at > stalled_seconds
            elif self._head_sent and not self._finishing and now - self._sent_at >= heartbeat_seconds:
                self._append(Told(data=self.feed.heartbeat))
                self._send(now)
            if self._due_at is not None and now >= self._due_at:
                self._due_at = None
                self._rung = True
            self._read_unless_resting(now)  # whoever ticks asks `wait_seconds`: to be called again would be a busy loop

    def flush(self, now: float) -> None:
        """The socket takes more."""
        with self._lock:
            self._send(now)
            self._read_if_ready(now)

    def leave(self, now: float) -> None:
        """The server stops: say goodbye and send what can be sent at once."""
        with self._lock:
            if not self._finishing:
                self._append(self.feed.farewell())
                self._send(now)

    def has_left(self) -> bool:
        """A client has nothing to say on a stream: what it sends is dropped, and an end means that it left."""
        with self._lock:  # TLS may not be read and written at the same time
            try:
                return not self.sock.recv(65536)
            except _NOT_NOW:
                return False
            except OSError:
                return True

    @property
    def wants_to_write(self) -> bool:
        with self._lock:
            return bool(self._unsent) and not self._broken

    @property
    def is_over(self) -> bool:
        """Whether it can be closed: all was said, or the client is gone."""
        with self._lock:
            return self._broken or (self._finishing and not self._unsent)

    def wait_seconds(self, now: float) -> float | None:
        """When `tick` should come again, if there is a time for it."""
        with self._lock:
            times = [self._due_at] if self._due_at is not None else []
            if self._rung and not self._reading and not self._unsent:
                times.append(self._rest_until)
            return max(min(times) - now, 0.0) if times else None

    def close(self) -> None:
        """Called once, by the hub's loop."""
        with self._lock:
            self._closed = True
            self.sock.close()
        self.gone()

    def _read_if_ready(self, now: float) -> None:
        if not self._read_unless_resting(now):
            self._attend(self)

    def _read_unless_resting(self, now: float) -> bool:
        """Have it read if there is reason to; False when the time for that is yet to come."""
        if not self._rung or self._reading or self._unsent or self._finishing or self._broken or self._closed:
            return True
        if now < self._rest_until:
            return False
        self._reading = True
        self._schedule(self)
        return True

    def _append_head(self, told: Told) -> None:
        self._unsent += self._head(told.status, None if self.feed.heartbeat else len(told.data))
        self._head_sent = True

    def _append(self, told: Told) -> None:
        if told.data or told.ended:
            if not self._head_sent:
                self._append_head(told)
            if told.data and self._chunked:
                self._unsent += b"%X\r\n%b\r\n" % (len(told.data), told.data)
            else:
                self._unsent += told.data
        if told.ended and not self._finishing:
            self._finishing = True
            if self._chunked:
                self._unsent += LAST_CHUNK

    def _send(self, now: float) -> None:
        try:
            while self._unsent and not self._broken:
                sent = self.sock.send(self._unsent[:RECORD])
                del self._unsent[:sent]
                self._sent_at = now
        except _NOT_NOW:
            pass
        except OSError:
            self._broken = True
        if self._unsent or self._broken or self._finishing:
            self._attend(self)

"""One connection that is kept: its thread serves it, and connects again for ever when it breaks.

Everything that touches pika happens in that thread, so a busy handler elsewhere never keeps AMQP's heartbeats from being sent.
Other threads hand jobs in with `run`; jobs run whether the connection is up or not, and see for themselves.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import pika
from pika.adapters.select_connection import IOLoop, SelectConnection

from torkd.broker.rabbitmq.gathering import GatheringConnection
from torkd.broker.rabbitmq.outage import Outage, why

_LOG = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 3.0
CLOSE_SECONDS = 2.0

Job = Callable[[], None]


class Guest(Protocol):
    """What lives on a connection. All calls come from the connection's thread."""

    def connected(self) -> None:
        """The connection is up: open what is needed."""

    def lost(self) -> None:
        """The connection is gone, and pika tells nobody: it failed itself."""

    def unblocked(self) -> None:
        """RabbitMQ takes messages again."""


class KeptConnection:
    """A connection and its thread, from `start` to `close`."""

    def __init__(self, name: str, parameters: pika.ConnectionParameters, outage: Outage) -> None:
        self.name = name
        self.place = outage.place
        self.is_blocked = False
        """Whether RabbitMQ takes no messages, because its memory or its disk is short."""
        self.trouble = "not connected yet"
        """Why the connection is down, if it is."""
        self._parameters = parameters
        self._outage = outage
        self._loop = IOLoop()
        self._jobs: deque[Job] = deque()
        self._is_called = False
        """Whether the loop is going to look at the jobs anyway."""
        self._connection: GatheringConnection | None = None
        self._guests: dict[Guest, None] = {}
        self._up = threading.Event()
        self._closing = False
        self._failures = 0
        self._thread = threading.Thread(target=self._serve, name=f"rabbitmq-{name}", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()
        self.run(self._connect)

    @property
    def is_up(self) -> bool:
        """Whether it is connected, as far as is known."""
        return self._up.is_set()

    @property
    def raw(self) -> SelectConnection:
        """pika's own, while it is up. For this connection's thread."""
        assert self._connection is not None
        return self._connection

    def wait_until_up(self, seconds: float) -> bool:
        """Whether it is connected within this time."""
        return self._up.wait(seconds)

    def run(self, job: Job) -> None:
        """Do this in the connection's thread, soon and in order. From any thread. After the end nothing is done any more."""
        self._jobs.append(job)
        if not self._is_called:
            self._is_called = True
            self._loop.add_callback_threadsafe(self._run_jobs)

    def later(self, seconds: float, job: Job) -> object:
        """Do this after a while. For the connection's thread."""
        return self._loop.call_later(seconds, lambda: self._guarded(job))

    def forget(self, timer: Any) -> None:
        """Don't do it after all. For the connection's thread."""
        self._loop.remove_timeout(timer)

    def attach(self, guest: Guest) -> None:
        """Tell this guest of every connection. For the connection's thread."""
        self._guests[guest] = None
        if self.is_up:
            guest.connected()

    def detach(self, guest: Guest) -> None:
        """Tell it no more. For the connection's thread."""
        self._guests.pop(guest, None)

    def begin_close(self) -> None:
        """Disconnect soon; `close` waits for it."""
        self.run(self._close)

    def close(self) -> None:
        """Disconnect, and end the thread. Takes a bounded time."""
        self.begin_close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2 * CLOSE_SECONDS)
        self._outage.forget(self.name)

    def _serve(self) -> None:
        while True:
            try:
                self._loop.start()
                break
            except Exception as error:  # noqa: BLE001 -- a thread that ends would never connect again
                if self._closing:
                    break
                _LOG.exception("the connection to RabbitMQ is made anew after an unexpected error")
                self._replace_loop(error)
        self._up.clear()
        _drop_socket(self._connection)
        self._loop.close()

    def _replace_loop(self, error: Exception) -> None:
        """What pika left behind in the middle of something can't be trusted."""
        _drop_socket(self._connection)
        self._loop.close()
        self._loop = IOLoop()
        self._loop.add_callback_threadsafe(self._run_jobs)
        self._down(f"{type(error).__name__}: {error}")
        # The first guest is the declarer: whoever waits for it must know of the loss when it answers.
        for guest in reversed(list(self._guests)):
            self._guarded(guest.lost)

    def _run_jobs(self) -> None:
        self._is_called = False  # whoever adds a job from here on calls again
        connection = self._connection
        if connection is not None:
            connection.hold()
        try:
            for _ in range(len(self._jobs)):
                self._guarded(self._jobs.popleft())
        finally:
            if connection is not None:
                connection.release()

    def _guarded(self, job: Job) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001 -- the connection must survive any of its guests
            _LOG.exception("something on a connection to RabbitMQ failed")

    def _connect(self) -> None:
        if self._closing:
            return
        self._connection = GatheringConnection(
            self._parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_open_error,
            on_close_callback=self._on_close,
            custom_ioloop=self._loop,
        )

    def _on_open(self, connection: Any) -> None:
        if self._closing:
            connection.close()
            return
        self._failures = 0
        self.is_blocked = False
        connection.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))
        self._up.set()
        self._outage.back(self.name)
        for guest in list(self._guests):
            self._guarded(guest.connected)

    def _on_open_error(self, _connection: Any, error: BaseException) -> None:
        self._down(why(error))

    def _on_close(self, _connection: Any, error: BaseException) -> None:
        self._down(why(error))

    def _down(self, reason: str) -> None:
        was_up = self._up.is_set()
        self._up.clear()
        self.is_blocked = False
        self.trouble = reason
        self._connection = None
        if self._closing:
            self._loop.stop()
            return
        if was_up:
            self._outage.lost(self.name, reason)
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS)
        self._failures += 1
        # All processes lost it in the same moment; they must not all come back in the same moment.
        self.later(pause * random.uniform(0.5, 1.0), self._connect)  # noqa: S311 -- no secret

    def _set_blocked(self, is_blocked: bool) -> None:
        self.is_blocked = is_blocked
        if not is_blocked:
            for guest in list(self._guests):
                self._guarded(guest.unblocked)

    def _close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._connection is None:
            self._loop.stop()
            return
        self.later(CLOSE_SECONDS, self._loop.stop)  # RabbitMQ may not answer
        # One that is still connecting can't be closed without an error of pika's: it is closed when it is up.
        if self._up.is_set():
            self._connection.close()  # its end is told as any other's


def _drop_socket(connection: SelectConnection | None) -> None:
    """pika closes sockets from within its loop only, and that has ended."""
    sock = getattr(getattr(connection, "_transport", None), "_sock", None)
    if sock is not None:
        sock.close()

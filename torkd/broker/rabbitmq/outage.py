"""One line in the log when RabbitMQ is lost and one when it is back, however many connections and attempts that takes.

And the words for what went wrong: pika wraps the cause several times.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time

from pika import exceptions
from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorPhaseErrorBase,
    AMQPConnectorStackTimeout,
)

_LOG = logging.getLogger(__name__)


class Outage:
    """Which connections are down. Used from the threads of all of them."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._down: set[str] = set()
        self._since = 0.0

    def lost(self, name: str, reason: str) -> None:
        """A connection that was up is down."""
        with self._lock:
            is_news = not self._down
            self._down.add(name)
            if is_news:
                self._since = time.monotonic()
        if is_news:
            _LOG.warning("lost RabbitMQ at %s: %s; trying again until it is back", self.place, reason)

    def back(self, name: str) -> None:
        """It is up again."""
        with self._lock:
            was_down = name in self._down
            self._down.discard(name)
            is_news = was_down and not self._down
        if is_news:
            _LOG.info("RabbitMQ at %s is back after %.1f s", self.place, time.monotonic() - self._since)

    def forget(self, name: str) -> None:
        """It is not wanted any more."""
        with self._lock:
            self._down.discard(name)


def why(error: BaseException) -> str:
    """The cause, for people."""
    while (cause := _cause(error)) is not None:
        error = cause
    if isinstance(error, exceptions.ConnectionClosed):
        return _closed(error)
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "what listens there does not speak TLS (right would be amqp://, or the port for TLS, mostly 5671)"
    if isinstance(error, socket.gaierror):
        return f"no such host: {error.strerror}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}"


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, AMQPConnectionWorkflowFailed):
        return error.exceptions[-1]
    if isinstance(error, AMQPConnectorPhaseErrorBase):
        return error.exception
    if type(error) is exceptions.AMQPConnectionError and error.args and isinstance(error.args[0], BaseException):
        return error.args[0]
    return None


def _closed(error: exceptions.ConnectionClosed) -> str:
    match error.reply_code:
        case 403:
            return _REFUSED
        case 530:
            return f"the virtual host can't be used: {error.reply_text}"
        case _:
            return f"RabbitMQ closed the connection: {error.reply_text}"


_REFUSED = "user or password are refused"
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (AMQPConnectorStackTimeout, "no answer"),
    (exceptions.ProbableAuthenticationError, _REFUSED),
    (exceptions.ProbableAccessDeniedError, "the virtual host does not exist, or the user has no right to it"),
    (exceptions.AMQPHeartbeatTimeout, "no sign of life"),
    (exceptions.StreamLostError, "the connection broke"),
    (exceptions.ConnectionOpenAborted, "the connection broke"),
    (exceptions.IncompatibleProtocolError, "what listens there does not speak AMQP 0-9-1"),
    (TimeoutError, "no answer"),
)

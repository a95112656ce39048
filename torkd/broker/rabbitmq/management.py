"""What queues there are and what they hold, from RabbitMQ's management API, where it is there. It never is a reason for anything to fail.

An API that does not answer is not asked again for a while, so that nobody waits for it each time.
"""

from __future__ import annotations

import base64
import http.client
import logging
import ssl
import threading
import time
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec

from torkd.broker.rabbitmq.address import Address

_LOG = logging.getLogger(__name__)

ANSWER_SECONDS = 1.5
SILENCE_SECONDS = 30.0
"""How long it is left alone after it has failed."""
_MOST_BYTES = 32_000_000


class _Row(msgspec.Struct):
    name: str
    messages_ready: int = 0
    messages_unacknowledged: int = 0


class Total(NamedTuple):
    """What a queue holds."""

    size: int
    unacked: int


class Management:
    """The API of one server."""

    def __init__(self, url: str, address: Address) -> None:
        parts = urlsplit(url)
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_tls else 80)
        user, password = (
            (unquote(parts.username), unquote(parts.password or ""))
            if parts.username
            else (address.username, address.password)
        )
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._path = (
            f"{parts.path.rstrip('/')}/api/queues/{quote(address.virtual_host, safe='')}"
            "?disable_stats=true&enable_queue_totals=true"  # statistics would be several seconds old
        )
        self._lock = threading.Lock()
        self._silent_until = 0.0
        self._was_told = False

    def totals(self) -> dict[str, Total] | None:
        """Every queue of our virtual host by name; None when the API does not say."""
        if not self._host or time.monotonic() < self._silent_until:
            return None
        with self._lock:
            if time.monotonic() < self._silent_until:
                return None
            try:
                rows = msgspec.json.decode(self._get(), type=list[_Row])
            except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
                self._failed(error)
                return None
        return {row.name: Total(row.messages_ready, row.messages_unacknowledged) for row in rows}

    def _failed(self, error: Exception) -> None:
        self._silent_until = time.monotonic() + SILENCE_SECONDS
        if not self._was_told:
            self._was_told = True
            _LOG.info(
                "RabbitMQ's management API at %s:%s does not answer, so what is unacknowledged is not known: %s",
                self._host,
                self._port,
                error,
            )

    def _get(self) -> bytes:
        connection: http.client.HTTPConnection
        if self._is_tls:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=ANSWER_SECONDS, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", self._path, headers={"Authorization": self._authorization})
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"it answers {answer.status} {answer.reason}")
        return body

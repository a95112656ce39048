"""Clients that take slowly what is sent with TLS: they take something, and so patience with them does not end."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.certificates import CA_FILE, CERTIFICATE_FILE, HOST, KEY_FILE, make_certificates
from tests.unit.api.test_connection import ScriptedFeed
from torkd.api.response import STALLED_SECONDS, Outgoing
from torkd.api.streams.connection import Connection
from torkd.api.streams.feed import Told
from torkd.api.tls import Tls

MUCH = 1_000_000
A_LITTLE = 64 * 1024


class Ends:
    """Of one connection, whose buffers hold little."""

    def __init__(self, place: Path) -> None:
        make_certificates(place)
        context = Tls(certificate=place / CERTIFICATE_FILE, key=place / KEY_FILE).load()
        trusting = ssl.create_default_context(cafile=str(place / CA_FILE))
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        answering = threading.Thread(
            target=lambda: setattr(self, "server", context.wrap_socket(ours, server_side=True))
        )
        answering.start()
        self.server: ssl.SSLSocket
        self.client = trusting.wrap_socket(theirs, server_hostname=HOST)
        answering.join()
        for end in (self.server, self.client):
            end.setblocking(False)

    def take(self) -> int:
        """What is there; how much it was."""
        try:
            return len(self.client.recv(A_LITTLE))
        except ssl.SSLWantReadError:
            return 0


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    made = Ends(tmp_path)
    yield made
    made.client.close()
    made.server.close()


def test_a_client_that_takes_a_little_of_an_answer_is_waited_for(ends: Ends) -> None:
    unsent: Any = SimpleNamespace(unsent=deque([memoryview(b"x" * MUCH)]))
    outgoing = Outgoing(unsent, [], now=0.0)
    taken = 0
    while taken < A_LITTLE:
        outgoing.send(ends.server, now=10.0)
        taken += ends.take()
    assert outgoing.until == 10.0 + STALLED_SECONDS


def test_a_client_that_takes_a_little_of_a_stream_is_waited_for(ends: Ends) -> None:
    connection = Connection(
        ends.server,
        ScriptedFeed(),
        lambda status, length: b"head",
        chunked=True,
        gone=lambda: None,
        schedule=lambda connection: None,
        attend=lambda connection: None,
        now=0.0,
    )
    connection.start(0.0)
    assert connection.begin_reading()
    connection.deliver(Told(data=b"x" * MUCH), took=0.0, now=0.0)
    taken = 0
    while taken < A_LITTLE:
        connection.flush(50.0)
        taken += ends.take()
    connection.tick(100.0, heartbeat_seconds=15, stalled_seconds=60)
    assert not connection.is_over

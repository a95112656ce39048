"""What is written together is sent together, and nothing is held for ever."""

from __future__ import annotations

import pytest
from pika import BasicProperties, spec

from torkd.broker.rabbitmq.gathering import GatheringConnection


class Wire:
    """Keeps what is sent, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


class Connected(GatheringConnection):
    """As if it were connected: nothing of pika's that opens sockets is run."""

    def __init__(self) -> None:
        self._held, self._holds = [], 0
        self.bytes_sent = self.frames_sent = 0
        self._body_max_length = 4
        self._transport: Wire | None = Wire()

    @property
    def pieces(self) -> list[bytes]:
        """What was sent."""
        assert self._transport is not None
        return self._transport.pieces

    def publish(self, body: bytes) -> None:
        """As a channel does."""
        self._send_message(1, spec.Basic.Publish(routing_key="q"), (BasicProperties(), body))  # type: ignore[attr-defined] # the stubs leave it out


@pytest.fixture
def connection() -> Connected:
    return Connected()


def test_the_frames_of_a_message_leave_in_one_piece(connection: Connected) -> None:
    connection.publish(b"a long body")
    assert len(connection.pieces) == 1
    assert connection.frames_sent == 5
    assert connection.bytes_sent == len(connection.pieces[0])


def test_what_is_held_leaves_in_order_and_in_one_piece(connection: Connected) -> None:
    alone = Connected()
    for body in (b"a", b"b", b"c"):
        alone.publish(body)
    connection.hold()
    connection.publish(b"a")
    connection.hold()
    connection.publish(b"b")
    connection.release()
    connection.publish(b"c")
    assert connection.pieces == []
    connection.release()
    assert connection.pieces == [b"".join(alone.pieces)]
    connection.publish(b"d")
    assert len(connection.pieces) == 2


def test_nothing_is_sent_when_nothing_was_written_or_the_connection_has_gone(connection: Connected) -> None:
    connection.hold()
    connection.release()
    assert connection.pieces == []
    connection.hold()
    connection.publish(b"a")
    connection._transport = None
    connection.release()


def test_much_leaves_in_pieces_that_a_socket_takes(connection: Connected) -> None:
    connection._body_max_length = 100_000
    connection.hold()
    for _ in range(100):
        connection.publish(b"x" * 2_000)
    connection.publish(b"y" * 90_000)
    connection.publish(b"z")
    connection.release()
    sizes = [len(piece) for piece in connection.pieces]
    assert sum(sizes) == connection.bytes_sent
    assert 4 <= len(sizes) <= 6
    assert sorted(sizes)[-2] <= 65_536

"""One client of the hub: what time and slowness do to it. The clock is a number here, and the client the other end of a pair."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from torkd.api.streams.connection import Connection
from torkd.api.streams.feed import Told


class ScriptedFeed:
    """Tells what it is given."""

    job_id = "j1"
    content_type = "text/event-stream"

    def __init__(self, heartbeat: bytes = b":\n\n") -> None:
        self.heartbeat = heartbeat

    def read(self) -> Told:
        raise AssertionError("the tests deliver by themselves")

    def job_touched(self, job_id: str, version: int) -> bool:
        return True

    def log_touched(self, task_id: str) -> bool:
        return True

    def missed(self) -> None:
        pass

    def farewell(self) -> Told:
        return Told(ended=True)


class Client:
    """A connection, and what its client has got."""

    def __init__(self, *, chunked: bool = True, heartbeat: bytes = b":\n\n") -> None:
        server, self.socket = socket.socketpair()
        server.setblocking(False)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.socket.settimeout(20)
        self.scheduled = 0
        self.gone = 0
        self.attended = 0
        self.connection = Connection(
            server,
            ScriptedFeed(heartbeat),
            lambda status, length: f"{status} {length}|".encode(),
            chunked=chunked,
            gone=self._count_gone,
            schedule=self._count_scheduled,
            attend=self._count_attended,
            now=0.0,
        )

    def _count_gone(self) -> None:
        self.gone += 1

    def _count_scheduled(self, connection: Connection) -> None:
        self.scheduled += 1

    def _count_attended(self, connection: Connection) -> None:
        self.attended += 1

    def read(self, told: Told, *, now: float, took: float = 0.0) -> None:
        """What the hub's reader does."""
        assert self.connection.begin_reading()
        self.connection.deliver(told, took=took, now=now)

    def received(self) -> bytes:
        return self.socket.recv(1 << 20)

    def tick(self, now: float) -> None:
        self.connection.tick(now, heartbeat_seconds=15, stalled_seconds=60)


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.connection.close()
    client.socket.close()


def test_the_head_goes_out_before_anything_is_read(client: Client) -> None:
    client.connection.start(0)
    assert client.received() == b"200 None|"
    assert client.scheduled == 1


def test_an_idle_stream_gets_a_heartbeat(client: Client) -> None:
    client.connection.start(0)
    client.read(Told(), now=0)
    client.tick(14.9)
    client.tick(15)
    client.tick(29)
    assert client.received() == b"200 None|3\r\n:\n\n\r\n"


def test_rings_while_reading_lead_to_one_more_reading(client: Client) -> None:
    client.connection.start(0)
    for _ in range(5):
        client.connection.wake(1)
    assert client.scheduled == 1
    client.connection.deliver(Told(), took=0, now=1)
    assert client.scheduled == 2


def test_an_expensive_feed_rests(client: Client) -> None:
    client.connection.start(0)
    client.read(Told(), now=1, took=0.1)
    client.connection.wake(1.2)
    assert client.scheduled == 1
    assert client.connection.wait_seconds(1.2) == pytest.approx(0.2)
    client.tick(1.4)
    assert client.scheduled == 2


def test_a_feed_that_rests_is_not_looked_at_again_and_again(client: Client) -> None:
    client.connection.start(0)
    client.read(Told(), now=1, took=0.1)
    client.connection.wake(1.2)
    assert client.attended == 1
    for _ in range(5):
        client.tick(1.3)
    assert client.attended == 1


def test_a_slow_client_is_not_read_for_until_it_has_taken_all(client: Client) -> None:
    client.connection.start(0)
    client.read(Told(data=b"x" * 1_000_000, again_in=0), now=1)
    assert client.connection.wants_to_write
    client.connection.wake(2)
    assert client.scheduled == 1
    taken = 0
    for _ in range(100_000):
        client.connection.flush(3)
        taken += len(client.received())
        if taken > 1_000_000:
            break
    client.connection.flush(3)
    assert client.scheduled == 2


def test_a_client_that_takes_nothing_is_given_up(client: Client) -> None:
    client.connection.start(0)
    client.read(Told(data=b"x" * 1_000_000), now=1)
    client.tick(60)
    assert not client.connection.is_over
    client.tick(61.1)
    assert client.connection.is_over


def test_the_end_is_told_and_then_it_is_over(client: Client) -> None:
    client.connection.start(0)
    client.read(Told(data=b"bye", ended=True), now=1)
    assert client.received() == b"200 None|3\r\nbye\r\n0\r\n\r\n"
    assert client.connection.is_over
    client.connection.wake(2)
    assert client.scheduled == 1


def test_a_client_that_left_is_noticed_when_written_to(client: Client) -> None:
    client.connection.start(0)
    client.socket.close()
    client.read(Told(data=b"x"), now=1)
    assert client.connection.is_over


def test_a_due_reading_comes_when_it_is_due(client: Client) -> None:
    client.connection.start(0)
    client.read(Told(again_in=5), now=1)
    client.tick(5.9)
    assert client.scheduled == 1
    client.tick(6)
    assert client.scheduled == 2


def test_the_head_of_an_awaited_answer_comes_with_it() -> None:
    client = Client(heartbeat=b"")
    client.connection.start(0)
    client.tick(100)
    client.read(Told(data=b"{}", ended=True, status=408), now=101)
    assert client.received() == b"408 2|{}"
    client.connection.close()
    client.socket.close()
    assert client.gone == 1


def test_an_old_client_gets_no_chunks() -> None:
    client = Client(chunked=False)
    client.connection.start(0)
    client.read(Told(data=b"bye", ended=True), now=1)
    assert client.received() == b"200 None|bye"
    client.connection.close()
    client.socket.close()


def test_a_server_that_stops_says_goodbye(client: Client) -> None:
    client.connection.start(0)
    client.connection.leave(1)
    assert client.received() == b"200 None|0\r\n\r\n"

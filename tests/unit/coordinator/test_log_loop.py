"""Log parts are stored in the order in which they came, whatever the database does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from tests.support.coordinator_fakes import UpkeepFake
from tests.support.messages import a_log_part
from tests.support.waiting import wait_until
from tork.errors import BadData, DatastoreUnavailable
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import LiveChanges, LogPrinted, LogTouched
from torkd.broker.queues import LOGS
from torkd.coordinator import logs
from torkd.coordinator.logs import LogLoop


class Running:
    """A loop over a broker, in a thread of its own."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.open()
        self.datastore = UpkeepFake()
        self.loop = LogLoop(self.datastore.as_datastore, self.broker, self.broker.consume_events([LOGS]))
        self.thread = threading.Thread(target=self.loop.run, daemon=True)

    def numbers(self) -> list[int]:
        return [part.number for part in self.datastore.parts]

    def waiting(self) -> int:
        (queue,) = (queue for queue in self.broker.queues() if queue.name == LOGS)
        return queue.size + queue.unacked

    def publish(self, *numbers: int) -> None:
        self.broker.publish_events([replace(a_log_part("r"), number=number) for number in numbers])


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(logs, "RETRY_SECONDS", 0.01)
    running = Running()
    yield running
    running.loop.stop()
    if running.thread.ident is not None:
        running.thread.join(timeout=20)
    running.loop.close()
    running.broker.close()


def test_parts_that_wait_for_the_database_are_stored_before_later_ones(running: Running) -> None:
    running.datastore.failures = [DatastoreUnavailable("away")] * 3
    running.publish(1, 2)
    running.thread.start()
    wait_until(lambda: len(running.datastore.calls) >= 2)
    running.publish(3)
    wait_until(lambda: running.numbers() == [1, 2, 3])
    wait_until(lambda: running.waiting() == 0)


@pytest.mark.parametrize("failure", [BadData("refused"), ValueError("a bug")], ids=["refused", "a bug"])
def test_parts_that_can_never_be_stored_hold_up_nothing(running: Running, failure: Exception) -> None:
    running.datastore.failures = [failure]
    running.publish(1)
    running.thread.start()
    wait_until(lambda: running.waiting() == 0)
    running.publish(2)
    wait_until(lambda: running.numbers() == [2])


def test_a_coordinator_without_a_database_makes_room_for_another_until_it_has_one(running: Running) -> None:
    running.datastore.failures = [DatastoreUnavailable("away")] * logs.MAX_FAILURES
    running.datastore.is_away = True
    running.publish(1, 2)
    running.thread.start()
    wait_until(lambda: "check_health" in running.datastore.calls)
    another = running.broker.consume_events([LOGS])
    taken = another.receive(10, 10)
    assert [part.message.number for part in taken if isinstance(part.message, LogPrinted)] == [1, 2]
    another.ack(taken)
    another.close()
    running.datastore.is_away = False
    running.publish(3)
    wait_until(lambda: running.numbers() == [3])


def test_parts_are_acknowledged_only_when_they_are_stored(running: Running) -> None:
    running.datastore.failures = [DatastoreUnavailable("away")] * 1000
    running.publish(1)
    running.thread.start()
    wait_until(lambda: len(running.datastore.calls) >= 3)
    assert running.waiting() == 1


def test_live_views_are_told_which_logs_grew(running: Running) -> None:
    told: list[LiveChanges | None] = []
    running.broker.subscribe(told.append)
    running.publish(1, 2)
    running.thread.start()
    wait_until(lambda: told == [LiveChanges(logs=[LogTouched("j1", "t1")])])


def test_what_waits_is_stored_at_the_end(running: Running) -> None:
    running.loop.stop()
    running.publish(*range(1, 301))
    running.loop.drain(10)
    assert running.numbers() == list(range(1, 301))


def test_the_end_does_not_wait_for_a_database_that_is_away(running: Running) -> None:
    running.publish(1)
    running.datastore.failures = [DatastoreUnavailable("away")] * 1000
    running.loop.drain(10)
    assert running.datastore.calls == ["add_log_parts"]

"""The batch loop: whatever fails, every delivery is in hand, with the broker, or dealt with."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.builders import START
from tests.support.coordinator_fakes import UpkeepFake
from tests.support.messages import a_progress, a_report
from tests.support.waiting import wait_until
from tork.errors import DatastoreUnavailable
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import RunEnded
from torkd.broker.queues import TASK_EVENT_QUEUES
from torkd.coordinator import loop as looping
from torkd.coordinator.apply import Publisher
from torkd.coordinator.handle import Handled
from torkd.coordinator.loop import MAX_SKIPS, BatchLoop
from torkd.engine.events import ChildrenDue, EngineEvent, RetryDue
from torkd.engine.view import View


class Transactions:
    """Stands in for `handle`: notes every attempt, and fails or skips as told."""

    def __init__(self) -> None:
        self.batches: list[list[EngineEvent]] = []
        self.waits: list[float] = []
        self.handled: list[EngineEvent] = []
        self.failures: list[BaseException] = []
        self.locked: set[str] = set()
        self.fail_when_waiting = False

    def __call__(self, datastore: object, events: Sequence[EngineEvent], *, wait: float, **_: Any) -> Handled:
        self.batches.append(list(events))
        self.waits.append(wait)
        if self.failures:
            raise self.failures.pop(0)
        busy = [event for event in events if event.root_id in self.locked]
        if busy and wait:
            raise DatastoreUnavailable("lock timeout")
        self.handled.extend(event for event in events if event not in busy)
        return Handled(View(), {}, skipped=busy)


class Running:
    def __init__(self, transactions: Transactions) -> None:
        self.transactions = transactions
        self.broker = MemoryBroker()
        self.broker.open()
        self.datastore = UpkeepFake()
        self.publisher = Publisher(self.datastore.as_datastore, self.broker)
        self.loop = BatchLoop(
            self.datastore.as_datastore,
            self.publisher,
            self.broker.consume_events(TASK_EVENT_QUEUES),
            batch_size=20,
            clock=lambda: START,
            new_id=lambda: "id",
            on_retry_due=self.note,
        )
        self.thread = threading.Thread(target=self.loop.run, daemon=True)

    def note(self, moment: datetime) -> None:
        """Nothing is to be looked at again."""

    def outstanding(self) -> int:
        """Deliveries that nobody has dealt with."""
        return sum(queue.size + queue.unacked for queue in self.broker.queues() if queue.name in TASK_EVENT_QUEUES)

    def report(self, *jobs: str) -> list[RunEnded]:
        reports = [replace(a_report(f"run of {job}"), job_id=job, root_id=job) for job in jobs]
        self.broker.publish_events(reports)
        return reports


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    transactions = Transactions()
    monkeypatch.setattr(looping, "handle", transactions)
    monkeypatch.setattr(looping, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(looping, "LONGEST_PAUSE", 0.005)
    running = Running(transactions)
    yield running
    running.loop.stop()
    if running.thread.ident is not None:
        running.thread.join(timeout=20)
    running.loop.close()
    running.broker.close()


def roots(events: Collection[EngineEvent]) -> set[str]:
    return {event.root_id for event in events}


@pytest.mark.parametrize(
    "failure",
    [DatastoreUnavailable("away"), OSError("no descriptors"), MemoryError()],
    ids=["database away", "system", "memory"],
)
def test_what_is_nobodys_fault_is_tried_again_as_it_was(running: Running, failure: Exception) -> None:
    reports = running.report("a", "b", "c")
    running.transactions.failures = [failure] * 12
    running.thread.start()
    wait_until(lambda: running.outstanding() == 0)
    assert running.transactions.batches == [reports] * 13, "never split, never waited for a lock"
    assert running.broker.dead_letters(10) == []


def test_events_of_a_locked_root_stay_in_hand_while_others_are_handled(running: Running) -> None:
    running.transactions.locked = {"hot"}
    running.report("hot", "a")
    running.thread.start()
    wait_until(lambda: running.transactions.waits.count(looping.LOCK_SECONDS) >= 2)
    running.report("b")
    wait_until(lambda: roots(running.transactions.handled) == {"a", "b"})
    assert running.outstanding() == 1
    running.transactions.locked = set()
    wait_until(lambda: running.outstanding() == 0)
    assert roots(running.transactions.handled) == {"a", "b", "hot"}


def test_after_five_skips_the_events_of_one_root_wait_alone(running: Running) -> None:
    running.transactions.locked = {"hot", "warm"}
    running.report("hot", "hot", "warm")
    running.thread.start()
    wait_until(lambda: looping.LOCK_SECONDS in running.transactions.waits)
    first = running.transactions.waits.index(looping.LOCK_SECONDS)
    assert roots(running.transactions.batches[first]) == {"hot"}
    assert len(running.transactions.batches[first]) == 2
    assert first >= MAX_SKIPS


def test_others_are_kept_when_the_database_goes_away_while_one_is_to_wait(running: Running) -> None:
    running.transactions.locked = {"hot"}
    running.report("hot")
    running.thread.start()
    wait_until(lambda: len(running.transactions.batches) >= MAX_SKIPS)
    running.report("a", "b")
    running.transactions.failures = [DatastoreUnavailable("away")] * 20
    wait_until(lambda: not running.transactions.failures)
    running.transactions.locked = set()
    wait_until(lambda: running.outstanding() == 0)
    assert roots(running.transactions.handled) == {"hot", "a", "b"}
    assert len(running.transactions.handled) == 3


def test_a_batch_that_fails_is_tried_event_by_event_and_only_the_bad_one_is_parked(running: Running) -> None:
    """And a database that goes away meanwhile makes none of them bad."""
    running.broker.publish_events([a_progress(f"r{number}") for number in range(5)])
    bad = ValueError("bad")
    running.transactions.failures = [bad, DatastoreUnavailable("away"), bad, bad]
    running.thread.start()
    wait_until(lambda: running.outstanding() == 0)
    assert len(running.broker.dead_letters(10)) == 1
    assert len(running.transactions.handled) == 4


def test_deliveries_are_acknowledged_though_publishing_meets_a_bug(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are committed: handling them again would be for nothing, and keeping them for ever would be a leak."""

    def fail(handled: Handled) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(running.publisher, "publish", fail)
    running.report("a")
    running.thread.start()
    wait_until(lambda: running.outstanding() == 0)


def test_what_is_in_hand_goes_back_when_the_loop_is_stopped(running: Running) -> None:
    running.transactions.locked = {"hot"}
    running.report("hot")
    running.thread.start()
    wait_until(lambda: running.transactions.batches)
    running.loop.stop()
    running.thread.join(timeout=20)
    (completed,) = (queue for queue in running.broker.queues() if queue.name == "completed")
    assert (completed.size, completed.unacked) == (1, 0)


def test_draining_handles_what_was_delivered_and_ends_when_the_database_is_away(running: Running) -> None:
    running.report(*(f"j{number}" for number in range(50)))
    running.loop.add([RetryDue(task_id="t", job_id="j", root_id="j")])
    running.loop.drain(20)
    assert len(running.transactions.handled) == 50
    running.report("late")
    running.transactions.failures = [DatastoreUnavailable("away")]
    running.loop.drain(20)
    assert running.outstanding() == 1


def test_a_flood_of_own_events_leaves_room_for_deliveries_and_batches_small(running: Running) -> None:
    running.loop.add(ChildrenDue(task_id=f"t{number}", job_id="j", root_id="j") for number in range(500))
    running.report(*(f"j{number}" for number in range(10)))
    running.loop._turn(0.0)
    (batch,) = running.transactions.batches
    assert sum(isinstance(event, RunEnded) for event in batch) == 10
    assert len(batch) <= 25


def test_many_events_of_locked_roots_leave_room_for_others(running: Running) -> None:
    running.transactions.locked = {f"hot{number}" for number in range(200)}
    running.report(*sorted(running.transactions.locked))
    running.report("free")
    running.thread.start()
    wait_until(lambda: roots(running.transactions.handled) == {"free"})
    assert max(len(batch) for batch in running.transactions.batches) <= 25

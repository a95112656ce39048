"""Heartbeats: what they repeat, and when silence says something."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from tests.support.coordinator_fakes import UpkeepFake
from tests.support.messages import A_TIME, a_heartbeat, a_report
from tests.support.waiting import wait_until
from tork.errors import DatastoreUnavailable
from torkd.broker.memory import MemoryBroker
from torkd.broker.memory.events import MemoryEventConsumer
from torkd.broker.messages import ForgetNodes, RunClaimed, RunReference
from torkd.broker.queues import HEARTBEAT
from torkd.coordinator import heartbeats
from torkd.coordinator.heartbeats import HeartbeatLoop, events_of
from torkd.engine.events import EngineEvent

RUN = RunReference(task_id="t1", job_id="j1", root_id="j0", dispatch=2, run_id="r1", started_at=A_TIME)


class Running:
    """A loop over a broker, in a thread of its own."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.open()
        self.datastore = UpkeepFake()
        self.events: list[EngineEvent] = []
        self.loop = HeartbeatLoop(
            self.datastore.as_datastore,
            self.broker,
            lease=0.6,
            add_events=self.events.extend,
        )
        self.thread = threading.Thread(target=self.loop.run, daemon=True)


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.loop.stop()
    if running.thread.ident is not None:
        running.thread.join(timeout=20)
    running.loop.close()
    running.broker.close()


def test_a_listed_run_counts_as_its_claim() -> None:
    (claim,) = events_of(replace(a_heartbeat(), running=[RUN]))
    assert claim == RunClaimed(
        task_id="t1",
        job_id="j1",
        root_id="j0",
        dispatch=2,
        run_id="r1",
        node_id="n1",
        lease_id="l1",
        started_at=A_TIME,
    )


def test_an_unacknowledged_report_counts_again(running: Running) -> None:
    report = a_report("r1")
    running.broker.publish_events([replace(a_heartbeat(), running=[RUN], unacknowledged=[report])])
    running.thread.start()
    wait_until(lambda: len(running.events) == 2)
    assert running.events[1] == report


def test_reading_is_noted_though_no_heartbeat_comes(running: Running) -> None:
    running.thread.start()
    wait_until(lambda: len(running.datastore.heartbeats) >= 3)
    assert running.datastore.heartbeats[-1] == []


def test_nothing_is_noted_before_all_that_wait_are_read(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence of a worker whose heartbeat waits behind many others means nothing."""
    monkeypatch.setattr(heartbeats, "AT_ONCE", 3)
    monkeypatch.setattr(heartbeats, "WAITED_SECONDS", 60.0)
    running.broker.publish_events([replace(a_heartbeat(), lease_id=f"l{number}") for number in range(10)])
    running.thread.start()
    wait_until(lambda: any(running.datastore.drained))
    before = running.datastore.heartbeats[: running.datastore.drained.index(True)]
    assert [len(noted) for noted in before] == [3, 3, 3, 1]


def test_silence_while_the_broker_is_away_is_not_held_against_anybody(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryEventConsumer, "is_reading", False)
    running.thread.start()
    wait_until(lambda: len(running.datastore.drained) >= 2)
    assert not any(running.datastore.drained)
    monkeypatch.undo()
    wait_until(lambda: any(running.datastore.drained))


def test_of_many_heartbeats_of_one_worker_the_last_counts(running: Running) -> None:
    running.broker.publish_events([a_heartbeat(), replace(a_heartbeat(), running=[RUN])])
    running.thread.start()
    wait_until(lambda: running.datastore.heartbeats)
    assert running.datastore.heartbeats[0] == [replace(a_heartbeat(), running=[RUN])]


@pytest.mark.parametrize("failure", [DatastoreUnavailable("away"), KeyError("a bug")], ids=["away", "a bug"])
def test_reading_goes_on_after_a_failure(running: Running, failure: Exception) -> None:
    running.datastore.failures = [failure]
    running.thread.start()
    wait_until(lambda: running.datastore.heartbeats)
    assert running.datastore.calls[:2] == ["check_health", "record_heartbeats"]


def test_a_heartbeat_that_can_not_be_noted_is_left_to_another_coordinator(running: Running) -> None:
    """This one's database is away, not everybody's."""
    running.datastore.is_away = True
    running.datastore.failures = [DatastoreUnavailable("away")]
    running.thread.start()
    wait_until(lambda: len(running.datastore.calls) >= 2)
    running.broker.publish_events([a_heartbeat()])
    other = running.broker.consume_events([HEARTBEAT])
    wait_until(lambda: other.receive(1, 0.1))
    running.datastore.is_away = False
    wait_until(lambda: running.datastore.heartbeats)


def test_a_node_that_asks_about_dead_ones_is_told_which_are_lost(running: Running) -> None:
    running.datastore.nodes_with_leases = {"n3"}
    orders = running.broker.consume_orders("n1")
    running.broker.publish_events([replace(a_heartbeat(), dead_nodes=["n2", "n3"])])
    running.thread.start()
    assert orders.receive(20.0) == [ForgetNodes(node_ids=["n2"])]

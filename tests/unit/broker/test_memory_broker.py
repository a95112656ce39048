"""What only the in-memory broker promises."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support.messages import a_claim, a_heartbeat, a_log_part
from tests.support.waiting import wait_until
from tork.errors import BrokerUnavailable
from torkd.broker import live
from torkd.broker.memory import MemoryBroker, events
from torkd.broker.messages import LiveChanges
from torkd.broker.protocol import EventDelivery
from torkd.broker.queues import HEARTBEAT, LOGS, STARTED


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    made = MemoryBroker()
    made.open()
    yield made
    made.close()


def test_a_listener_that_is_too_far_behind_is_told_to_read_everything_again(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_WAITING", 10)
    go_on, seen = threading.Event(), []

    def slow(changes: LiveChanges | None) -> None:
        seen.append(changes)
        go_on.wait(20)

    broker.subscribe(slow)
    broker.publish_live(LiveChanges())
    wait_until(lambda: seen)
    for _ in range(15):
        broker.publish_live(LiveChanges())
    go_on.set()
    wait_until(lambda: len(seen) == 7)
    assert [changes is None for changes in seen] == [False, True, False, False, False, False, False]


def test_a_listener_may_end_its_own_subscription(broker: MemoryBroker) -> None:
    seen = []

    def once(changes: LiveChanges | None) -> None:
        seen.append(changes)
        subscription.close()

    subscription = broker.subscribe(once)
    others: list[object] = []
    broker.subscribe(others.append)
    broker.publish_live(LiveChanges())
    broker.publish_live(LiveChanges())
    wait_until(lambda: len(others) == 2)
    assert len(seen) == 1


def test_heartbeats_nobody_reads_do_not_pile_up(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS_TO_LIVE", -1.0)
    for _ in range(100):
        broker.publish_events([a_heartbeat()])
    sizes = {queue.name: queue.size for queue in broker.queues()}
    assert sizes[HEARTBEAT] == 0


def test_a_new_broker_knows_no_epoch(broker: MemoryBroker) -> None:
    broker.mark_epoch("e1")
    another = MemoryBroker()
    another.open()
    assert not another.has_epoch("e1")
    another.close()


def test_logs_that_are_not_read_make_whoever_prints_wait(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_LOG_LENGTH", 1)
    part = a_log_part("r1")
    broker.publish_events([part])
    with pytest.raises(BrokerUnavailable, match="faster than they are stored"):
        broker.publish_events([part, a_claim("r1")])
    broker.publish_events([a_claim("r1")])  # everything else goes on
    reader = broker.consume_events([LOGS])
    taken = reader.receive(10, 0.0)
    assert len(taken) == 1
    reader.put_back(taken)
    with pytest.raises(BrokerUnavailable):
        broker.publish_events([part])
    reader.ack(reader.receive(10, 0.0))
    broker.publish_events([part])


def test_put_back_with_a_delay_comes_later_even_to_a_reader_that_waits(broker: MemoryBroker) -> None:
    reader = broker.consume_events([STARTED])
    broker.publish_events([a_claim("r1")])
    deliveries = reader.receive(1, 5)
    received: list[EventDelivery] = []
    other = broker.consume_events([STARTED])
    waiting = threading.Thread(target=lambda: received.extend(other.receive(100, 60)))
    waiting.start()
    reader.put_back(deliveries, 0.3)
    assert not reader.receive(1, 0)
    waiting.join(5)
    assert [delivery.message for delivery in received] == [a_claim("r1")]

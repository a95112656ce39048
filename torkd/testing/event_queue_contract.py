"""What a broker owes to workers that report and to the coordinators that read."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from tork.node import Queue
from torkd.broker.messages import CoordinatorMessage, RunOutcome
from torkd.broker.protocol import Broker, EventConsumer, EventDelivery
from torkd.broker.queues import COMPLETED, DEAD, ERROR, HEARTBEAT, LOGS, PROGRESS, STARTED, TASK_EVENT_QUEUES
from torkd.testing.messages import a_claim, a_heartbeat, a_log_part, a_progress, a_report
from torkd.testing.waiting import wait_until

SOON = 5.0
NOT_YET = 0.05


def figures(broker: Broker, name: str) -> Queue:
    return next(queue for queue in broker.queues() if queue.name == name)


def waiting_or_taken(broker: Broker, name: str) -> int:
    """An adapter may take messages before it is asked for them."""
    found = figures(broker, name)
    return found.size + found.unacked


def receive_count(reader: EventConsumer, count: int) -> list[EventDelivery]:
    deliveries: list[EventDelivery] = []
    while len(deliveries) < count:
        batch = reader.receive(count - len(deliveries), SOON)
        assert batch
        deliveries.extend(batch)
    return deliveries


def run_ids(deliveries: Iterable[EventDelivery]) -> list[str]:
    return [getattr(delivery.message, "run_id", "") for delivery in deliveries]


class EventQueueContract:
    """Messages to the coordinators: batches, order, acknowledgement, burial."""

    @pytest.fixture
    def broker(self) -> Broker:
        """An open and empty broker, closed at the end."""
        raise NotImplementedError("let the class have a fixture `broker` that makes yours: open, and empty")

    @pytest.mark.parametrize(
        ("message", "queue"),
        [
            (a_claim("r1"), STARTED),
            (a_report("r1"), COMPLETED),
            (a_report("r1", outcome=RunOutcome.FAILED), ERROR),
            (a_report("r1", outcome=RunOutcome.HANDED_BACK), ERROR),
            (a_progress("r1"), PROGRESS),
            (a_log_part("r1"), LOGS),
            (a_heartbeat(), HEARTBEAT),
        ],
        ids=["claim", "completed", "failed", "handed back", "progress", "log", "heartbeat"],
    )
    def test_each_message_goes_to_the_queue_of_its_kind(
        self, broker: Broker, message: CoordinatorMessage, queue: str
    ) -> None:
        reader = broker.consume_events([queue])
        broker.publish_events([message])
        assert [delivery.message for delivery in receive_count(reader, 1)] == [message]

    def test_a_batch_is_what_is_there_up_to_the_limit(self, broker: Broker) -> None:
        broker.publish_events([a_claim(f"r{number}") for number in range(5)])
        wait_until(lambda: figures(broker, STARTED).size == 5)
        reader = broker.consume_events([STARTED])
        assert len(reader.receive(3, SOON)) <= 3
        assert reader.receive(3, SOON)

    def test_the_order_within_a_queue_is_that_of_publishing(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED])
        broker.publish_events([a_claim("r1"), a_claim("r2")])
        broker.publish_events([a_claim("r3")])
        assert run_ids(receive_count(reader, 3)) == ["r1", "r2", "r3"]

    def test_one_reader_reads_several_queues_and_none_starves(self, broker: Broker) -> None:
        reader = broker.consume_events(TASK_EVENT_QUEUES)
        broker.publish_events([a_claim(f"r{number}") for number in range(100)])
        broker.publish_events([a_report("r1"), a_progress("r1")])
        wait_until(lambda: sum(waiting_or_taken(broker, name) for name in TASK_EVENT_QUEUES) == 102)
        batches = [reader.receive(10, SOON) for _ in range(8)]
        seen = {type(delivery.message).__name__ for batch in batches for delivery in batch}
        assert seen == {"RunClaimed", "RunEnded", "RunProgressed"}

    def test_waiting_ends_with_the_first_message(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED, COMPLETED])
        received: list[EventDelivery] = []
        waiting = threading.Thread(target=lambda: received.extend(reader.receive(100, 60)))
        waiting.start()
        broker.publish_events([a_report("r1")])
        waiting.join(SOON)
        assert run_ids(received) == ["r1"]

    def test_nothing_comes_after_the_timeout(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED])
        assert not reader.receive(10, 0)
        assert not reader.receive(10, NOT_YET)

    def test_wake_ends_a_waiting_receive(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED])
        received: list[object] = []
        waiting = threading.Thread(target=lambda: received.append(list(reader.receive(100, 60))))
        waiting.start()
        reader.wake()
        waiting.join(SOON)
        assert received == [[]]

    def test_close_ends_a_waiting_receive(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED])
        received: list[object] = []
        waiting = threading.Thread(target=lambda: received.append(list(reader.receive(100, 60))))
        waiting.start()
        reader.close()
        waiting.join(SOON)
        assert received == [[]]

    def test_what_is_not_acknowledged_comes_again_to_another_reader(self, broker: Broker) -> None:
        broker.publish_events([a_claim("r1"), a_claim("r2"), a_claim("r3")])
        first = broker.consume_events([STARTED])
        deliveries = receive_count(first, 3)
        first.ack(deliveries[1:2])
        first.ack(deliveries[1:2])
        first.close()
        first.ack(deliveries)
        second = broker.consume_events([STARTED])
        assert run_ids(receive_count(second, 2)) == ["r1", "r3"]
        assert not second.receive(1, NOT_YET)

    def test_put_back_comes_again(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED])
        broker.publish_events([a_claim("r1"), a_claim("r2")])
        deliveries = receive_count(reader, 2)
        reader.ack(deliveries[:1])
        reader.put_back(deliveries[1:])
        reader.put_back(deliveries[1:])
        assert run_ids(receive_count(reader, 1)) == ["r2"]
        assert not reader.receive(1, NOT_YET)

    def test_a_reader_that_hangs_keeps_no_more_from_others_than_it_may_have_in_hand(self, broker: Broker) -> None:
        hangs = broker.consume_events([STARTED], most_in_hand=1)
        reader = broker.consume_events([STARTED])
        broker.publish_events([a_claim(f"r{number}") for number in range(50)])
        assert len(receive_count(reader, 49)) >= 49
        hangs.close()
        reader.close()

    def test_put_back_with_a_delay_comes_later(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED])
        broker.publish_events([a_claim("r1")])
        deliveries = receive_count(reader, 1)
        reader.put_back(deliveries, 0.3)
        assert not reader.receive(1, 0)
        assert run_ids(reader.receive(1, 60)) == ["r1"]

    def test_a_buried_message_is_among_the_dead_and_comes_no_more(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED])
        broker.publish_events([a_claim("r1")])
        (delivery,) = receive_count(reader, 1)
        reader.bury(delivery, "it makes no sense")
        wait_until(lambda: figures(broker, DEAD).size == 1)
        assert not reader.receive(1, NOT_YET)
        reader.close()
        assert not broker.consume_events([STARTED]).receive(1, NOT_YET)

    def test_two_readers_share_what_comes(self, broker: Broker) -> None:
        readers = [broker.consume_events([STARTED]) for _ in range(2)]
        seen: list[str] = []

        def read(reader: EventConsumer) -> None:
            while len(seen) < 500:
                deliveries = reader.receive(10, NOT_YET)
                seen.extend(run_ids(deliveries))
                reader.ack(deliveries)

        threads = [threading.Thread(target=read, args=(reader,)) for reader in readers]
        for thread in threads:
            thread.start()
        for number in range(500):
            broker.publish_events([a_claim(f"r{number}")])
        for thread in threads:
            thread.join(SOON)
        assert sorted(seen) == sorted(f"r{number}" for number in range(500))

    def test_the_figures_count_readers_and_what_is_in_hand(self, broker: Broker) -> None:
        reader = broker.consume_events([STARTED, COMPLETED])
        broker.publish_events([a_claim("r1")])
        deliveries = receive_count(reader, 1)
        wait_until(lambda: figures(broker, STARTED) == Queue(name=STARTED, size=0, subscribers=1, unacked=1))
        reader.ack(deliveries)
        wait_until(lambda: figures(broker, STARTED).unacked == 0)

"""What a broker owes to those who hand out tasks and to the slots that take them."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from tork.errors import BrokerUnavailable, NotFound
from tork.node import Queue
from torkd.broker.protocol import Broker, TaskConsumer
from torkd.testing.messages import a_task_message
from torkd.testing.waiting import wait_until

SOON = 5.0
NOT_YET = 0.05


def figures(broker: Broker, name: str) -> Queue:
    return next(queue for queue in broker.queues() if queue.name == name)


def receive_ids(slot: TaskConsumer, count: int) -> list[str]:
    ids = []
    for _ in range(count):
        delivery = slot.receive(SOON)
        assert delivery is not None
        ids.append(delivery.message.task_id)
        delivery.ack()
    return ids


class TaskQueueContract:
    """Handing out tasks: order, redelivery, room, figures."""

    @pytest.fixture
    def broker(self) -> Broker:
        """An open and empty broker, closed at the end."""
        raise NotImplementedError("let the class have a fixture `broker` that makes yours: open, and empty")

    def test_a_task_comes_out_as_it_went_in(self, broker: Broker) -> None:
        sent = a_task_message("t1", priority=3, mask=["s3cret"])
        broker.publish_tasks([sent])
        delivery = broker.consume_tasks("default").receive(SOON)
        assert delivery is not None
        assert delivery.message == sent
        assert not delivery.redelivered

    def test_higher_priorities_go_first_and_equal_ones_in_order(self, broker: Broker) -> None:
        priorities = {"a": 0, "b": 9, "c": 5, "d": 9, "e": 0, "f": 5}
        broker.publish_tasks([a_task_message(task_id, priority=priority) for task_id, priority in priorities.items()])
        assert receive_ids(broker.consume_tasks("default"), 6) == ["b", "d", "c", "f", "a", "e"]

    def test_each_queue_has_its_own_tasks(self, broker: Broker) -> None:
        broker.publish_tasks([a_task_message("t1", queue="gpu"), a_task_message("t2", queue="default")])
        assert receive_ids(broker.consume_tasks("gpu"), 1) == ["t1"]
        assert broker.consume_tasks("gpu").receive(NOT_YET) is None

    def test_a_queue_is_made_by_the_first_who_publishes_or_consumes(self, broker: Broker) -> None:
        broker.publish_tasks([a_task_message("t1", queue="nobody-listens-yet")])
        slot = broker.consume_tasks("waits-for-its-first")
        assert receive_ids(broker.consume_tasks("nobody-listens-yet"), 1) == ["t1"]
        broker.publish_tasks([a_task_message("t2", queue="waits-for-its-first")])
        assert receive_ids(slot, 1) == ["t2"]

    def test_publishing_never_waits_for_room(self, broker: Broker) -> None:
        for start in range(0, 5000, 500):
            broker.publish_tasks([a_task_message(f"t{number}") for number in range(start, start + 500)])
        assert receive_ids(broker.consume_tasks("default"), 2) == ["t0", "t1"]

    def test_tasks_that_nobody_waits_for_are_told_when_they_are_confirmed(self, broker: Broker) -> None:
        told: list[str] = []
        broker.send_tasks([a_task_message("t1"), a_task_message("t2")], lambda: told.append("both"))
        broker.send_tasks([a_task_message("t3")], lambda: told.append("one"))
        assert sorted(receive_ids(broker.consume_tasks("default"), 3)) == ["t1", "t2", "t3"]
        wait_until(lambda: sorted(told) == ["both", "one"])

    def test_tasks_that_can_not_be_sent_are_not_confirmed(self, broker: Broker) -> None:
        told: list[str] = []
        broker.close()
        with pytest.raises(BrokerUnavailable):
            broker.send_tasks([a_task_message("t1")], lambda: told.append("t1"))
        assert told == []

    def test_an_empty_queue_gives_nothing_after_the_timeout(self, broker: Broker) -> None:
        slot = broker.consume_tasks("default")
        assert slot.receive(0) is None
        assert slot.receive(NOT_YET) is None
        broker.publish_tasks([a_task_message("t1")])
        assert receive_ids(slot, 1) == ["t1"]

    def test_requeued_comes_first_in_its_priority_and_as_redelivered(self, broker: Broker) -> None:
        broker.publish_tasks([a_task_message("t1"), a_task_message("t2"), a_task_message("urgent", priority=9)])
        slot = broker.consume_tasks("default")
        assert receive_ids(slot, 1) == ["urgent"]
        first = slot.receive(SOON)
        assert first is not None
        first.requeue()
        again = slot.receive(SOON)
        assert again is not None
        assert (again.message.task_id, again.redelivered) == ("t1", True)
        again.ack()
        second = slot.receive(SOON)
        assert second is not None
        assert (second.message.task_id, second.redelivered) == ("t2", False)

    def test_closing_a_slot_gives_back_what_is_in_hand(self, broker: Broker) -> None:
        broker.publish_tasks([a_task_message("t1")])
        slot = broker.consume_tasks("default")
        in_hand = slot.receive(SOON)
        assert in_hand is not None
        slot.close()
        again = broker.consume_tasks("default").receive(SOON)
        assert again is not None
        assert (again.message.task_id, again.redelivered) == ("t1", True)

    def test_an_acknowledged_task_never_comes_back(self, broker: Broker) -> None:
        broker.publish_tasks([a_task_message("t1")])
        slot = broker.consume_tasks("default")
        delivery = slot.receive(SOON)
        assert delivery is not None
        delivery.ack()
        delivery.ack()
        delivery.requeue()
        slot.close()
        assert broker.consume_tasks("default").receive(NOT_YET) is None

    def test_acknowledging_after_the_slot_is_closed_is_harmless(self, broker: Broker) -> None:
        broker.publish_tasks([a_task_message("t1")])
        slot = broker.consume_tasks("default")
        delivery = slot.receive(SOON)
        assert delivery is not None
        slot.close()
        delivery.ack()
        assert receive_ids(broker.consume_tasks("default"), 1) == ["t1"]

    def test_nothing_is_taken_between_an_early_ack_and_the_next_receive(self, broker: Broker) -> None:
        slot = broker.consume_tasks("default")
        broker.publish_tasks([a_task_message("long")])
        long_one = slot.receive(SOON)
        assert long_one is not None
        long_one.ack()
        broker.publish_tasks([a_task_message("next")])
        other = broker.consume_tasks("default")
        assert receive_ids(other, 1) == ["next"]

    @pytest.mark.parametrize("sleep_first", [True, False], ids=["while it waits", "before it waits"])
    def test_closing_ends_receive(self, broker: Broker, sleep_first: bool) -> None:
        slot = broker.consume_tasks("default")
        received: list[object] = []
        waiting = threading.Thread(target=lambda: received.append(slot.receive(60)))
        if sleep_first:
            waiting.start()
        slot.close()
        if not sleep_first:
            waiting.start()
        waiting.join(SOON)
        assert received == [None]

    def test_many_slots_take_every_task_once(self, broker: Broker) -> None:
        taken: list[str] = []
        slots = [broker.consume_tasks("default") for _ in range(8)]

        def work(slot: TaskConsumer) -> None:
            while (delivery := slot.receive(SOON)) is not None:
                taken.append(delivery.message.task_id)
                delivery.ack()

        threads = [threading.Thread(target=work, args=(slot,)) for slot in slots]
        for thread in threads:
            thread.start()
        for start in range(0, 1000, 10):
            broker.publish_tasks([a_task_message(f"t{number}") for number in range(start, start + 10)])
        wait_until(lambda: len(taken) >= 1000)
        for slot in slots:
            slot.close()
        for thread in threads:
            thread.join(SOON)
        assert Counter(taken) == Counter(f"t{number}" for number in range(1000))

    def test_the_figures_of_a_queue_are_true(self, broker: Broker) -> None:
        """Which slots count as consumers while they neither wait nor hold a task is the adapter's business."""
        broker.publish_tasks([a_task_message(f"t{number}") for number in range(3)])
        slots = [broker.consume_tasks("default"), broker.consume_tasks("default")]
        wait_until(lambda: (figures(broker, "default").size, figures(broker, "default").unacked) == (3, 0))
        first, second = slots[0].receive(SOON), slots[1].receive(SOON)
        assert first is not None
        assert second is not None
        wait_until(lambda: figures(broker, "default") == Queue(name="default", size=1, subscribers=2, unacked=2))
        first.ack()
        wait_until(lambda: figures(broker, "default").unacked == 1)
        slots[1].close()
        wait_until(lambda: (figures(broker, "default").size, figures(broker, "default").unacked) == (2, 0))

    def test_purging_drops_what_waits_and_keeps_the_consumers(self, broker: Broker) -> None:
        slot = broker.consume_tasks("default")
        broker.publish_tasks(
            [a_task_message("in hand"), a_task_message("dropped"), a_task_message("dropped", priority=9)]
        )
        in_hand = slot.receive(SOON)
        assert in_hand is not None
        broker.purge("default")
        in_hand.ack()
        assert slot.receive(NOT_YET) is None
        broker.publish_tasks([a_task_message("after")])
        assert receive_ids(slot, 1) == ["after"]

    @pytest.mark.parametrize("name", ["never-heard-of", "completed", "x-node1"])
    def test_purging_what_is_no_task_queue_is_refused(self, broker: Broker, name: str) -> None:
        with pytest.raises(NotFound, match=name):
            broker.purge(name)

    def test_a_closed_broker_says_so(self, broker: Broker) -> None:
        broker.close()
        with pytest.raises(BrokerUnavailable):
            broker.publish_tasks([a_task_message("t1")])
        with pytest.raises(BrokerUnavailable):
            broker.check_health()

    def test_closing_the_broker_ends_receive(self, broker: Broker) -> None:
        slot = broker.consume_tasks("default")
        received: list[object] = []
        waiting = threading.Thread(target=lambda: received.append(slot.receive(60)))
        waiting.start()
        broker.close()
        waiting.join(SOON)
        assert received == [None]

    def test_a_queue_that_there_may_be_is_told_of_only_if_there_is_one(self, broker: Broker) -> None:
        broker.publish_tasks([a_task_message("t1", queue="gpu")])
        wait_until(lambda: figures(broker, "gpu").size == 1)
        names = [queue.name for queue in broker.queues(["gpu", "nowhere"])]
        assert (names.count("gpu"), names.count("nowhere")) == (1, 0)

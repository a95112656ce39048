"""What a broker owes to nodes that are given orders, and to live views."""

from __future__ import annotations

import threading

import pytest

from torkd.broker.messages import AcknowledgeRuns, GrantRuns, JobTouched, LiveChanges, NodeOrder, StopRuns
from torkd.broker.protocol import Broker, OrderConsumer
from torkd.broker.queues import node_queue
from torkd.testing.messages import a_task_message
from torkd.testing.waiting import wait_until

SOON = 5.0
NOT_YET = 0.05


def receive_count(reader: OrderConsumer, count: int) -> list[NodeOrder]:
    orders: list[NodeOrder] = []
    while len(orders) < count:
        batch = reader.receive(SOON)
        assert batch
        orders.extend(batch)
    return orders


class OrderContract:
    """Orders to nodes, live changes, epochs."""

    @pytest.fixture
    def broker(self) -> Broker:
        """An open and empty broker, closed at the end."""
        raise NotImplementedError("let the class have a fixture `broker` that makes yours: open, and empty")

    def test_orders_reach_their_node_in_order(self, broker: Broker) -> None:
        reader, other = broker.consume_orders("n1"), broker.consume_orders("n2")
        broker.publish_orders("n1", [GrantRuns(run_ids=["r1"]), StopRuns(run_ids=["r2"])])
        broker.publish_orders("n1", [AcknowledgeRuns(run_ids=["r3"])])
        assert receive_count(reader, 3) == [
            GrantRuns(run_ids=["r1"]),
            StopRuns(run_ids=["r2"]),
            AcknowledgeRuns(run_ids=["r3"]),
        ]
        assert not other.receive(NOT_YET)

    def test_orders_that_nobody_reads_are_lost(self, broker: Broker) -> None:
        broker.publish_orders("n1", [StopRuns(run_ids=["r1"])])
        broker.publish_tasks([a_task_message()])  # is confirmed, so what was sent before has arrived
        assert not broker.consume_orders("n1").receive(NOT_YET)

    def test_the_queue_of_a_node_goes_with_its_reader(self, broker: Broker) -> None:
        reader = broker.consume_orders("n1")
        assert node_queue("n1") in {queue.name for queue in broker.queues()}
        reader.close()
        wait_until(lambda: node_queue("n1") not in {queue.name for queue in broker.queues()})

    def test_closing_ends_a_waiting_receive(self, broker: Broker) -> None:
        reader = broker.consume_orders("n1")
        received: list[object] = []
        waiting = threading.Thread(target=lambda: received.append(list(reader.receive(60))))
        waiting.start()
        reader.close()
        waiting.join(SOON)
        assert received == [[]]
        assert not reader.receive(60)

    def test_live_changes_reach_every_subscriber_in_order(self, broker: Broker) -> None:
        seen: list[list[LiveChanges | None]] = [[], []]
        for each in seen:
            broker.subscribe(each.append)
        sent = [LiveChanges(jobs=[JobTouched("j1", version)]) for version in range(100)]
        for changes in sent:
            broker.publish_live(changes)
        wait_until(lambda: all(len(each) == 100 for each in seen))
        assert seen == [sent, sent]

    def test_a_closed_subscription_is_called_no_more(self, broker: Broker) -> None:
        closed: list[object] = []
        stays: list[object] = []
        subscription = broker.subscribe(closed.append)
        broker.subscribe(stays.append)
        subscription.close()
        subscription.close()
        broker.publish_live(LiveChanges())
        wait_until(lambda: len(stays) == 1)
        assert closed == []

    def test_closing_a_subscription_waits_for_a_call_under_way(self, broker: Broker) -> None:
        called, go_on = threading.Event(), threading.Event()
        ended: list[str] = []

        def slow(_: LiveChanges | None) -> None:
            called.set()
            go_on.wait(SOON)
            ended.append("call")

        def close() -> None:
            subscription.close()
            ended.append("close")

        subscription = broker.subscribe(slow)
        broker.publish_live(LiveChanges())
        assert called.wait(SOON)
        closing = threading.Thread(target=close)
        closing.start()
        go_on.set()
        closing.join(SOON)
        assert ended == ["call", "close"]

    def test_a_listener_that_fails_hurts_no_other(self, broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
        def fails(_: LiveChanges | None) -> None:
            raise ValueError("no")

        seen: list[object] = []
        broker.subscribe(fails)
        broker.subscribe(seen.append)
        broker.publish_live(LiveChanges())
        broker.publish_live(LiveChanges())
        wait_until(lambda: len(seen) == 2)
        assert "listener" in caplog.text

    def test_an_epoch_lasts_from_its_mark(self, broker: Broker) -> None:
        assert not broker.has_epoch("e1")
        broker.mark_epoch("e1")
        broker.mark_epoch("e1")
        assert broker.has_epoch("e1")
        assert not broker.has_epoch("e2")

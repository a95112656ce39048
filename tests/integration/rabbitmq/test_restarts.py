"""What happens to torkd's messages when RabbitMQ is killed, restarted, wiped or stands still."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.support.messages import a_claim, a_report, a_task_message
from tests.support.rabbitmq_fixtures import VirtualHost
from tests.support.waiting import wait_until
from tork.errors import BrokerUnavailable
from torkd.broker.messages import JobTouched, LiveChanges, RunClaimed, RunEnded, StopRuns
from torkd.broker.queues import COMPLETED, STARTED
from torkd.broker.rabbitmq import RabbitMQBroker

pytestmark = pytest.mark.rabbitmq

SOON = 30.0
HEARTBEAT = 2


class Traffic:
    """Threads that publish claims and read them, whatever happens, and note what was confirmed and what was read."""

    def __init__(self, broker: RabbitMQBroker) -> None:
        self.confirmed: list[str] = []
        self.read: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self._broker = broker
        self._reader = broker.consume_events([STARTED])
        self._publishing = threading.Event()
        self._reading = threading.Event()
        self._threads = [threading.Thread(target=self._publish), threading.Thread(target=self._read)]
        for thread in self._threads:
            thread.start()

    def stop_publishing(self) -> None:
        self._publishing.set()
        self._threads[0].join(SOON)

    def stop(self) -> None:
        self._publishing.set()
        self._reading.set()
        for thread in self._threads:
            thread.join(SOON)
        self._reader.close()

    def _publish(self) -> None:
        number = 0
        while not self._publishing.is_set():
            names = [f"r{number + offset}" for offset in range(3)]
            number += 3
            try:
                self._broker.publish_events([a_claim(name) for name in names])
            except BrokerUnavailable:
                continue
            self.confirmed += names

    def _read(self) -> None:
        while not self._reading.is_set():
            deliveries = self._reader.receive(50, 0.2)
            names = [delivery.message.run_id for delivery in deliveries if isinstance(delivery.message, RunClaimed)]
            self.read.update(names)
            self._reader.ack(deliveries)
            self.acknowledged += names


@pytest.fixture
def broker(own_virtual_host: VirtualHost, open_broker: Callable[[RabbitMQBroker], RabbitMQBroker]) -> RabbitMQBroker:
    return open_broker(own_virtual_host.broker(wait=1.0, heartbeat=HEARTBEAT))


@pytest.fixture
def traffic(broker: RabbitMQBroker) -> Iterator[Traffic]:
    made = Traffic(broker)
    yield made
    made.stop()


def test_nothing_that_was_confirmed_is_lost_when_rabbitmq_is_killed_while_messages_flow(
    own_virtual_host: VirtualHost, broker: RabbitMQBroker, traffic: Traffic, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="torkd")
    slot = broker.consume_tasks("default")
    orders = broker.consume_orders("n1")
    live: list[LiveChanges | None] = []
    broker.subscribe(live.append)
    broker.publish_tasks([a_task_message("long"), a_task_message("next")])
    in_hand = slot.receive(SOON)
    assert in_hand is not None
    wait_until(lambda: len(traffic.acknowledged) > 100)
    broker.mark_epoch("e1")
    own_virtual_host.server.settle()
    own_virtual_host.server.kill()
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1"):
        broker.check_health()
    wait_until(lambda: not _publishes(broker))
    own_virtual_host.server.launch_again()

    before = len(traffic.acknowledged)
    wait_until(lambda: len(traffic.acknowledged) > before + 100)
    traffic.stop_publishing()
    wait_until(lambda: set(traffic.confirmed) <= set(traffic.read))
    wait_until(lambda: live == [None])
    broker.check_health()
    assert broker.has_epoch("e1")

    in_hand.ack()  # by a tag of the dead channel: it must not hit anybody else's message
    again, after = slot.receive(SOON), None
    assert again is not None
    assert (again.message.task_id, again.redelivered) == ("long", True)
    again.ack()
    after = slot.receive(SOON)
    assert after is not None
    assert after.message.task_id == "next"
    wait_until(lambda: _publishes(broker))
    assert list(orders.receive(SOON)) == [StopRuns(run_ids=["r2"])]

    wait_until(lambda: "is back after" in caplog.text)
    assert caplog.text.count("lost RabbitMQ at") == 1
    assert caplog.text.count("is back after") == 1


def _publishes(broker: RabbitMQBroker) -> bool:
    try:
        broker.publish_orders("n1", [StopRuns(run_ids=["r2"])])
    except BrokerUnavailable:
        return False
    return True


def test_after_its_data_was_wiped_the_mark_is_gone_and_everything_goes_on(
    own_virtual_host: VirtualHost, broker: RabbitMQBroker, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_virtual_host.server
    reader, slot = broker.consume_events([STARTED, COMPLETED]), broker.consume_tasks("default")
    broker.mark_epoch("e1")
    broker.publish_tasks([a_task_message("lost")])
    assert broker.has_epoch("e1")
    received: list[object] = []
    waiting = threading.Thread(target=lambda: received.append(slot.receive(60)))
    server.kill()
    server.wipe()
    server.launch_again()
    server.make_virtual_host(own_virtual_host.name)
    wait_until(lambda: _is_healthy(broker))
    assert not broker.has_epoch("e1")
    waiting.start()
    broker.publish_tasks([a_task_message("t1")])
    broker.publish_events([a_report("r1")])
    assert [type(delivery.message) for delivery in reader.receive(10, SOON)] == [RunEnded]
    waiting.join(SOON)
    assert [delivery.message.task_id for delivery in received] == ["t1"]  # type: ignore[attr-defined] # a list of what a thread puts there


def _is_healthy(broker: RabbitMQBroker) -> bool:
    try:
        broker.check_health()
    except BrokerUnavailable:
        return False
    return True


def test_a_rabbitmq_that_stands_still_costs_publishers_a_bounded_wait_and_loses_nothing(
    own_virtual_host: VirtualHost, broker: RabbitMQBroker, traffic: Traffic, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_virtual_host.server
    wait_until(lambda: len(traffic.acknowledged) > 50)
    server.freeze()
    try:
        with pytest.raises(BrokerUnavailable, match=r"did not confirm|can't be reached"):
            broker.publish_tasks([a_task_message("t1")])
        with pytest.raises(BrokerUnavailable, match="can't be reached"):
            broker.check_health()
        wait_until(lambda: not _is_up(broker))
    finally:
        server.thaw()
    before = len(traffic.acknowledged)
    wait_until(lambda: len(traffic.acknowledged) > before + 50)
    traffic.stop_publishing()
    wait_until(lambda: set(traffic.confirmed) <= set(traffic.read))
    assert "unexpected" not in caplog.text


def _is_up(broker: RabbitMQBroker) -> bool:
    try:
        broker.publish_live(LiveChanges(jobs=[JobTouched("j1", 1)]))
    except BrokerUnavailable as error:
        return "no sign of life" not in str(error)
    return True


def test_no_messages_are_taken_while_memory_is_short_and_acknowledgements_still_are(
    own_virtual_host: VirtualHost, broker: RabbitMQBroker
) -> None:
    server = own_virtual_host.server
    slot = broker.consume_tasks("default")
    broker.publish_tasks([a_task_message("t1")])
    delivery = slot.receive(SOON)
    assert delivery is not None
    server.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        with pytest.raises(BrokerUnavailable, match=r"did not confirm|memory or disk is short"):
            broker.publish_tasks([a_task_message("t2")])
        with pytest.raises(BrokerUnavailable, match="memory or disk is short"):
            broker.publish_tasks([a_task_message("t3")])
        with pytest.raises(BrokerUnavailable, match="memory or disk is short"):
            broker.check_health()
        delivery.ack()
        wait_until(lambda: all(queue.unacked == 0 for queue in broker.queues() if queue.name == "default"))
    finally:
        server.control("set_vm_memory_high_watermark", "absolute", "1GB")
    wait_until(lambda: _is_healthy(broker))
    broker.publish_tasks([a_task_message("t4")])
    seen = []
    while "t4" not in seen:
        received = slot.receive(SOON)
        assert received is not None
        seen.append(received.message.task_id)
        received.ack()
    assert "t1" not in seen


def test_a_message_held_for_longer_than_rabbitmq_allows_comes_again_and_one_acknowledged_early_does_not(
    own_virtual_host: VirtualHost, open_broker: Callable[[RabbitMQBroker], RabbitMQBroker]
) -> None:
    server = own_virtual_host.server
    server.control(
        "eval",
        "application:set_env(rabbit, consumer_timeout, 500), application:set_env(rabbit, channel_tick_interval, 200).",
    )
    try:
        broker = open_broker(own_virtual_host.broker(heartbeat=HEARTBEAT))
        early, held = broker.consume_tasks("early"), broker.consume_tasks("held")
        broker.publish_tasks([a_task_message("t1", queue="early"), a_task_message("t2", queue="held")])
        first, second = early.receive(SOON), held.receive(SOON)
        assert first is not None
        assert second is not None
        first.ack()
        again = held.receive(SOON)
        assert again is not None
        assert (again.message.task_id, again.redelivered) == ("t2", True)
        second.ack()  # by a tag of the dead channel
        again.ack()
        assert early.receive(0.1) is None
        broker.publish_tasks([a_task_message("t3", queue="held")])
        after = held.receive(SOON)
        assert after is not None
        assert after.message.task_id == "t3"
        after.ack()
    finally:
        server.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")

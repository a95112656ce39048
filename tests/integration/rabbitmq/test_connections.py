"""Connections that an operator closes, passwords that are wrong, and what nobody may read in a log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from tests.support.messages import a_claim, a_heartbeat, a_task_message
from tests.support.postgres import free_port
from tests.support.rabbitmq_fixtures import VirtualHost
from tests.support.waiting import wait_until
from tork.errors import BrokerUnavailable, StartError
from torkd.broker.messages import LiveChanges, StopRuns
from torkd.broker.protocol import EventConsumer, OrderConsumer, TaskConsumer
from torkd.broker.queues import HEARTBEAT, STARTED
from torkd.broker.rabbitmq import RabbitMQBroker, RabbitMQOptions
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.errand import Errand

pytestmark = pytest.mark.rabbitmq

SOON = 10.0

Open = Callable[[RabbitMQBroker], RabbitMQBroker]


def close_all(virtual_host: VirtualHost, count: int) -> None:
    """The management API knows of a connection some seconds after it was made."""
    wait_until(lambda: len(virtual_host.server.connections(virtual_host.name)) == count)
    virtual_host.server.close_connections(virtual_host.name)


def every_reader(
    broker: RabbitMQBroker,
) -> tuple[EventConsumer, EventConsumer, TaskConsumer, OrderConsumer, list[LiveChanges | None]]:
    """One of each kind, and what the subscriber is told."""
    live: list[LiveChanges | None] = []
    broker.subscribe(live.append)
    events, beats = broker.consume_events([STARTED]), broker.consume_events([HEARTBEAT])
    return events, beats, broker.consume_tasks("default"), broker.consume_orders("n1"), live


def receive_both_claims(events: EventConsumer) -> None:
    """Those of r1 and r2, perhaps more than once."""
    seen: set[str] = set()
    while seen != {"r1", "r2"}:
        again = events.receive(10, SOON)
        assert again
        events.ack(again)
        seen |= {getattr(delivery.message, "run_id", "") for delivery in again}


def test_readers_and_publishers_go_on_after_all_connections_were_closed(
    virtual_host: VirtualHost, open_broker: Open
) -> None:
    broker = open_broker(virtual_host.broker())
    events, beats, slot, orders, live = every_reader(broker)
    broker.publish_events([a_claim("r1"), a_claim("r2")])
    deliveries = list(events.receive(1, SOON))
    received: list[object] = []
    waiting = threading.Thread(target=lambda: received.append(slot.receive(60)))
    waiting.start()
    close_all(virtual_host, 5)
    wait_until(lambda: live == [None])
    events.ack(deliveries)
    receive_both_claims(events)
    broker.publish_tasks([a_task_message("t1")])
    waiting.join(SOON)
    assert [delivery.message.task_id for delivery in received] == ["t1"]  # type: ignore[attr-defined] # a list of what a thread puts there
    broker.publish_events([a_heartbeat()])
    assert beats.receive(10, SOON)
    broker.publish_orders("n1", [StopRuns(run_ids=["r1"])])
    assert orders.receive(SOON)


def break_loop(connection: KeptConnection, last_words: Callable[[], object] = lambda: None) -> None:
    """Let pika's loop fail, and return when there is another one that is connected."""
    old = connection._loop

    def fail() -> None:
        last_words()
        raise ZeroDivisionError("unexpected")

    old.add_callback_threadsafe(fail)
    wait_until(lambda: connection._loop is not old and not connection.is_up)
    assert connection.wait_until_up(SOON)


def test_readers_and_publishers_go_on_after_an_unexpected_error_in_every_connection(
    virtual_host: VirtualHost, open_broker: Open
) -> None:
    broker = open_broker(virtual_host.broker())
    events, beats, slot, orders, live = every_reader(broker)
    broker.publish_events([a_claim("r1")])
    assert events.receive(1, SOON)
    for connection, _ in broker._connections.values():
        break_loop(connection)
    wait_until(lambda: live == [None])
    broker.publish_events([a_claim("r2"), a_heartbeat()])
    receive_both_claims(events)
    assert beats.receive(10, SOON)
    broker.publish_tasks([a_task_message("t1")])
    delivery = slot.receive(SOON)
    assert delivery is not None
    delivery.ack()
    broker.publish_orders("n1", [StopRuns(run_ids=["r1"])])
    assert orders.receive(SOON)
    broker.publish_live(LiveChanges())
    wait_until(lambda: live == [None, LiveChanges()])
    broker.check_health()


def test_a_slot_that_looks_away_looks_again_though_its_timer_was_lost_with_the_loop(
    virtual_host: VirtualHost, open_broker: Open
) -> None:
    broker = open_broker(virtual_host.broker())
    slot = broker.consume_tasks("default")
    broker.publish_tasks([a_task_message("t1")])
    delivery = slot.receive(SOON)
    assert delivery is not None
    break_loop(broker._connections["work"][0], lambda: slot._leave_to_others(delivery.channel, delivery.tag))
    assert slot.receive(SOON) is not None


def test_an_errand_ends_at_once_when_its_loop_fails(virtual_host: VirtualHost, open_broker: Open) -> None:
    broker = open_broker(virtual_host.broker())
    connection, _ = broker._connections["work"]
    with Errand(connection, seconds=60.0) as errand:
        break_loop(connection)
        began_at = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="ZeroDivisionError: unexpected"):
            errand.declare("default")
        assert time.monotonic() - began_at < SOON
    with Errand(connection, seconds=SOON) as errand:
        errand.declare("default")
    wait_until(lambda: not [guest for guest in connection._guests if isinstance(guest, Errand)])


def test_an_errand_that_does_not_begin_in_time_is_forgotten(virtual_host: VirtualHost, open_broker: Open) -> None:
    broker = open_broker(virtual_host.broker())
    connection, _ = broker._connections["work"]
    with pytest.raises(BrokerUnavailable), Errand(connection, seconds=0.0):
        pass
    done = threading.Event()
    connection.run(done.set)
    assert done.wait(SOON)
    assert not [guest for guest in connection._guests if isinstance(guest, Errand)]


def test_a_queue_of_a_node_is_had_again_once_its_first_reader_has_gone(
    virtual_host: VirtualHost, open_broker: Open
) -> None:
    first, second = open_broker(virtual_host.broker()), open_broker(virtual_host.broker(wait=0.3))
    reader = first.consume_orders("n1")
    with pytest.raises(BrokerUnavailable, match="x-n1"):
        second.consume_orders("n1")
    reader.close()
    again = second.consume_orders("n1")
    first.publish_orders("n1", [StopRuns(run_ids=["r1"])])
    assert list(again.receive(SOON)) == [StopRuns(run_ids=["r1"])]


def test_live_changes_reach_other_processes(virtual_host: VirtualHost, open_broker: Open) -> None:
    brokers = [open_broker(virtual_host.broker()) for _ in range(2)]
    seen: list[list[LiveChanges | None]] = [[], []]
    for broker, each in zip(brokers, seen, strict=True):
        broker.subscribe(each.append)
    brokers[0].publish_live(LiveChanges())
    wait_until(lambda: seen == [[LiveChanges()], [LiveChanges()]])


def test_a_broker_that_is_not_there_is_said_at_the_start(open_broker: Open) -> None:
    options = RabbitMQOptions(url=f"amqp://u:s3cret@127.0.0.1:{free_port()}/", wait=0.5)
    with pytest.raises(BrokerUnavailable, match="Connection refused"):
        open_broker(RabbitMQBroker(options))


def test_a_wrong_password_is_said_and_no_password_is_shown(
    virtual_host: VirtualHost, open_broker: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    options = virtual_host.options(
        url=virtual_host.server.url(virtual_host.name).replace(":guest@", ":s3cret@"), wait=1.0
    )
    broker = RabbitMQBroker(options)
    with pytest.raises(BrokerUnavailable, match="user or password are refused") as caught:
        open_broker(broker)
    assert "s3cret" not in f"{caught.value} {caplog.text} {options} {broker._address!r}"


def test_an_unknown_virtual_host_is_said(virtual_host: VirtualHost, open_broker: Open) -> None:
    url = virtual_host.server.url("nowhere")
    with pytest.raises(BrokerUnavailable, match="virtual host"):
        open_broker(RabbitMQBroker(virtual_host.options(url=url, wait=1.0)))


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ("heartbeet=3", "unknown parameter 'heartbeet'"),
        ("heartbeat=often", "heartbeat has to be a number"),
        ("verify=maybe", "verify has to be"),
        ("cacertfile=/not/there.pem", "/not/there.pem can't be used: No such file"),
    ],
)
def test_a_parameter_of_the_url_that_cannot_be_used_stops_the_start(parameter: str, told: str) -> None:
    with pytest.raises(StartError, match=told):
        RabbitMQBroker(RabbitMQOptions(url=f"amqps://u:s3cret@localhost/?{parameter}"))


def test_threads_end_with_the_broker(virtual_host: VirtualHost) -> None:
    broker = virtual_host.broker()
    broker.open()
    broker.consume_events([STARTED])
    broker.subscribe(lambda _: None)
    broker.close()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("rabbitmq-")])

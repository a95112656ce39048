"""RabbitMQ by TLS: everything works as without, and a server that is not the right one is not talked to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import CA_FILE, make_certificates
from tests.support.messages import a_claim, a_task_message
from tests.support.rabbitmq_fixtures import VirtualHost
from tests.support.waiting import wait_until
from tork.errors import BrokerUnavailable
from tork.task import TaskDefinition
from torkd.broker.queues import STARTED
from torkd.broker.rabbitmq import RabbitMQBroker

pytestmark = pytest.mark.rabbitmq

SOON = 10.0

Open = Callable[[RabbitMQBroker], RabbitMQBroker]


def url(virtual_host: VirtualHost, host: str = "localhost", **query: str) -> str:
    query = {"cacertfile": str(virtual_host.server.authority), **query}
    return virtual_host.server.tls_url(virtual_host.name, host, **query)


def test_messages_of_any_size_go_to_and_fro(virtual_host: VirtualHost, open_broker: Open) -> None:
    broker = open_broker(virtual_host.broker(url=url(virtual_host)))
    slot, events = broker.consume_tasks("default"), broker.consume_events([STARTED])
    definition = TaskDefinition(name="large", run="x" * 300_000)
    tasks = [a_task_message(f"t{number}", definition=definition) for number in range(20)]
    broker.publish_tasks(tasks)
    for task in tasks:
        received = slot.receive(SOON)
        assert received is not None
        assert received.message == task
        received.ack()
    broker.publish_events([a_claim(f"r{number}") for number in range(500)])
    seen: list[str] = []
    while len(seen) < 500:
        deliveries = events.receive(100, SOON)
        assert deliveries
        seen += [getattr(delivery.message, "run_id", "") for delivery in deliveries]
        events.ack(deliveries)
    assert seen == [f"r{number}" for number in range(500)]


def test_it_goes_on_after_its_connections_were_closed(virtual_host: VirtualHost, open_broker: Open) -> None:
    broker = open_broker(virtual_host.broker(url=url(virtual_host)))
    slot = broker.consume_tasks("default")
    wait_until(lambda: len(virtual_host.server.connections(virtual_host.name)) >= 2)
    virtual_host.server.close_connections(virtual_host.name)
    broker.publish_tasks([a_task_message("t1")])
    received = slot.receive(SOON)
    assert received is not None
    assert received.message.task_id == "t1"
    received.ack()


def test_a_server_that_another_authority_has_signed_is_not_talked_to(
    virtual_host: VirtualHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_certificates(tmp_path)
    broker = virtual_host.broker(url=url(virtual_host, cacertfile=str(tmp_path / CA_FILE)), wait=2.0)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(BrokerUnavailable, match="its certificate is not to be trusted: ") as caught,
    ):
        broker.open()
    assert "guest" not in str(caught.value)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_server_with_another_name_is_not_talked_to_unless_that_is_asked_for(
    virtual_host: VirtualHost, open_broker: Open
) -> None:
    with pytest.raises(BrokerUnavailable, match=r"not valid for '127\.0\.0\.1'"):
        virtual_host.broker(url=url(virtual_host, "127.0.0.1"), wait=2.0).open()
    for lax in ({"server_name_indication": "localhost"}, {"verify": "verify_none"}):
        open_broker(virtual_host.broker(url=url(virtual_host, "127.0.0.1", **lax))).check_health()


def test_a_port_without_tls_is_told(virtual_host: VirtualHost) -> None:
    plain = virtual_host.server.url(virtual_host.name).replace("amqp://", "amqps://")
    with pytest.raises(BrokerUnavailable, match=r"does not speak TLS \(right would be amqp://"):
        virtual_host.broker(url=plain, wait=2.0).open()

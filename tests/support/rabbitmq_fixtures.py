"""Fixtures for tests that need RabbitMQ: a server for the run, a virtual host for the test, a broker on it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.engines import shared_server
from tests.support.rabbitmq import PROGRAMS, RabbitMQServer
from torkd.broker.rabbitmq import RabbitMQBroker, RabbitMQOptions


@dataclass(frozen=True)
class VirtualHost:
    """An empty one on a running server."""

    server: RabbitMQServer
    name: str

    def options(self, **changes: object) -> RabbitMQOptions:
        """How to use it."""
        known: dict[str, object] = {"url": self.server.url(self.name), "management_url": self.server.management_url}
        return RabbitMQOptions(**{**known, **changes})  # type: ignore[arg-type]

    def broker(self, **changes: object) -> RabbitMQBroker:
        """An adapter on it, not yet open."""
        return RabbitMQBroker(self.options(**changes))


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQServer]:
    """The server of the run. It is not to be restarted."""
    if not PROGRAMS.joinpath("rabbitmq-server").exists():
        pytest.skip("missing: rabbitmq-server (`make servers` installs it on Debian)")
    with shared_server("rabbitmq") as base:
        yield RabbitMQServer.of(base)


@pytest.fixture
def virtual_host(rabbitmq_server: RabbitMQServer) -> Iterator[VirtualHost]:
    """A virtual host for this test."""
    name = f"v{uuid.uuid4().hex[:12]}"
    rabbitmq_server.make_virtual_host(name)
    yield VirtualHost(rabbitmq_server, name)
    rabbitmq_server.remove_virtual_host(name)


@pytest.fixture
def rabbitmq_broker(virtual_host: VirtualHost) -> Iterator[RabbitMQBroker]:
    """An open broker on a virtual host of its own."""
    broker = virtual_host.broker()
    broker.open()
    yield broker
    broker.close()

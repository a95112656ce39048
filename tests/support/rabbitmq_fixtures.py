"""Fixtures for tests that need RabbitMQ: a server for the run, a virtual host for the test, a broker on it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
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
        return RabbitMQOptions(**{**known, **changes})  # type: ignore[arg-type] # each test knows its options

    def broker(self, **changes: object) -> RabbitMQBroker:
        """An adapter on it, not yet open."""
        return RabbitMQBroker(self.options(**changes))


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQServer]:
    """The server of the run. It is not to be restarted."""
    _need_rabbitmq()
    with shared_server("rabbitmq") as base:
        yield RabbitMQServer.of(base)


@pytest.fixture
def virtual_host(rabbitmq_server: RabbitMQServer) -> Iterator[VirtualHost]:
    """A virtual host for this test."""
    name = _make_virtual_host(rabbitmq_server)
    yield VirtualHost(rabbitmq_server, name)
    rabbitmq_server.remove_virtual_host(name)


@pytest.fixture
def rabbitmq_broker(virtual_host: VirtualHost) -> Iterator[RabbitMQBroker]:
    """An open broker on a virtual host of its own."""
    broker = virtual_host.broker()
    broker.open()
    yield broker
    broker.close()


@pytest.fixture
def open_broker() -> Iterator[Callable[[RabbitMQBroker], RabbitMQBroker]]:
    """Opens brokers, and closes them at the end of the test."""
    with ExitStack() as opened:

        def open_it(broker: RabbitMQBroker) -> RabbitMQBroker:
            opened.enter_context(closing(broker))
            broker.open()
            return broker

        yield open_it


@pytest.fixture(scope="session")
def own_rabbitmq_server() -> Iterator[RabbitMQServer]:
    """A server that tests may restart, kill, freeze and wipe: each leaves it running."""
    _need_rabbitmq()
    with shared_server("rabbitmq", own=f"own{os.getpid()}") as base:
        yield RabbitMQServer.of(base)


@pytest.fixture
def own_virtual_host(own_rabbitmq_server: RabbitMQServer) -> Iterator[VirtualHost]:
    """A virtual host on that server, which runs again for the next test whatever this one did."""
    name = _make_virtual_host(own_rabbitmq_server)
    yield VirtualHost(own_rabbitmq_server, name)
    own_rabbitmq_server.thaw()
    if not own_rabbitmq_server.is_ready():
        own_rabbitmq_server.launch_again()
    own_rabbitmq_server.remove_virtual_host(name)


def _make_virtual_host(server: RabbitMQServer) -> str:
    name = f"v{uuid.uuid4().hex[:12]}"
    server.make_virtual_host(name)
    return name


def _need_rabbitmq() -> None:
    if not PROGRAMS.joinpath("rabbitmq-server").exists():
        pytest.skip("missing: rabbitmq-server (`make servers` installs it on Debian)")

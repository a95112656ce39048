"""The brokers the contract holds for. An adapter joins by one more fixture, with the marker of its server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from torkd.broker.memory import MemoryBroker
from torkd.broker.protocol import Broker


@pytest.fixture
def memory_broker() -> Iterator[Broker]:
    """The one of a process that is alone."""
    broker = MemoryBroker()
    broker.open()
    yield broker
    broker.close()


class OurBrokers:
    """Makes each of them, for a suite."""

    @pytest.fixture(
        params=[
            pytest.param("memory_broker", id="memory"),
            pytest.param("rabbitmq_broker", id="rabbitmq", marks=pytest.mark.rabbitmq),
        ]
    )
    def broker(self, request: pytest.FixtureRequest) -> Broker:
        """An open and empty broker."""
        made: Broker = request.getfixturevalue(request.param)
        return made

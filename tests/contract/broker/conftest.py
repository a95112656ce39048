"""The brokers the contract holds for. An adapter joins by one more line in `ADAPTERS`, with the marker of its server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from torkd.broker.memory import MemoryBroker
from torkd.broker.protocol import Broker

ADAPTERS: list[tuple[str, Callable[[], Broker], tuple[pytest.MarkDecorator, ...]]] = [
    ("memory", MemoryBroker, ()),
]


@pytest.fixture(params=[pytest.param(make, id=name, marks=marks) for name, make, marks in ADAPTERS])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """An open and empty broker."""
    made: Broker = request.param()
    made.open()
    yield made
    made.close()

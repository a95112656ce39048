"""A real daemon for a module's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine
from tests.support.stand_ins import load_stand_ins


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Standalone, with eight slots."""
    with Daemon({"TORK_WORKER_QUEUES_DEFAULT": "8"}) as running:
        yield running


@pytest.fixture(scope="module")
def stand_ins(container_engine: ContainerEngine) -> ContainerEngine:
    """Each engine in turn, with images under the names that examples use."""
    load_stand_ins(container_engine.api)
    return container_engine

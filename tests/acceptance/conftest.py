"""A real daemon for a module's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Standalone, with eight slots."""
    with Daemon({"TORK_WORKER_QUEUES_DEFAULT": "8"}) as running:
        yield running

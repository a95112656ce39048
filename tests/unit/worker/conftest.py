from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.workers import WorkerUnderTest
from torkd.runtime.fake import FakeRuntime
from torkd.runtime.protocol import Runtime


@pytest.fixture
def start() -> Iterator[Callable[..., WorkerUnderTest]]:
    """Starts workers, on the fake runtime unless told otherwise, and stops them."""
    started: list[WorkerUnderTest] = []

    def start_worker(runtime: Runtime | None = None, **options: object) -> WorkerUnderTest:
        worker = WorkerUnderTest(runtime or FakeRuntime(), **options)  # type: ignore[arg-type]  # fields of the options
        started.append(worker)
        return worker

    yield start_worker
    for worker in started:
        worker.close()

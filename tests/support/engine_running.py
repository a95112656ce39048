"""A whole engine in one process: coordinator, in-memory broker and a worker with a runtime that tests script."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

from tests.support.waiting import wait_until
from tork.job import JobDefinition, JobState
from torkd.broker.memory import MemoryBroker
from torkd.clock import utc_now
from torkd.coordinator.coordinator import Coordinator
from torkd.coordinator.options import CoordinatorOptions
from torkd.coordinator.webhooks import Sender
from torkd.datastore.protocol import Datastore, IdempotencyKey
from torkd.runtime.fake import FakeRuntime
from torkd.worker.options import WorkerOptions
from torkd.worker.worker import Worker

OPTIONS = CoordinatorOptions(node_id="coordinator", broker_is_ours=True)
FAST_LEASE: dict[str, Any] = {"heartbeat": 0.1, "lease": 0.6}


def new_id() -> str:
    """A random id."""
    return uuid.uuid4().hex


class RunningEngine:
    """One life of an engine over a datastore, which stays open when the engine is gone. Starts without a worker."""

    def __init__(
        self, datastore: Datastore, *, broker: MemoryBroker | None = None, sender: Sender | None = None, **options: Any
    ) -> None:
        """With a `sender` it delivers webhooks."""
        self.datastore = datastore
        self.broker = broker or MemoryBroker()
        self.broker.open()
        self.options = replace(OPTIONS, **options)
        self.coordinator = Coordinator(datastore, self.broker, self.options, new_id=new_id, sender=sender)
        self.runtime = FakeRuntime()
        self.worker: Worker | None = None
        self.coordinator.start()

    def __enter__(self) -> RunningEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_worker(self, *, slots: int = 4) -> Worker:
        """Let somebody do the work."""
        options = WorkerOptions(
            node_id="worker",
            queues={"default": slots},
            heartbeat_seconds=self.options.heartbeat,
            lease_seconds=self.options.lease,
            drain_seconds=5,
            grace_seconds=1,
        )
        self.worker = Worker(self.broker, self.runtime, options, now=utc_now, new_id=new_id, environ={})
        self.worker.start()
        return self.worker

    def stop(self) -> None:
        """An orderly end."""
        if self.worker is not None:
            self.worker.stop()
        self.coordinator.stop()
        self.broker.close()

    def crash(self) -> None:
        """An end at which nobody says goodbye: nothing of what is on its way arrives."""
        self.broker.close()
        if self.worker is not None:
            self.worker.stop()
        self.coordinator.stop()

    def submit(self, definition: JobDefinition, key: IdempotencyKey | None = None) -> str:
        """Submit a job; its id."""
        return self.coordinator.submit(definition, key=key).job_id

    def state(self, job_id: str) -> JobState:
        """The state of a job."""
        return self.datastore.get_summary(job_id).state

    def wait_for(self, job_id: str, state: JobState = JobState.COMPLETED, *, timeout: float = 30.0) -> None:
        """Return when the job is in that state; fail at once when it ends in another."""

        def arrived() -> bool:
            now = self.state(job_id)
            if now is not state and not now.is_active and not state.is_active:
                job = self.datastore.get_job(job_id)
                raise AssertionError(f"the job is {now} instead of {state}: {job.error}")
            return now is state

        wait_until(arrived, timeout=timeout)

    def wait_for_all(self, job_ids: list[str], state: JobState = JobState.COMPLETED, *, timeout: float = 60.0) -> None:
        """The same for several jobs."""
        for job_id in job_ids:
            self.wait_for(job_id, state, timeout=timeout)


def until_stopped(started: Callable[[str], None] = lambda _: None) -> Callable[[Any], str]:
    """What a run does that never ends by itself."""

    def run(task: Any) -> str:
        started(task.definition.name)
        task.stop.wait(60)
        raise task.stop.error()

    return run

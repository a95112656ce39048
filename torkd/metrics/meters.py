"""All figures of one process: what it counts, and what it looks up when it is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from tork.node import Queue
from tork.task import TaskState
from torkd.checks import Checks
from torkd.coordinator.observing import Tally
from torkd.datastore.protocol import EngineFigures
from torkd.datastore.webhook_protocol import WebhookFigures
from torkd.metrics.counted import Counted
from torkd.metrics.sharing import VARIABLE
from torkd.metrics.standing import Standing

# How old a counter is Prometheus sees for itself, and a series more for each would double their number.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's


_ENDS = (TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED)
# of tasks that ran


class Meters:
    """Implements what the coordinator tells and what the API asks: `Observer` and `Figures`."""

    def __init__(
        self,
        version: str,
        checks: Checks,
        *,
        figures: Callable[[], EngineFigures],
        webhooks: Callable[[], WebhookFigures],
        queues: Callable[[], list[Queue]],
    ) -> None:
        """Of several processes the figures are found in the files they share; of one, in its memory, with its own use of the machine."""
        self._registry = CollectorRegistry()
        self._directory = os.environ.get(VARIABLE, "")
        if self._directory:
            self._counted = Counted(None)
            MultiProcessCollector(self._registry, self._directory)  # type: ignore[no-untyped-call]  # the library's
        else:
            self._counted = Counted(self._registry)
            ProcessCollector(registry=self._registry)
        self._run_seconds = {state: self._counted.run_seconds.labels(state.value) for state in _ENDS}
        """At hand: they are counted once a task."""
        self._registry.register(Standing(version, checks, figures=figures, webhooks=webhooks, queues=queues))

    def batch_handled(self, tally: Tally, seconds: float) -> None:
        """A batch was committed."""
        self._counted.batch_events.observe(tally.events)
        self._counted.batch_seconds.observe(seconds)
        self._count(tally)

    def command_handled(self, tally: Tally) -> None:
        """What people asked for was committed."""
        self._count(tally)

    def batch_put_off(self) -> None:
        """A batch has to be tried again."""
        self._counted.batches_put_off.inc()

    def event_buried(self) -> None:
        """An event can't be handled, ever."""
        self._counted.events_buried.inc()

    def log_parts_stored(self, parts: int, characters: int) -> None:
        """What tasks printed was stored."""
        self._counted.log_parts.inc(parts)
        self._counted.log_characters.inc(characters)

    def request_served(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._counted.requests.labels(method, route, str(status)).inc()
        self._counted.request_seconds.labels(method, route).observe(seconds)

    def streams_open(self, count: int) -> None:
        """So many streams are followed now."""
        self._counted.streams.set(count)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All figures as text, with its media type."""
        if self._directory:
            self._forget_dead()
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _count(self, tally: Tally) -> None:
        counted = self._counted
        for counter, count in (
            (counted.jobs_created, tally.jobs_created),
            (counted.tasks_handed_out, tally.handed_out),
            (counted.retries, tally.retried),
            (counted.runs_lost, tally.runs_lost),
            (counted.handed_back, tally.runs_handed_back),
            (counted.redeliveries, tally.redelivered),
        ):
            if count:
                counter.inc(count)
        for job_state, seconds in tally.jobs_ended:
            counted.jobs_ended.labels(job_state.value).inc()
            if seconds is not None:
                counted.job_seconds.labels(job_state.value).observe(seconds)
        if tally.jobs_cancelled_along:
            counted.jobs_ended.labels("CANCELLED").inc(tally.jobs_cancelled_along)
        for task_state, count in tally.tasks_ended.items():
            counted.tasks_ended.labels(task_state.value).inc(count)
        for task_state, seconds in tally.runs_ended:
            self._run_seconds[task_state].observe(seconds)
        for seconds in tally.queued:
            counted.queue_seconds.observe(seconds)

    def _forget_dead(self) -> None:
        """What processes that are gone have counted stays; what they held open does not."""
        for path in Path(self._directory).glob("gauge_live*_*.db"):
            pid = path.stem.rpartition("_")[2]
            if pid.isdigit() and not psutil.pid_exists(int(pid)):
                with suppress(FileNotFoundError):
                    mark_process_dead(int(pid), self._directory)  # type: ignore[no-untyped-call]  # the library's

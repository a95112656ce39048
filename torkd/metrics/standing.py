"""What is looked up when somebody asks: the same from every process, since the database and the broker say it.

What can't be looked up now is left out, and `tork_up` says why; nobody waits for it longer than a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tork.errors import Unavailable
from tork.job import JobState
from tork.node import NodeStatus, Queue
from tork.task import TaskState
from torkd.broker.queues import DEAD
from torkd.checks import Checks
from torkd.datastore.protocol import EngineFigures
from torkd.datastore.webhook_protocol import WebhookFigures
from torkd.recent import Recent

T = TypeVar("T")

_PRIVATE = "x-"
_KINDS = ("coordinator", "worker")


class Standing(Collector):
    """Collects it anew for each scrape, but for what was asked less than a second ago."""

    def __init__(
        self,
        version: str,
        checks: Checks,
        *,
        figures: Callable[[], EngineFigures],
        webhooks: Callable[[], WebhookFigures],
        queues: Callable[[], list[Queue]],
    ) -> None:
        self._version = version
        self._checks = checks
        self._figures = Recent(figures)
        self._webhooks = Recent(webhooks)
        self._queues = Recent(queues)

    def describe(self) -> Iterable[Metric]:
        """Nothing: to register is no reason to ask a database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Everything that can be had now."""
        self._checks.begin()
        self._figures.begin()
        self._webhooks.begin()
        self._queues.begin()
        yield _family("build_info", "The version of this torkd, as a label.", ("version",), {(self._version,): 1})
        up: dict[tuple[str, ...], float] = {(name,): float(not error) for name, error in self._checks.look().items()}
        yield _family("up", "Whether what this process stands on works, by part: 1 or 0.", ("indicator",), up)
        if (figures := _answer(self._figures)) is not None:
            yield from _of_engine(figures)
        if (webhooks := _answer(self._webhooks)) is not None:
            yield from _of_webhooks(webhooks)
        if (queues := _answer(self._queues)) is not None:
            yield from _of_broker(queues)


def _answer(recent: Recent[T]) -> T | None:
    try:
        return recent.get()
    except Unavailable:
        return None


def _of_engine(figures: EngineFigures) -> Iterator[Metric]:
    active = [state.value for state in JobState if state.is_active]
    yield _family(
        "jobs", "Jobs that are active, by state.", ("state",), {(name,): figures.jobs.get(name, 0) for name in active}
    )
    active = [state.value for state in TaskState if state.is_active]
    yield _family(
        "tasks",
        "Tasks that are active, by state; PENDING ones wait for a retry.",
        ("state",),
        {(name,): figures.tasks.get(name, 0) for name in active},
    )
    yield _family("jobs_stored", "All jobs that are stored, ended ones included.", (), {(): figures.jobs_stored})
    yield _family(
        "schedules_late",
        "Schedules whose next job should have started more than 30 seconds ago.",
        (),
        {(): figures.schedules_late},
    )
    yield _family("outbox_messages", "Hand-outs of tasks that wait to be published.", (), {(): figures.outbox})
    yield _family("outbox_age_seconds", "Age of the oldest of them.", (), {(): figures.outbox_age_seconds})
    yield _family(
        "nodes",
        "Nodes that were heard of within five minutes, by kind and status.",
        ("kind", "status"),
        {(kind, status.value): figures.nodes.get((kind, status.value), 0) for kind in _KINDS for status in NodeStatus},
    )
    yield _family(
        "nodes_cpu_ratio",
        "Processor use of the nodes that are online, their average, by kind.",
        ("kind",),
        {(kind,): figures.cpu_percent.get(kind, 0.0) / 100 for kind in _KINDS},
    )
    yield _family("worker_tasks", "Tasks that the workers say they run.", (), {(): figures.worker_tasks})


def _of_webhooks(figures: WebhookFigures) -> Iterator[Metric]:
    for name, meaning, count in (
        ("delivered", "Webhook requests that their receivers took, as the database counts them.", figures.delivered),
        ("given_up", "Webhook requests that were given up, as the database counts them.", figures.given_up),
    ):
        yield CounterMetricFamily(f"tork_webhooks_{name}", meaning, value=count)
    yield _family("webhooks_waiting", "Webhook requests that are still to be delivered.", (), {(): figures.waiting})
    yield _family(
        "webhook_addresses_failing",
        "Addresses of jobs whose next request has failed at least once.",
        (),
        {(): figures.failing},
    )


def _of_broker(queues: list[Queue]) -> Iterator[Metric]:
    shown = [queue for queue in queues if not queue.name.startswith(_PRIVATE)]
    for name, meaning, field in (
        ("queue_messages", "Messages that wait in a queue.", "size"),
        ("queue_unacknowledged_messages", "Messages that were taken and are not acknowledged.", "unacked"),
        ("queue_consumers", "Consumers of a queue.", "subscribers"),
    ):
        yield _family(name, meaning, ("queue",), {(queue.name,): getattr(queue, field) for queue in shown})
    dead = sum(queue.size for queue in queues if queue.name == DEAD)
    yield _family("dead_letters", "Dead letters: messages that nobody can handle.", (), {(): dead})


def _family(
    name: str, meaning: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"tork_{name}", meaning, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family

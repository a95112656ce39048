"""What the webhooks of a job are told: which of them hear an announced change, and the request that each gets.

A webhook's `if` sees the state as of the change. A condition that fails, or is not a yes or no, sends nothing; a header that fails
is sent empty; both are told to the log by whoever carries this out. The body holds no secret's value, the headers may.
Templates are evaluated once: those of a sub-job's webhooks were, by the job that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec.structs import asdict

from tork.errors import ExpressionError
from tork.expression import Summary, evaluate
from tork.job import JobSummary
from tork.task import TaskSummary, WebhookDefinition
from tork.wire import encode_plain, plain
from torkd.engine.changes import Announce
from torkd.engine.hook_events import asks_for
from torkd.engine.instance import text_of
from torkd.engine.reads import NAMESPACES, Reads, reads_of_text
from torkd.engine.snapshots import job_as_of, task_as_of
from torkd.engine.view import Context
from torkd.hooks.redact import Redactor
from torkd.hooks.webhook_request import HookRequest, target_of


class StoredWebhook(WebhookDefinition, frozen=True, kw_only=True):
    """A webhook as it is stored with its job."""

    evaluated: bool = False
    """Whether its templates were evaluated already: what came out of one is never taken for another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HookedJob:
    """What is known of a job with webhooks besides its row."""

    summary: JobSummary
    """As it was stored before the batch; of a new job, what does not change."""
    webhooks: Sequence[StoredWebhook]
    context: Context
    """What the templates of its headers read."""
    secrets: Sequence[str] = ()
    """The values that no body may hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One request to be made, in its place among those of its job to the same address."""

    job_id: str
    lane: int
    """The place in the job's list of the first webhook with this address: its requests go out one after the other."""
    target: str
    number: int
    """The place among the deliveries of this batch."""
    event: str
    request: HookRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What could not be evaluated. Holds no secret's value."""

    job_id: str
    about: str


@dataclass(slots=True)
class Told:
    """What comes of the announcements of a batch."""

    deliveries: list[Delivery]
    troubles: list[Trouble]


def header_reads(webhooks: Iterable[StoredWebhook]) -> Reads:
    """What of the job's context the headers of these read."""
    reads = Reads()
    for webhook in webhooks:
        if not webhook.evaluated:
            for value in webhook.headers.values():
                reads |= reads_of_text(value)
    return reads


def tell(
    announced: Sequence[Announce],
    jobs: Mapping[str, HookedJob],
    tasks: Mapping[str, TaskSummary],
    redactor: Redactor,
) -> Told:
    """The deliveries of these announcements, in their order. `tasks` are as they were stored before the batch; new ones tell what
    does not change.
    """
    told = Told([], [])
    for announcement in announced:
        job = jobs.get(announcement.job.id)
        if job is not None:
            telling = _Telling(announcement, job, tasks, redactor)
            for place, webhook in enumerate(job.webhooks):
                if asks_for(webhook, announcement.event):
                    _tell_one(told, telling, place, webhook)
    return told


class _Telling:
    """One announcement, ready to be told to any number of webhooks."""

    def __init__(
        self, announcement: Announce, job: HookedJob, tasks: Mapping[str, TaskSummary], redactor: Redactor
    ) -> None:
        self.announcement, self.job, self._redactor = announcement, job, redactor
        self.lanes = lanes_of(job.webhooks)
        self.job_then = job_as_of(job.summary, announcement.job)
        row = announcement.task
        self.task_then = task_as_of(tasks.get(row.id, TaskSummary()), row) if row is not None else None

    @cached_property
    def condition_context(self) -> dict[str, Any]:
        context: dict[str, Any] = {"job": Summary(_fields(self.job_then))}
        if self.task_then is not None:
            context["task"] = Summary(_fields(self.task_then))
        return context

    @cached_property
    def header_context(self) -> dict[str, Any]:
        context: dict[str, Any] = {name: self.job.context.get(name, {}) for name in NAMESPACES}
        return context | {"job": {"id": self.job_then.id, "name": self.job_then.name}}

    @cached_property
    def body(self) -> str:
        shown = plain(self.job_then if self.task_then is None else self.task_then)
        return encode_plain(self._redactor.redact(shown, self.job.secrets)).decode()

    def without_secrets(self, text: str) -> str:
        return self._redactor.redact_text(text.strip().partition("\n")[0], self.job.secrets)


def _tell_one(told: Told, telling: _Telling, place: int, webhook: StoredWebhook) -> None:
    job_id = telling.announcement.job.id

    def trouble(what: str, why: str) -> None:
        about = f"webhooks[{place}]{what} {telling.announcement.event}: {telling.without_secrets(why)}"
        told.troubles.append(Trouble(job_id=job_id, about=about))

    try:
        if not _is_wanted(webhook, telling):
            return
    except ExpressionError as error:
        trouble(".if can't be decided, so it is not told of", str(error))
        return
    try:
        target = target_of(webhook.url)
    except ValueError:
        trouble(" is not told of", "its url is no address")
        return
    headers: dict[str, str] = {}
    for name, value in webhook.headers.items():
        try:
            headers[name] = _header_value(value if webhook.evaluated else text_of(value, telling.header_context))
        except ExpressionError as error:
            headers[name] = ""
            trouble(f".headers.{name} is sent empty with", str(error))
    told.deliveries.append(
        Delivery(
            job_id=job_id,
            lane=telling.lanes[place],
            target=target,
            number=len(told.deliveries),
            event=telling.announcement.event,
            request=HookRequest(url=webhook.url, headers=headers, body=telling.body),
        )
    )


def lanes_of(webhooks: Iterable[WebhookDefinition]) -> list[int]:
    """The lane of each: the place of the first webhook with the same address."""
    first: dict[str, int] = {}
    return [first.setdefault(webhook.url, place) for place, webhook in enumerate(webhooks)]


def _is_wanted(webhook: WebhookDefinition, telling: _Telling) -> bool:
    if not webhook.if_:
        return True
    value = evaluate(webhook.if_, telling.condition_context)
    if not isinstance(value, bool):
        raise ExpressionError("it is neither true nor false (right would be such as job.state == 'COMPLETED')")
    return value


def _header_value(value: str) -> str:
    if not value.isprintable():
        raise ExpressionError("its value holds a line break or another control character")
    return value


def _fields(summary: JobSummary | TaskSummary) -> dict[str, Any]:
    """The fields under their JSON names, absent ones with their empty values."""
    names = zip(summary.__struct_fields__, summary.__struct_encode_fields__, strict=True)
    values = asdict(summary)
    return {told: _condition_value(values[own]) for own, told in names}


def _condition_value(value: Any) -> Any:
    """The account and the schedule are records of their own."""
    if hasattr(value, "__struct_fields__"):
        return Summary(_fields(value))
    return value

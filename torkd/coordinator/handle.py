"""The five steps over a batch of events: begin, load and lock, decide, write, commit. Publishing and acknowledging follow.

A decision that fails is that event's own failure: it has changed nothing, and the rest of the batch goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tork.errors import BadData, StateConflict, Unavailable
from torkd.datastore.protocol import Batch, Datastore, Dispatch
from torkd.engine.changes import Change
from torkd.engine.decide import decide
from torkd.engine.events import EngineEvent
from torkd.engine.view import NotLoadedError, View

log = logging.getLogger(__name__)

MAX_LOADS = 10_000
"""How often one decision may ask for more: far above what any job needs, so that a fault can't loop for ever."""


@dataclass(slots=True)
class Handled:
    """What a committed batch leaves to do."""

    view: View
    versions: dict[str, int]
    """Every touched job with its new version."""
    skipped: list[EngineEvent] = field(default_factory=list)
    """Events whose root somebody else works on: to be tried again."""
    failed: list[tuple[EngineEvent, Exception]] = field(default_factory=list)
    """Events that can't be handled, ever."""
    cancelled_jobs: int = 0
    """How many jobs were cancelled along with others without having been looked at."""


def handle(
    datastore: Datastore,
    events: Sequence[EngineEvent],
    *,
    now: datetime,
    new_id: Callable[[], str],
    forget: Collection[Dispatch] = (),
    wait: float = 0.0,
) -> Handled:
    """Handle a batch in one transaction. `forget` names hand-outs that were published before, `wait` how many
    seconds to wait for locks instead of skipping their events.

    Raises `DatastoreUnavailable` when the database is away (nothing was done), `BadData` when it refuses a value of one of
    the events.
    """
    with datastore.begin() as batch:
        return fold(batch, batch.load(events, wait=wait), events, now=now, new_id=new_id, forget=forget)


def fold(
    batch: Batch,
    view: View,
    events: Sequence[EngineEvent],
    *,
    now: datetime,
    new_id: Callable[[], str],
    forget: Collection[Dispatch] = (),
) -> Handled:
    """Decide the events one after the other, and write what came of it."""
    handled = Handled(view, {})
    for event in events:
        if event.root_id in view.skipped_roots:
            handled.skipped.append(event)
            continue
        try:
            changes = _decide(batch, view, event, now, new_id)
        except StateConflict as conflict:
            handled.failed.append((event, conflict))
        except Exception as failure:
            if _is_ours(failure):
                raise
            # Not the event itself: it may hold secrets.
            place = {"job_id": event.job_id, "task_id": getattr(event, "task_id", "")}
            log.exception("an event can't be handled: %s", type(event).__name__, extra=place)
            handled.failed.append((event, failure))
        else:
            view.apply(changes, now)
    cancelled = batch.write(view, forget)
    handled.cancelled_jobs = len(cancelled)
    handled.versions = cancelled | {job_id: view.jobs[job_id].version for job_id in view.dirty_jobs | view.new_jobs}
    return handled


def _decide(batch: Batch, view: View, event: EngineEvent, now: datetime, new_id: Callable[[], str]) -> list[Change]:
    for _ in range(MAX_LOADS):
        try:
            return decide(view, event, now=now, new_id=new_id)
        except NotLoadedError as missing:
            if missing.position is not None:
                batch.load_steps(view, missing.job_id, missing.position)
            if missing.reads is not None:
                batch.load_context(view, missing.job_id, missing.reads)
            if missing.failures_of is not None:
                batch.load_failures(view, missing.failures_of)
            if missing.last_run:
                batch.load_last_runs(view, missing.job_id)
    raise RuntimeError(f"{event} asks for more than is stored")


def _is_ours(failure: Exception) -> bool:
    """Whether the failure is the database's rather than the event's."""
    return isinstance(failure, Unavailable | BadData) or type(failure).__module__.startswith("psycopg")

"""The heart: what is, what happened, and so what to do. No input, no output, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

from torkd.broker.messages import RunClaimed, RunEnded, RunProgressed
from torkd.engine import fanout, jobs, progress, stalled, surgery, tasks
from torkd.engine.changes import Change
from torkd.engine.events import (
    CancelRequested,
    ChildrenDue,
    EngineEvent,
    EventFailed,
    JobStalled,
    JobSubmitted,
    RestartRequested,
    RetryDue,
    RetryRequested,
    RunLost,
    SkipRequested,
    TaskStalled,
)
from torkd.engine.following import ACTIONS
from torkd.engine.turn import Turn
from torkd.engine.view import View


def decide(  # noqa: C901 - a case an event
    view: View, event: EngineEvent, *, now: datetime, new_id: Callable[[], str]
) -> list[Change]:
    """The changes that follow from an event. Empty when the event is stale. The view is not touched.

    Raises `NotLoadedError` when the view lacks something that is stored, `StateConflict` when a person asks for what the
    job's state forbids, `IllegalTransition` when the tables forbid a change.
    """
    turn = Turn(view, now, new_id)
    match event:
        case RunEnded():
            tasks.ended(turn, event)
        case RunClaimed():
            tasks.claimed(turn, event)
        case RunProgressed():
            progress.reported(turn, event)
        case ChildrenDue():
            surgery.children_due(turn, event)
            fanout.children_due(turn, event)
        case JobSubmitted():
            jobs.submitted(turn, event)
        case RetryDue():
            tasks.retry_due(turn, event)
        case RunLost():
            tasks.lost(turn, event)
        case CancelRequested():
            jobs.cancel(turn, event)
        case RestartRequested():
            jobs.restart(turn, event)
        case RetryRequested():
            surgery.retry(turn, event)
        case SkipRequested():
            surgery.skip(turn, event)
        case EventFailed():
            jobs.event_failed(turn, event)
        case JobStalled():
            stalled.job(turn, event)
        case TaskStalled():
            stalled.task(turn, event)
        case _:
            assert_never(event)
    turn.run(ACTIONS)
    return turn.changes

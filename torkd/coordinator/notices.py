"""Tells what operators registered of committed changes and recorded heartbeats, from a thread of its own.

Whoever committed never waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from tork.errors import Unavailable
from tork.job import JobState, JobSummary
from tork.node import Node
from tork.task import TaskSummary
from torkd.coordinator.afterwards import MOST_WAITING, Afterwards
from torkd.coordinator.handle import Handled
from torkd.datastore.protocol import Datastore
from torkd.engine.rows import JobRow, TaskRow
from torkd.engine.snapshots import job_as_of, task_as_of
from torkd.middleware import Told

log = logging.getLogger(__name__)

Notice = JobRow | TaskRow | Node | str
"""A text is the id of a job that was cancelled along with others, whose row nobody had in hand."""


class Notices:
    """A queue and its thread. `committed` and `seen` may be called from any thread, started or not."""

    def __init__(
        self,
        datastore: Datastore,
        told: Told,
        *,
        most_waiting: int = MOST_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._datastore = datastore
        self._told = told
        self._afterwards: Afterwards[Notice] = Afterwards(
            "notices",
            self._tell,
            dropped="middleware is too slow: it was not told of %s changes",
            most_waiting=most_waiting,
            clock=clock,
        )

    def start(self) -> None:
        """Begin, once."""
        self._afterwards.start()

    def close(self, seconds: float) -> None:
        """Tell of what waits, for so long, and end."""
        self._afterwards.close(seconds)

    def committed(self, handled: Handled) -> None:
        """A batch was committed."""
        view, notices = handled.view, list[Notice]()
        if self._told.job:
            notices += [view.jobs[job_id] for job_id in _changed(view.new_jobs, view.job_moves)]
            notices += [job_id for job_id in handled.versions if job_id not in view.jobs]
        if self._told.task:
            notices += [view.tasks[task_id] for task_id in _changed(view.new_tasks, view.task_moves)]
        self._afterwards.add(notices)

    def seen(self, nodes: Iterable[Node]) -> None:
        """Heartbeats of these nodes were recorded."""
        if self._told.node:
            self._afterwards.add(list(nodes))

    def _tell(self, notices: Sequence[Notice]) -> None:
        summaries = self._summaries({n if isinstance(n, str) else n.id for n in notices if isinstance(n, JobRow | str)})
        for notice in notices:
            match notice:
                case JobRow() if summary := summaries.get(notice.id):
                    self._told.job.tell(job_as_of(summary, notice))
                case str() if summary := summaries.get(notice):
                    self._told.job.tell(replace(summary, state=JobState.CANCELLED))
                case TaskRow():
                    self._told.task.tell(task_as_of(_at_hand(notice), notice))
                case Node():
                    self._told.node.tell(notice)
                case _:
                    pass  # a job that is gone already

    def _summaries(self, job_ids: set[str]) -> dict[str, JobSummary]:
        if not job_ids:
            return {}
        try:
            return {summary.id: summary for summary in self._datastore.changed_jobs(job_ids)}
        except Unavailable as error:
            log.warning("%s; middleware is not told of the changes of %s jobs", error, len(job_ids))
            return {}


def _changed(
    new: Iterable[str], moves: Iterable[tuple[JobRow, JobRow]] | Iterable[tuple[TaskRow, TaskRow]]
) -> list[str]:
    """The ids of those that are new or whose state has changed, each once."""
    moved = (after.id for before, after in moves if before.state is not after.state)
    return list(dict.fromkeys((*new, *moved)))


def _at_hand(task: TaskRow) -> TaskSummary:
    """What the row does not tell, as far as its definition does."""
    return TaskSummary(description=task.spec.description, tags=task.spec.tags) if task.spec else TaskSummary()

"""What of a job and its tasks is news. Streams that are resumed and questions asked in between bring old states again.

Invariant: each job and each task only goes forward; the same state comes again only with more progress.
"""

from __future__ import annotations

from tork.job import JobState, JobSummary
from tork.task import TaskState, TaskSummary

_ENDED = 9
_JOB_RANKS = {JobState.PENDING: 1, JobState.SCHEDULED: 2, JobState.RUNNING: 3}
_TASK_RANKS = {TaskState.CREATED: 1, TaskState.PENDING: 2, TaskState.SCHEDULED: 3, TaskState.RUNNING: 4}

_Standing = tuple[int, int, float]


class Progression:
    """How far everything is."""

    def __init__(self) -> None:
        self._standings: dict[str, _Standing] = {}

    def is_news(self, thing: JobSummary | TaskSummary) -> bool:
        """Whether it is further than the last that was news; if so, it is remembered."""
        standing = _standing(thing)
        before = self._standings.get(thing.id)
        if before is not None and (before[0] == _ENDED or standing <= before):
            return False
        self._standings[thing.id] = standing
        return True


def _standing(thing: JobSummary | TaskSummary) -> _Standing:
    if isinstance(thing, JobSummary):
        return (_JOB_RANKS.get(thing.state, _ENDED), thing.position, thing.progress)
    return (_TASK_RANKS.get(thing.state, _ENDED) if thing.state else 0, 0, thing.progress)

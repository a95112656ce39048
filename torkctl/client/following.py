"""Jobs and logs as they go on, over event streams, and by asking again and again where there are none.

Invariants: a dropped, stalled or restarted server is only an interruption; a log part is yielded exactly once; a job's
end is believed only when the server said so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from tork.errors import NotFound
from tork.job import JobSummary
from tork.log import TaskLogPart
from tork.task import TaskSummary
from torkctl.client.api import Api
from torkctl.client.patience import Patience
from torkctl.client.progression import Progression
from torkctl.client.transport import Event
from torkctl.errors import NoAnswer, Unsupported

T = TypeVar("T")

_LATE_READINGS = 3
"""How often the tasks of a job that has ended are tried to be had."""

_FIRST_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 2.0
_RESTART_GRACE_SECONDS = 30.0
"""A restart is carried out after it was accepted; for this long an unchanged job is taken for not restarted yet."""


class _LogEnd(msgspec.Struct):
    incomplete: bool = False


@dataclass
class SeenParts:
    """Which log parts were yielded, in little memory: numbers count from 1 in each run of a task."""

    _complete_up_to: dict[tuple[str, str], int] = field(default_factory=dict)
    _beyond: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    _unnumbered: set[str] = field(default_factory=set)
    count: int = 0

    def add(self, part: TaskLogPart) -> bool:
        """Remember the part. Returns whether it is new."""
        is_new = self._add_number(part) if part.number > 0 else self._add_id(part)
        self.count += is_new
        return is_new

    def _add_id(self, part: TaskLogPart) -> bool:
        if part.id and part.id in self._unnumbered:
            return False
        self._unnumbered.add(part.id)
        return True

    def _add_number(self, part: TaskLogPart) -> bool:
        run = (part.task_id, part.run)
        complete = self._complete_up_to.get(run, 0)
        beyond = self._beyond.setdefault(run, set())
        if part.number <= complete or part.number in beyond:
            return False
        beyond.add(part.number)
        while complete + 1 in beyond:
            complete += 1
            beyond.remove(complete)
        self._complete_up_to[run] = complete
        return True


def follow_job(
    api: Api, job_id: str, patience: Patience, *, stale: JobSummary | None = None, with_tasks: bool = False
) -> Iterator[JobSummary | TaskSummary]:
    """The job's states and its tasks', until and with the job's end. An ended job equal to `stale` is not its end yet.

    A job comes before the tasks it was told with, its end after them. `with_tasks` asks for the tasks of a job that had
    ended before, too. Raises `NotFound` when the job is gone and `NoAnswer` when the server stays away longer than
    patience lasts.
    """
    return _JobFollower(api, job_id, patience, stale, with_tasks=with_tasks).follow()


class _JobFollower:
    def __init__(
        self, api: Api, job_id: str, patience: Patience, stale: JobSummary | None, *, with_tasks: bool
    ) -> None:
        self.api = api
        self.job_id = job_id
        self.patience = patience
        self.stale = stale
        self.stale_until = patience.clock() + _RESTART_GRACE_SECONDS
        self.last_event_id = ""
        self.progression = Progression()
        self.has_stream = True
        self.late_readings = _LATE_READINGS if with_tasks else 0

    def follow(self) -> Iterator[JobSummary | TaskSummary]:
        pauses = _poll_pauses()
        while True:
            summary = self.api.job_summary(self.job_id, patience=self.patience)
            has_ended = self._is_end(summary)
            if has_ended and self.has_stream and self.late_readings > 0:
                self.late_readings -= 1  # its tasks are only in the stream, but that must not hide how it ended
            else:
                yield from self._news([summary])
                if has_ended:
                    return
            if self._is_stale(summary) or not self.has_stream:
                self.patience.stop.wait(next(pauses))
            elif (yield from self._stream(has_ended)):
                return

    def _stream(self, has_ended: bool) -> Generator[JobSummary | TaskSummary, None, bool]:
        """Returns whether the stream told the job's end."""
        try:
            if (yield from self._read_stream()):
                return True
        except (NotFound, Unsupported):
            self.has_stream = False
            return False
        except NoAnswer as error:
            if not has_ended:
                self.patience.failed(error)
                return False
        self.patience.pause()
        return False

    def _read_stream(self) -> Generator[JobSummary | TaskSummary, None, bool]:
        tasks: list[TaskSummary] = []
        with self.api.events(f"/jobs/{self.job_id}/events", last_event_id=self.last_event_id) as events:
            self.patience.answered()
            for event in events:
                self.patience.settled()
                if event.kind == "reset":
                    self.last_event_id = ""
                    return False
                if event.kind == "task":
                    tasks.append(_decoded(event, TaskSummary))
                elif event.kind in {"job", "end"}:
                    summary = _decoded(event, JobSummary)
                    is_end = event.kind == "end" and self._is_end(summary)
                    if summary.state.is_active:
                        yield from self._news([summary, *tasks])
                    else:
                        yield from self._news([*tasks, summary] if is_end else tasks)
                    if is_end:
                        return True
                    tasks = []
                    self.last_event_id = event.id or self.last_event_id  # only now: tasks not handed on must come again
        return False

    def _news(self, things: Sequence[JobSummary | TaskSummary]) -> Iterator[JobSummary | TaskSummary]:
        for thing in things:
            is_stale = isinstance(thing, JobSummary) and self._is_stale(thing)
            if not is_stale and self.progression.is_news(thing):
                yield thing

    def _is_end(self, summary: JobSummary) -> bool:
        return not summary.state.is_active and not self._is_stale(summary)

    def _is_stale(self, summary: JobSummary) -> bool:
        return summary == self.stale and self.patience.clock() < self.stale_until


def follow_log(
    api: Api,
    path: str,
    patience: Patience,
    *,
    is_active: Callable[[], bool],
    on_incomplete: Callable[[], None] = lambda: None,
    seen: SeenParts | None = None,
) -> Iterator[TaskLogPart]:
    """Every part of the log of `/jobs/{id}` or `/tasks/{id}` that is not in `seen`, until its last one.

    `is_active` tells whether more is to come; it is asked only where the server has no log stream. `on_incomplete` is called
    at the end when the server says that parts were lost.
    """
    seen = seen or SeenParts()
    cursor = ""
    while True:
        try:
            with api.events(f"{path}/log/stream", last_event_id=cursor) as events:
                patience.answered()
                for event in events:
                    patience.settled()
                    if event.kind == "end":
                        if _decoded(event, _LogEnd).incomplete:
                            on_incomplete()
                        return
                    if event.kind == "log":
                        part = _decoded(event, TaskLogPart)
                        if seen.add(part):
                            yield part
                    if event.kind == "reset":
                        cursor = ""
                        break
                    cursor = event.id or cursor  # only now: a part that was not handed on must come again
        except (NotFound, Unsupported):
            yield from _poll_log(api, path, patience, is_active, seen)
            return
        except NoAnswer as error:
            patience.failed(error)
        else:
            patience.pause()


def read_log(api: Api, path: str, *, seen: SeenParts | None = None) -> list[TaskLogPart]:
    """The whole log as it is now, oldest part first; `seen` remembers it for a `follow_log` that goes on after it."""
    return _unseen_parts(api, path, None, seen or SeenParts())


def _poll_log(
    api: Api, path: str, patience: Patience, is_active: Callable[[], bool], seen: SeenParts
) -> Iterator[TaskLogPart]:
    pauses = _poll_pauses()
    while True:
        more_to_come = is_active()  # asked first: what was printed before the end is in the pages read after it
        fresh = _unseen_parts(api, path, patience, seen)
        yield from fresh
        if not more_to_come:
            return
        if fresh:
            pauses = _poll_pauses()
        patience.stop.wait(next(pauses))


def _unseen_parts(api: Api, path: str, patience: Patience | None, seen: SeenParts) -> list[TaskLogPart]:
    """Pages shift while they are read, so parts come twice, and none is missed: reading goes from new to old."""
    fresh: list[TaskLogPart] = []
    number = 1
    while True:
        page = api.log_page(path, page=number, patience=patience)
        fresh += [part for part in page.items if seen.add(part)]
        complete = seen.count >= page.total_items and not page.total_is_lower_bound
        if not page.items or number >= page.total_pages or complete:
            fresh.reverse()
            return fresh
        number += 1


def _poll_pauses() -> Iterator[float]:
    seconds = _FIRST_POLL_SECONDS
    while True:
        yield seconds
        seconds = min(seconds * 1.5, _LONGEST_POLL_SECONDS)


def _decoded(event: Event, to: type[T]) -> T:
    try:
        return msgspec.json.decode(event.data, type=to)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoAnswer(f"an event is not one of Tork's API: {error}") from error

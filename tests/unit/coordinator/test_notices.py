"""Telling middleware of what was committed: in order, in a thread of its own, and never in anybody's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast

import pytest

from tests.support.builders import START, a_task
from tests.support.messages import a_heartbeat
from tests.support.waiting import wait_until
from tork.errors import DatastoreUnavailable
from tork.job import JobState, JobSummary
from tork.node import Node
from tork.task import TaskState, TaskSummary
from torkd.coordinator.handle import Handled
from torkd.coordinator.notices import Notices
from torkd.datastore.protocol import Datastore
from torkd.engine.changes import CancelTree, CreateJob, UpdateJob, UpdateTask
from torkd.engine.rows import JobRow, TaskKind, TaskRow
from torkd.engine.view import View
from torkd.extensions import Extensions
from torkd.middleware import JobMiddleware, NodeMiddleware, TaskMiddleware


def a_job_row(state: JobState = JobState.RUNNING, **fields: Any) -> JobRow:
    known: dict[str, Any] = {"id": "j", "root_id": "j", "name": "j", "task_count": 1, "created_by": "a"}
    return JobRow(**known | fields, state=state)


def a_task_row(state: TaskState = TaskState.RUNNING, **fields: Any) -> TaskRow:
    known: dict[str, Any] = {"id": "t", "job_id": "j", "root_id": "j", "position": 1, "kind": TaskKind.REGULAR}
    return TaskRow(**known | fields, state=state, name="t")


class Stored:
    """Answers with the jobs as they are now, which is later than what is told of."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.gone: set[str] = set()
        self.failure: Exception | None = None

    def changed_jobs(self, job_ids: Collection[str]) -> list[JobSummary]:
        self.asked.append(set(job_ids))
        if self.failure is not None:
            raise self.failure
        return [
            JobSummary(id=job_id, name="stored", state=JobState.COMPLETED, created_at=START, position=9)
            for job_id in job_ids
            if job_id not in self.gone
        ]


class Sees(JobMiddleware, TaskMiddleware, NodeMiddleware):
    """Remembers what it is told; may be held up."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def changed(self, value: Any) -> None:
        assert self.may_go.wait(20)
        self.heard.append(value)

    def seen(self, node: Node) -> None:
        self.heard.append(node)


class Telling:
    """Notices for one middleware."""

    def __init__(self, **options: Any) -> None:
        self.stored, self.sees = Stored(), Sees()
        known = Extensions()
        known.register_job_middleware(self.sees)
        known.register_task_middleware(self.sees)
        known.register_node_middleware(self.sees)
        self.notices = Notices(cast(Datastore, self.stored), known.told(), **options)
        self.notices.start()

    def states(self) -> list[tuple[str, str]]:
        return [(type(value).__name__, value.state.value) for value in self.sees.heard]


Start = Callable[..., Telling]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Telling] = []

    def make(**options: Any) -> Telling:
        started.append(Telling(**options))
        return started[-1]

    yield make
    for telling in started:
        telling.sees.may_go.set()
        telling.notices.close(20)


def committed(view: View, **versions: int) -> Handled:
    return Handled(view, versions)


def test_a_change_of_state_is_told_with_the_state_of_its_commit(start: Start) -> None:
    telling = start()
    view = View(jobs={"j": a_job_row()}, tasks={"t": a_task_row()})
    view.apply([UpdateTask(a_task_row(TaskState.COMPLETED, result="r", spec=a_task(tags=["x"])))], START)
    view.apply([UpdateJob(a_job_row(JobState.FAILED, error="boom"))], START)
    telling.notices.committed(committed(view, j=2))
    wait_until(lambda: len(telling.sees.heard) == 2)
    job, task = telling.sees.heard
    assert isinstance(job, JobSummary)
    assert (job.name, job.state, job.error) == ("stored", JobState.FAILED, "boom")
    assert isinstance(task, TaskSummary)
    assert (task.state, task.result, task.tags, task.job_id) == (TaskState.COMPLETED, "r", ["x"], "j")


def test_what_is_new_is_told_once_and_what_only_progressed_is_not(start: Start) -> None:
    telling = start()
    view = View(jobs={"j": a_job_row()}, tasks={"t": a_task_row()})
    view.apply([UpdateJob(a_job_row(progress=50.0)), UpdateTask(a_task_row(progress=50.0))], START)
    new = a_job_row(JobState.PENDING, id="new")
    view.apply([CreateJob(new, cast(Any, _Empty())), UpdateJob(a_job_row(JobState.SCHEDULED, id="new"))], START)
    telling.notices.committed(committed(view, j=2, new=1))
    telling.notices.close(20)
    assert telling.states() == [("JobSummary", "SCHEDULED")]


class _Empty:
    inputs: dict[str, str] = {}
    secrets: dict[str, str] = {}


def test_jobs_cancelled_along_with_others_are_told_though_their_rows_were_not_at_hand(start: Start) -> None:
    telling = start()
    view = View(jobs={"j": a_job_row(), "s": a_job_row(id="s", parent_job_id="j")}, tasks={"t": a_task_row()})
    view.apply([UpdateJob(a_job_row(JobState.CANCELLED)), CancelTree("j")], START)
    telling.notices.committed(committed(view, j=2, s=2, unseen=4))
    telling.notices.close(20)
    assert {job.id: job.state for job in telling.sees.heard if isinstance(job, JobSummary)} == dict.fromkeys(
        ("j", "s", "unseen"), JobState.CANCELLED
    )
    assert [task.state for task in telling.sees.heard if isinstance(task, TaskSummary)] == [TaskState.CANCELLED]


def test_nodes_are_told_as_they_are_heard_of(start: Start) -> None:
    telling = start()
    telling.notices.seen([a_heartbeat().node])
    wait_until(lambda: telling.sees.heard == [a_heartbeat().node])
    assert telling.stored.asked == []


def test_a_full_queue_drops_what_comes_and_says_how_much(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    telling = start(most_waiting=2)
    telling.sees.may_go.clear()
    view = View(jobs={}, tasks={"t": a_task_row()})
    view.apply([UpdateTask(a_task_row(TaskState.COMPLETED))], START)
    telling.notices.committed(committed(view))
    wait_until(lambda: not telling.notices._afterwards._waiting)
    for _ in range(5):
        telling.notices.committed(committed(view))
    telling.sees.may_go.set()
    wait_until(lambda: len(telling.sees.heard) == 3)
    telling.notices.close(20)
    assert [record.getMessage() for record in caplog.records] == [
        "middleware is too slow: it was not told of 3 changes"
    ]


def test_a_database_that_is_away_costs_the_jobs_and_not_the_tasks(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    telling = start()
    telling.stored.failure = DatastoreUnavailable("away")
    view = View(jobs={"j": a_job_row()}, tasks={"t": a_task_row()})
    view.apply([UpdateTask(a_task_row(TaskState.COMPLETED)), UpdateJob(a_job_row(JobState.COMPLETED))], START)
    telling.notices.committed(committed(view, j=2))
    telling.notices.close(20)
    assert telling.states() == [("TaskSummary", "COMPLETED")]
    assert "away; middleware is not told of the changes of 1 jobs" in caplog.text


def test_a_job_that_is_gone_is_not_told(start: Start) -> None:
    telling = start()
    telling.stored.gone = {"j"}
    view = View(jobs={"j": a_job_row()})
    view.apply([UpdateJob(a_job_row(JobState.COMPLETED))], START)
    telling.notices.committed(committed(view, j=2))
    telling.notices.close(20)
    assert telling.sees.heard == []

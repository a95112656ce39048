"""What is told on stderr, and as JSON lines, while a job goes on: forward only, and no more than a person can read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl
from tork.job import JobState, JobSummary
from tork.task import Retry, TaskState, TaskSummary
from torkctl.attempts import retry_delay_seconds, runs
from torkctl.client import Api, Patience, Transport, follow_job
from torkctl.client.documents import Attempts, TaskReport
from torkctl.client.progression import Progression
from torkctl.settings import Credentials
from torkd.engine.tasks import retry_delay

JOB = "a" * 32
RETRY = {"limit": 2, "initialDelay": "200ms"}


def _job(state: str, position: int = 1) -> JobSummary:
    return JobSummary(id="j", state=JobState(state), created_at=datetime(2026, 1, 1, tzinfo=UTC), position=position)


def _task(state: str, progress: float = 0) -> TaskSummary:
    return TaskSummary(id="t", state=TaskState(state), progress=progress)


@pytest.mark.parametrize(
    ("things", "news"),
    [
        ([_job("RUNNING"), _job("PENDING"), _job("RUNNING"), _job("FAILED"), _job("RUNNING")], [0, 3]),
        ([_job("RUNNING"), _job("RUNNING", 2), _job("RUNNING", 1)], [0, 1]),
        ([_task("FAILED"), _task("RUNNING"), _task("FAILED")], [0]),
        ([_task("RUNNING"), _task("SCHEDULED"), _task("RUNNING", 50), _task("RUNNING", 20)], [0, 2]),
    ],
    ids=["job", "job's position", "ended task", "task's progress"],
)
def test_states_only_go_forward(things: list[JobSummary | TaskSummary], news: list[int]) -> None:
    progression = Progression()
    assert [index for index, thing in enumerate(things) if progression.is_news(thing)] == news


def test_a_job_runs_before_its_tasks_and_ends_after_them(fake_api: FakeApi) -> None:
    fake_api.add_job(JOB, state="PENDING")
    transport = Transport(fake_api.url, Credentials())
    patience = Patience(window_seconds=20)
    told = []
    for seen in follow_job(Api(transport, lambda: patience), JOB, patience):
        told.append((type(seen).__name__, str(seen.state)))
        if len(told) == 1:
            with fake_api.changed:
                fake_api.add_task(JOB, "t1", name="build")
                fake_api.change(JOB, state="RUNNING")
        elif told[-1] == ("TaskSummary", "RUNNING"):
            with fake_api.changed:
                fake_api.add_task(JOB, "t1", name="build", state="COMPLETED")
                fake_api.end(JOB)
    transport.close()
    jobs, tasks = "JobSummary", "TaskSummary"
    assert told == [(jobs, "PENDING"), (jobs, "RUNNING"), (tasks, "RUNNING"), (tasks, "COMPLETED"), (jobs, "COMPLETED")]


def test_the_tasks_of_a_job_that_has_ended_already_are_told(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    def end(job_id: str) -> None:
        fake_api.add_task(job_id, "t1", name="build", state="COMPLETED")
        fake_api.end(job_id)

    fake_api.on_submit = end
    assert "task 'build' COMPLETED" in torkctl("submit", "-f", job_file).err


def test_a_stream_of_changes_that_can_not_be_had_does_not_hide_the_end(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str
) -> None:
    fake_api.fail("/events", "drop", times=99)
    fake_api.on_submit = fake_api.end
    assert torkctl("submit", "-f", job_file).code == 0


def test_a_retry_reads_as_one(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    def retry(job_id: str) -> None:
        failed: dict[str, Any] = {
            "name": "flaky",
            "state": "FAILED",
            "failedAt": "2026-01-02T03:04:07Z",
            "error": "exit code 1",
        }
        fake_api.add_task(job_id, "t1", **failed, retry=RETRY)
        retried: dict[str, Any] = {
            "name": "flaky",
            "createdAt": failed["failedAt"],
            "retry": {**RETRY, "attempts": 1},
            "attempts": 1,
        }
        fake_api.add_task(job_id, "t2", **retried)
        fake_api.add_task(job_id, "t2", **retried, state="COMPLETED")
        fake_api.end(job_id)

    fake_api.on_submit = retry
    err = torkctl("submit", "-f", job_file).err.splitlines()
    assert "task 'flaky' FAILED after 1.0s, retry 1 of 2 in 200ms: exit code 1" in err
    assert "task 'flaky' RUNNING, retry 1 of 2" in err
    assert "├── flaky  FAILED  1.0s  (attempt 1 of 2)  exit code 1" in err
    assert "└── flaky  COMPLETED  (attempt 2 of 2)" in err


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [
        (Attempts(limit=3), 1),
        (Attempts(limit=3, attempts=2), 4),
        (Attempts(limit=3, initial_delay="200ms", scaling_factor=3, attempts=1), 0.6),
        (Attempts(limit=9, initial_delay="5m", attempts=8), 76_800),
        (Attempts(limit=9, initial_delay="5m", scaling_factor=10, attempts=8), 7 * 86_400),
    ],
    ids=[
        "as if not said",
        "twice as long each time",
        "as told",
        "longer than the first may be",
        "no longer than a week",
    ],
)
def test_the_wait_before_a_retry_is_that_of_the_engine(attempts: Attempts, seconds: float) -> None:
    assert retry_delay_seconds(attempts) == pytest.approx(seconds)
    policy = Retry(limit=attempts.limit, initial_delay=attempts.initial_delay, scaling_factor=attempts.scaling_factor)
    assert retry_delay(policy, attempts.attempts + 1).total_seconds() == pytest.approx(seconds)


def test_children_of_the_same_name_are_no_retries_of_each_other() -> None:
    def child(task_id: str, state: str, created: int, failed: int | None = None, attempts: int = 0) -> TaskReport:
        return TaskReport(
            id=task_id, name="c", parent_id="p", position=1, state=TaskState(state),
            created_at=datetime.fromtimestamp(created, UTC),
            failed_at=datetime.fromtimestamp(failed, UTC) if failed else None,
            retry=Attempts(limit=2, attempts=attempts),
        )  # fmt: skip

    tasks = [child("1", "FAILED", 1, 5), child("2", "COMPLETED", 1), child("3", "FAILED", 1, 7),
             child("4", "COMPLETED", 7, attempts=1), child("5", "FAILED", 5, 9, 1)]  # fmt: skip
    assert [[task.id for task in chain] for chain in runs(tasks)] == [["1", "5"], ["2"], ["3", "4"]]


@pytest.mark.parametrize(("size", "told"), [(3, ["child COMPLETED"] * 3), (40, [f"{n}/40" for n in range(4, 41, 4)])])
def test_few_children_have_a_line_each_and_many_are_counted(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, size: int, told: list[str]
) -> None:
    def run(job_id: str) -> None:
        fake_api.add_task(job_id, "p", name="all", each={"size": size})
        for number in range(size):
            for state in ("RUNNING", "COMPLETED"):
                fake_api.add_task(job_id, f"c{number}", name="child", parentId="p", state=state, startedAt=None)
        fake_api.end(job_id)

    fake_api.on_submit = run
    err = torkctl("submit", "-f", job_file).err.replace("'", "").splitlines()
    assert [line.removeprefix("task ").removeprefix("all ") for line in err if line.startswith("task ")][1:] == told

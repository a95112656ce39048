"""Where the time of a job went: queue apart from run, the critical path, and bars that fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len

from tork.job import JobState
from tork.task import TaskState
from torkctl.branches import branches
from torkctl.client.documents import Attempts, Composite, JobReport, TaskReport
from torkctl.output.timeline import timeline_lines
from torkctl.settings import OutputFormat
from torkctl.timing import Timed, critical_seconds, flat, timed

BEGIN = datetime(2026, 1, 2, tzinfo=UTC)


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else BEGIN + timedelta(seconds=seconds)


def a_task(
    name: str, created: float, handed_out: float | None, started: float | None, ended: float | None, **more: Any
) -> TaskReport:
    state = TaskState.COMPLETED if ended is not None else TaskState.RUNNING
    moments = {"created_at": at(created), "scheduled_at": at(handed_out), "started_at": at(started)}
    end = "failed_at" if more.get("state") is TaskState.FAILED else "completed_at"
    return TaskReport(**{"id": name, "name": name, "position": 1, "state": state, **moments, end: at(ended), **more})


def a_job(*tasks: TaskReport, ended: float | None = 10) -> JobReport:
    state = JobState.RUNNING if ended is None else JobState.COMPLETED
    return JobReport(id="j", state=state, position=1, created_at=BEGIN, completed_at=at(ended), execution=list(tasks))


def times_of(job: JobReport, now: float = 10) -> list[Timed]:
    return timed(branches(job, {}), BEGIN + timedelta(seconds=now))


def critical(job: JobReport, now: float = 10) -> list[str]:
    return [one.branch.task.id for _, one in flat(times_of(job, now)) if one.is_critical]


def lines_of(job: JobReport, width: int | None = None, output: OutputFormat = OutputFormat.TABLE) -> list[str]:
    now = BEGIN + timedelta(seconds=10)
    return timeline_lines(job, times_of(job), now, width=width, color=False, output=output)


PARALLEL = a_task("all", 2, 2, 2, 9, position=2, parallel=Composite())
JOB = a_job(
    a_task("build", 0, 0, 1, 2),
    PARALLEL,
    a_task("short", 2, 2, 3, 4, position=2, parent_id="all"),
    a_task("long", 2, 2, 5, 9, position=2, parent_id="all"),
    a_task("ship", 9, 9, 9, 10, position=3),
)


def test_bars_tell_queue_from_run_and_mark_the_critical_path() -> None:
    assert lines_of(JOB) == [
        "TASK       STATE      QUEUED  RAN   0s                                 10.0s",
        "* build    COMPLETED  1.0s    1.0s  ░░░░████",
        "* all      COMPLETED  -       7.0s          ────────────────────────────",
        "    short  COMPLETED  1.0s    1.0s          ░░░░████",
        "*   long   COMPLETED  3.0s    4.0s          ░░░░░░░░░░░░████████████████",
        "* ship     COMPLETED  0.0s    1.0s                                      ████",
        "10.0s in all; on the critical path (*) 6.0s run, 4.0s queued",
    ]
    assert lines_of(JOB, output=OutputFormat.WIDE)[0].split()[4] == "ID"


@pytest.mark.parametrize("width", [200, 80, 60, 40, 30, 20])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    job = a_job(
        a_task("a name that is " + "very " * 30 + "long", 0, 0, 0, 10), a_task("終わり", 10, 10, 10, 10, position=2)
    )
    lines = lines_of(job, width)
    assert max(map(cell_len, lines)) <= width
    assert all("█" in line for line in lines[1:3])
    assert "終わり" in lines_of(job)[2]
    assert "very long" in lines_of(job)[1]


def test_of_an_each_with_a_window_those_are_critical_that_the_last_had_to_wait_for() -> None:
    children = [
        a_task("a", 0, 0, 0, 3, parent_id="e"),
        a_task("b", 0, 0, 0, 2, parent_id="e"),
        a_task("c", 0, 2, 2, 5, parent_id="e"),
        a_task("d", 0, 5, 5, 10, parent_id="e"),
    ]
    job = a_job(a_task("e", 0, 0, 0, 10, each=Composite(size=4)), *children)
    assert critical(job) == ["e", "b", "c", "d"]
    assert critical_seconds(times_of(job)) == (0, 10)


def test_earlier_attempts_are_part_of_the_path_and_the_pause_between_them_is_no_queue_time() -> None:
    first = a_task("t1", 0, 0, 0, 1, parent_id="p", state=TaskState.FAILED, retry=Attempts(limit=2))
    second = a_task("t2", 1, 4, 5, 6, parent_id="p", retry=Attempts(limit=2, attempts=1))
    tasks = [
        task if task.id == "o" else _renamed(task, "flaky")
        for task in (first, second, a_task("o", 0, 0, 0, 5, parent_id="p"))
    ]
    job = a_job(a_task("p", 0, 0, 0, 6, parallel=Composite()), *tasks, ended=6)
    assert critical(job) == ["p", "t1", "t2"]
    retried = next(one for _, one in flat(times_of(job)) if one.branch.task.id == "t2")
    assert (retried.waited_seconds, retried.queued_seconds, retried.ran_seconds) == (3, 1, 1)


def _renamed(task: TaskReport, name: str) -> TaskReport:
    return msgspec.structs.replace(task, name=name)


def test_of_what_goes_on_the_path_is_what_goes_on_longest() -> None:
    job = a_job(
        a_task("p", 0, 0, 0, None, parallel=Composite()),
        a_task("late", 0, 4, 5, None, parent_id="p"),
        a_task("early", 0, 0, 1, None, parent_id="p"),
        a_task("queued", 0, 2, None, None, parent_id="p", state=TaskState.SCHEDULED),
        ended=None,
    )
    assert critical(job) == ["p", "early"]
    assert ["queued", "SCHEDULED", "8.0s", "-"] in [line.split()[:4] for line in lines_of(job)]


def test_clocks_that_differ_make_no_time_negative() -> None:
    [one] = times_of(a_job(a_task("t", 3, 3, 2.5, 2.8)))
    assert min(one.waited_seconds, one.queued_seconds, one.ran_seconds) >= 0


def test_of_thousands_the_failed_and_the_longest_are_shown_and_the_rest_summed_up() -> None:
    children = [a_task(f"c{n}", 0, 0, 0, 1 + n / 1000, parent_id="e") for n in range(3000)]
    bad = a_task("bad", 0, 0, 0, 0.5, parent_id="e", state=TaskState.FAILED)
    lines = lines_of(a_job(a_task("e", 0, 0, 0, 10, each=Composite(size=3001)), *children, bad))
    assert len(lines) == 1 + 1 + 20 + 1 + 1
    assert any(line.startswith("    bad ") for line in lines)
    assert any(line.startswith("*   c2999 ") for line in lines)
    assert lines[-2].startswith("    … and 2981 more, none over 4.0s")


def test_a_job_without_tasks_has_a_timeline() -> None:
    assert lines_of(a_job(ended=None)) == [
        "TASK  STATE  QUEUED  RAN  0s                                 10.0s",
        "10.0s in all; on the critical path (*) 0.0s run, 0.0s queued",
    ]

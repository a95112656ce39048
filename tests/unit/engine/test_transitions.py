from __future__ import annotations

import pytest

from tests.support.builders import START, a_job
from tests.support.engine_model import EngineModel
from tests.support.engine_play import Play
from tork.errors import IllegalTransition
from tork.job import JobState
from tork.task import TaskState
from torkd.engine.transitions import JOB_TRANSITIONS, TASK_TRANSITIONS, check_job, check_task
from torkd.engine.turn import Turn
from torkd.engine.view import View

LEGAL_FOR_JOBS = """
PENDING -> SCHEDULED FAILED CANCELLED
SCHEDULED -> RUNNING COMPLETED FAILED CANCELLED
RUNNING -> COMPLETED FAILED CANCELLED
FAILED -> RUNNING
CANCELLED -> RUNNING
"""
LEGAL_FOR_TASKS = """
CREATED -> PENDING CANCELLED FAILED
PENDING -> SCHEDULED RUNNING SKIPPED CANCELLED FAILED
SCHEDULED -> RUNNING COMPLETED SKIPPED CANCELLED FAILED
RUNNING -> SCHEDULED COMPLETED SKIPPED CANCELLED FAILED
FAILED -> RUNNING
CANCELLED -> RUNNING
"""


def pairs(table: str) -> set[tuple[str, str]]:
    rows = (line.split(" -> ") for line in table.strip().splitlines())
    return {(before, after) for before, afters in rows for after in afters.split()}


@pytest.mark.parametrize("before", list(JobState))
@pytest.mark.parametrize("after", list(JobState))
def test_a_job_changes_its_state_only_as_the_table_says(before: JobState, after: JobState) -> None:
    if (before, after) in pairs(LEGAL_FOR_JOBS):
        check_job("j", before, after)
    else:
        with pytest.raises(IllegalTransition, match=f"^job j is {before} and can't become {after}$"):
            check_job("j", before, after)


@pytest.mark.parametrize("before", list(TaskState))
@pytest.mark.parametrize("after", list(TaskState))
def test_a_task_changes_its_state_only_as_the_table_says(before: TaskState, after: TaskState) -> None:
    if (before, after) in pairs(LEGAL_FOR_TASKS):
        check_task("t", before, after)
    else:
        with pytest.raises(IllegalTransition, match=f"^task t is {before} and can't become {after}$"):
            check_task("t", before, after)


def test_every_state_has_a_row_and_active_ones_lead_on() -> None:
    assert set(JOB_TRANSITIONS) == set(JobState)
    assert set(TASK_TRANSITIONS) == set(TaskState)
    assert all(JOB_TRANSITIONS[state] for state in JobState if state.is_active)
    revived = {TaskState.FAILED, TaskState.CANCELLED}
    leading_on = {state for state in TaskState if TASK_TRANSITIONS[state]}
    assert leading_on == {state for state in TaskState if state.is_active} | revived


def a_turn(model: EngineModel) -> Turn:
    return Turn(View(jobs=dict(model.jobs), tasks=dict(model.tasks)), START, lambda: "new")


def test_an_illegal_change_raises_and_changes_nothing() -> None:
    play = Play(a_job())
    play.complete("only")
    turn = a_turn(play.model)
    with pytest.raises(IllegalTransition):
        turn.set_task(play.task("only"), TaskState.FAILED)
    with pytest.raises(IllegalTransition):
        turn.set_job(play.job, JobState.RUNNING)
    assert turn.changes == []
    assert turn.task(play.task("only").id) == play.task("only")
    assert turn.job("job") == play.job

"""`docs/states.md` shows the transition tables as they are, and explains every state."""

from __future__ import annotations

import re

import pytest

from tests.architecture.tree import ROOT
from tork.job import JobState
from tork.task import TaskState
from torkd.engine.diagram import with_states
from torkd.engine.transitions import JOB_TRANSITIONS, TASK_TRANSITIONS

PAGE = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
JOBS, TASKS = PAGE.partition("## Jobs")[2].partition("## Tasks")[::2]


def test_the_page_is_current() -> None:
    assert with_states(PAGE) == PAGE, "run: python -m torkd.engine docs/states.md"


def arrows(section: str) -> set[tuple[str, str]]:
    return {(before, after) for before, after in re.findall(r"(\w+) --> (\w+)", section)}


def test_the_diagrams_have_every_transition_and_no_other() -> None:
    assert arrows(JOBS) == {(before, after) for before, all_ in JOB_TRANSITIONS.items() for after in all_}
    assert arrows(TASKS) == {(before, after) for before, all_ in TASK_TRANSITIONS.items() for after in all_}


@pytest.mark.parametrize("state", JobState)
def test_every_state_of_a_job_is_explained(state: JobState) -> None:
    assert f"| `{state.value}` | " in JOBS.rpartition("| State |")[2]


@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.STOPPED])
def test_every_state_of_a_task_is_explained(state: TaskState) -> None:
    assert f"| `{state.value}` | " in TASKS.rpartition("| State |")[2]

"""The pictures and tables in `docs/states.md`, made from the transition tables so that the page can't fall behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from enum import StrEnum
from typing import TypeVar

from tork.job import JobState
from tork.task import TaskState
from torkd.engine.transitions import JOB_TRANSITIONS, TASK_TRANSITIONS

State = TypeVar("State", bound=StrEnum)

_GENERATED = re.compile(r"(<!-- states of (jobs|tasks) -->\n).*?(<!-- end of states -->)", re.DOTALL)

_NEVER_REACHED = frozenset({TaskState.STOPPED})
"""Known for compatibility; nothing leads there."""


def with_states(page: str) -> str:
    """The page, with the diagram and the table after each marker made new."""
    return _GENERATED.sub(lambda found: f"{found[1]}{_described(found[2])}{found[3]}", page)


def _described(noun: str) -> str:
    if noun == "jobs":
        return _diagram(JOB_TRANSITIONS, {JobState.PENDING}) + "\n" + _table(JOB_TRANSITIONS)
    return _diagram(TASK_TRANSITIONS, {TaskState.PENDING, TaskState.CREATED}) + "\n" + _table(TASK_TRANSITIONS)


def _diagram(transitions: Mapping[State, Set[State]], first: Set[State]) -> str:
    """In the language of Mermaid, which GitHub draws."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {state.value}" for state in transitions if state in first]
    for state, following in transitions.items():
        lines += [f"    {state.value} --> {after.value}" for after in transitions if after in following]
        if not following and state not in _NEVER_REACHED:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join([*lines, "```"]) + "\n"


def _table(transitions: Mapping[State, Set[State]]) -> str:
    columns = [state for state in transitions if state not in _NEVER_REACHED]
    lines = [
        f"| from \\ to | {' | '.join(f'`{state.value}`' for state in columns)} |",
        "| --- " * (len(columns) + 1) + "|",
    ]
    for state in columns:
        marks = ("✓" if after in transitions[state] else "" for after in columns)
        lines.append(f"| `{state.value}` | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"

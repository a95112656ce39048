"""Black-box cases for containers: each a job and what has to come of it, read from `tests/acceptance/containers/cases/`.

A case is a mapping with a `title`, and a job given by `task` (one, with the image `bb` unless it says otherwise), by `tasks`,
or whole by `job`. `<words>` in angle brackets stand for what differs from run to run, such as the registry's address.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

PLACE = Path(__file__).parents[1] / "acceptance" / "containers"
CASES = PLACE / "cases"
DEFAULT_IMAGE = "bb"


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold when the job has ended. What is not said is not looked at, but for the state."""

    refused: list[str] = []
    """What is said when the job is not even taken."""
    state: str = "COMPLETED"
    result: str | None = None
    """Exactly the output: of the job, if it has one, else of its last task that ran."""
    results: dict[str, str] = {}
    """The same of tasks by their names."""
    log: list[str] = []
    """Lines of the log, or parts of lines, in this order; others may be between them."""
    whole_log: str | None = None
    absent: list[str] = []
    """What the log does not hold."""
    error: str | None = None
    """Exactly the job's error."""
    error_has: list[str] = []
    attempts: int | None = None
    """How often the last task was run."""


class Case(Expectation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job and its expectation."""

    title: str
    daemon: str = "plain"
    """Which settings it is run with: `plain` for the defaults, `open` where much is allowed, `privileged`."""
    task: dict[str, Any] = {}
    tasks: list[dict[str, Any]] = []
    job: dict[str, Any] = {}
    cancel_at: str = ""
    """The job is cancelled as soon as its log holds this."""

    def job_for(self, words: Mapping[str, str]) -> dict[str, Any]:
        """What is to be submitted."""
        job = self.job or {"tasks": self.tasks or [self.task]}
        filled = _fill({"name": self.title, **job}, words)
        tasks = [_with_image(task) for task in filled["tasks"]]
        return {**filled, "tasks": tasks}


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an engine, or a machine, honestly does something else."""

    where: list[str]
    """All of which must hold: `docker`, `podman`, or `few rights`, on a machine where root may not do everything."""
    reason: str
    expect: dict[str, Any]
    """Takes the place of what the case says."""


def read_cases() -> dict[str, Case]:
    """All, by the name of their file and their title."""
    cases: dict[str, Case] = {}
    for path in sorted(CASES.glob("*.yaml")):
        for case in msgspec.convert(yaml.safe_load(path.read_text()), list[Case]):
            name = f"{path.stem}: {case.title}"
            if name in cases:
                raise ValueError(f"{path}: two cases are called {case.title!r}")
            cases[name] = case
    return cases


def read_differences() -> dict[str, list[Difference]]:
    """By the names of the cases."""
    text = (PLACE / "differences.yaml").read_text()
    return msgspec.convert(yaml.safe_load(text) or {}, dict[str, list[Difference]])


def expectation_of(
    case: Case, differences: list[Difference], traits: Collection[str], words: Mapping[str, str]
) -> Expectation:
    """What the case expects where this holds: the engine's name, and what is said of the machine."""
    fields = {name: getattr(case, name) for name in Expectation.__struct_fields__}
    for difference in differences:
        if set(difference.where) <= set(traits):
            fields |= difference.expect
    return msgspec.convert(_fill(fields, words), Expectation)


def _with_image(task: dict[str, Any]) -> dict[str, Any]:
    if "parallel" in task:
        return {**task, "parallel": {"tasks": [_with_image(one) for one in task["parallel"]["tasks"]]}}
    if "each" in task:
        return {**task, "each": {**task["each"], "task": _with_image(task["each"]["task"])}}
    if "subjob" in task:
        inner = [_with_image(one) for one in task["subjob"]["tasks"]]
        return {**task, "subjob": {**task["subjob"], "tasks": inner}}
    steps: dict[str, Any] = {
        kind: [{"name": "step", "image": DEFAULT_IMAGE, **step} for step in task[kind]]
        for kind in ("pre", "post", "sidecars")
        if kind in task
    }
    return {"name": "it", "image": DEFAULT_IMAGE, **task, **steps}


def _fill(value: Any, words: Mapping[str, str]) -> Any:
    match value:
        case str():
            for word, meaning in words.items():
                value = value.replace(f"<{word}>", meaning)
            return value
        case list():
            return [_fill(one, words) for one in value]
        case dict():
            return {_fill(key, words): _fill(one, words) for key, one in value.items()}
        case _:
            return value

"""Every example is a job that a server would take, and its scripts are right as shell."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tork.definition import job_schema, read_job_file
from tork.task import AuxTask, TaskDefinition

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
SCHEDULED = [path for path in EXAMPLES if path.stem == "nightly"]
KEYS_TO_SHOW = {
    "each", "parallel", "subjob", "retry", "if", "timeout", "files", "pre", "post", "var", "sidecars", "mounts", "limits",
    "networks", "registry", "gpus", "entrypoint", "cmd", "workdir",
}  # fmt: skip


def steps(task: TaskDefinition) -> Iterator[AuxTask | TaskDefinition]:
    """The task and everything that runs because of it."""
    yield task
    yield from [*task.pre, *task.post, *task.sidecars]
    inner = [*(task.parallel.tasks if task.parallel else []), *(task.subjob.tasks if task.subjob else [])]
    if task.each and task.each.task:
        inner.append(task.each.task)
    for child in inner:
        yield from steps(child)


def all_steps(path: Path) -> list[AuxTask | TaskDefinition]:
    return [step for task in read_job_file(path).tasks for step in steps(task)]


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_is_a_job_that_this_version_takes(path: Path) -> None:
    assert read_job_file(path, schedule="required" if path in SCHEDULED else "refused").tasks


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_starts_with_a_comment_that_says_what_it_shows(path: Path) -> None:
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_the_scripts_of_an_example_are_right_as_shell(path: Path) -> None:
    scripts = [step.run for step in all_steps(path) if step.run and not step.entrypoint]
    assert scripts
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=30)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_needs_containers_for_all_of_its_scripts_or_for_none(path: Path) -> None:
    assert len({bool(step.image) for step in all_steps(path) if step.run}) == 1


def test_the_examples_show_every_kind_of_task() -> None:
    written = "\n".join(path.read_text() for path in EXAMPLES)
    assert {key for key in KEYS_TO_SHOW if f"{key}:" not in written} == set()
    assert set(job_schema()["$defs"]["TaskDefinition"]["properties"]) >= KEYS_TO_SHOW


def test_hello_needs_nothing_but_a_shell() -> None:
    hello = next(path for path in EXAMPLES if path.name == "hello.yaml")
    assert not any(step.image for step in all_steps(hello))

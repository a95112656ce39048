from __future__ import annotations

import pytest

from tork.errors import RuntimeFailure
from tork.task import AuxTask, Sidecar, TaskDefinition
from torkd.runtime.containers.command import (
    FILES_DIRECTORY,
    SCRIPT_PATH,
    Command,
    effective_command,
    environment,
    working_directory,
)

ENTRYPOINT, CMD, RUN = ["/bin/tool", "-v"], ["a", "b c"], "echo hi"

COMMANDS = {
    "run": (TaskDefinition(run=RUN), Command(["sh", "-c"], [SCRIPT_PATH], True)),
    "entrypoint-and-run": (TaskDefinition(entrypoint=ENTRYPOINT, run=RUN), Command(ENTRYPOINT, [SCRIPT_PATH], True)),
    "cmd": (TaskDefinition(cmd=CMD), Command(None, CMD, False)),
    "entrypoint-and-cmd": (TaskDefinition(entrypoint=ENTRYPOINT, cmd=CMD), Command(ENTRYPOINT, CMD, False)),
    "cmd-and-run": (TaskDefinition(cmd=CMD, run=RUN), Command(["sh", "-c"], CMD, True)),
    "entrypoint-cmd-and-run": (
        TaskDefinition(entrypoint=ENTRYPOINT, cmd=CMD, run=RUN),
        Command(ENTRYPOINT, CMD, True),
    ),
    "entrypoint": (TaskDefinition(entrypoint=ENTRYPOINT), Command(ENTRYPOINT, [], False)),
    "nothing": (TaskDefinition(image="x"), Command(None, None, False)),
    "pre-step": (AuxTask(run=RUN), Command(["sh", "-c"], [SCRIPT_PATH], True)),
    "sidecar": (Sidecar(image="x"), Command(None, None, False)),
}


@pytest.mark.parametrize(("step", "expected"), COMMANDS.values(), ids=COMMANDS.keys())
def test_entrypoint_cmd_and_run_come_to_one_command(step: TaskDefinition | AuxTask, expected: Command) -> None:
    assert effective_command(step) == expected


def test_changing_a_command_leaves_the_definition_alone() -> None:
    step = TaskDefinition(entrypoint=["a"], cmd=["b"])
    command = effective_command(step)
    assert command.entrypoint is not None
    assert command.arguments is not None
    command.entrypoint.append("x")
    command.arguments.append("x")
    assert (step.entrypoint, step.cmd) == (["a"], ["b"])


WITH_FILES, WITHOUT_FILES = AuxTask(files={"a.txt": "x"}), AuxTask()
DIRECTORIES = {
    "the-tasks-own": (WITHOUT_FILES, "/work", "/work"),
    "the-tasks-own-before-that-of-files": (WITH_FILES, "/work", "/work"),
    "that-of-files": (WITH_FILES, "", FILES_DIRECTORY),
    "the-images": (WITHOUT_FILES, "", None),
    "the-root": (WITHOUT_FILES, "/", "/"),
    "cleaned": (WITHOUT_FILES, "//work/./a/../b/", "/work/b"),
    "never-above-the-root": (WITHOUT_FILES, "/../../etc", "/etc"),
    "with-spaces": (WITHOUT_FILES, "/my work", "/my work"),
}


@pytest.mark.parametrize(("step", "workdir", "expected"), DIRECTORIES.values(), ids=DIRECTORIES.keys())
def test_a_step_starts_in(step: AuxTask, workdir: str, expected: str | None) -> None:
    assert working_directory(step, workdir) == expected


@pytest.mark.parametrize("workdir", ["work", "./work", "../x", " /work", "/a\0b"], ids=repr)
def test_a_workdir_that_is_no_absolute_path_is_refused(workdir: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^workdir '.*' is not a path in the container \(right would be .*\)$"):
        working_directory(WITHOUT_FILES, workdir)


def test_output_and_progress_come_after_the_steps_own_variables() -> None:
    assert environment({"A": "1", "EMPTY": "", "URL": "http://x/?a=b"}) == [
        "A=1",
        "EMPTY=",
        "URL=http://x/?a=b",
        "TORK_OUTPUT=/tork/stdout",
        "TORK_PROGRESS=/tork/progress",
    ]


def test_a_task_cant_send_its_output_elsewhere() -> None:
    variables = environment({"TORK_OUTPUT": "/elsewhere", "TORK_PROGRESS": "/elsewhere"})
    assert variables == ["TORK_OUTPUT=/tork/stdout", "TORK_PROGRESS=/tork/progress"]


@pytest.mark.parametrize("name", ["", "A=B", "=", "A\0B"], ids=repr)
def test_a_name_that_no_variable_can_have_is_refused(name: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^env name '.*' can't be a variable's name \(right would be .*\)$"):
        environment({"FINE": "1", name: "secret"})


def test_a_value_with_nul_is_refused_without_being_shown() -> None:
    with pytest.raises(RuntimeFailure, match=r"^env TOKEN has a NUL in its value \(right would be .*\)$"):
        environment({"TOKEN": "hunter2\0"})

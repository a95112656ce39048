from __future__ import annotations

import pytest

from tests.support.runs import RecordedRun
from tork.errors import RuntimeFailure
from tork.task import AuxTask, Sidecar, TaskDefinition
from torkd.runtime.auto import AutoRuntime
from torkd.runtime.fake import FakeRuntime

WITH_IMAGE = {
    "main": TaskDefinition(name="x", image="ubuntu:24.04"),
    "pre": TaskDefinition(name="x", pre=[AuxTask(name="a", image="ubuntu:24.04")]),
    "post": TaskDefinition(name="x", post=[AuxTask(name="a", image="ubuntu:24.04")]),
    "sidecar": TaskDefinition(name="x", sidecars=[Sidecar(name="a", image="ubuntu:24.04")]),
}


def test_a_task_without_image_goes_to_the_shell() -> None:
    shell, containers = FakeRuntime(), FakeRuntime()
    AutoRuntime(shell, containers).run(RecordedRun(TaskDefinition(run="print hi")).run)
    assert (len(shell.runs), len(containers.runs)) == (1, 0)


@pytest.mark.parametrize("definition", WITH_IMAGE.values(), ids=WITH_IMAGE.keys())
def test_a_task_with_an_image_goes_to_containers(definition: TaskDefinition) -> None:
    shell, containers = FakeRuntime(), FakeRuntime()
    AutoRuntime(shell, containers).run(RecordedRun(definition).run)
    assert (len(shell.runs), len(containers.runs)) == (0, 1)


def test_auto_is_as_healthy_as_the_shell() -> None:
    shell, containers = FakeRuntime(), FakeRuntime()
    runtime = AutoRuntime(shell, containers)
    containers.failure = "no engine"
    runtime.check_health()
    shell.failure = "no bash"
    with pytest.raises(RuntimeFailure, match="no bash"):
        runtime.check_health()

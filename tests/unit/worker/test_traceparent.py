"""Tasks are told their place in a trace, if there are traces."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.support.fake_tracing import FakeTracing
from tests.support.messages import a_task_message
from tests.support.waiting import wait_until
from tests.support.workers import WorkerUnderTest
from tork.task import AuxTask, TaskDefinition
from torkd.broker.messages import RunEnded
from torkd.runtime.fake import FakeRuntime
from torkd.runtime.protocol import TaskRun
from torkd.tracing.span import place_of, traceparent
from torkd.worker.traceparent import with_traceparent

Start = Callable[..., WorkerUnderTest]
ROOT = "0af7651916cd43dd8448eb211c80319c"
MESSAGE = replace(a_task_message(), root_id=ROOT)


@pytest.mark.parametrize("tracing", [FakeTracing(), None], ids=["traced", "not traced"])
def test_a_task_is_told_only_where_there_are_traces(start: Start, tracing: FakeTracing | None) -> None:
    seen: list[TaskRun] = []

    def behave(run: TaskRun) -> str:
        seen.append(run)
        return ""

    worker = start(FakeRuntime(behave), tracing=tracing)
    worker.broker.publish_tasks([MESSAGE])
    wait_until(lambda: worker.of(RunEnded))
    told = {"TRACEPARENT": traceparent(place_of(ROOT, MESSAGE.task_id), sampled=True)}
    assert seen[0].definition.env == (told if tracing else {})


def test_steps_are_told_too_and_what_a_job_sets_stays() -> None:
    own = {"TRACEPARENT": "own"}
    definition = TaskDefinition(name="t", env={"A": "1"}, pre=[AuxTask(name="p")], post=[AuxTask(name="q", env=own)])
    found = with_traceparent(definition, MESSAGE, FakeTracing(ROOT))
    assert found.env["A"] == "1"
    assert found.env["TRACEPARENT"] == found.pre[0].env["TRACEPARENT"]
    assert found.env["TRACEPARENT"].endswith("-00")  # a trace that is not wanted
    assert found.post[0].env == own

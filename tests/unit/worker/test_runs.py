"""One task through a worker: what it says, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.support.messages import a_task_message
from tests.support.waiting import wait_until
from tests.support.workers import NODE_ID, WorkerUnderTest
from tork.errors import RuntimeFailure
from tork.node import Queue
from tork.task import AuxTask, Limits, TaskDefinition
from torkd.broker.messages import (
    AcknowledgeRuns,
    GrantRuns,
    Heartbeat,
    LogPrinted,
    RefuseRuns,
    RunClaimed,
    RunEnded,
    RunOutcome,
    RunProgressed,
    StopRuns,
)
from torkd.runtime.fake import FakeRuntime, follow_script
from torkd.runtime.protocol import TaskRun

Start = Callable[..., WorkerUnderTest]


def a_task(script: str, *, task_id: str = "t1", timeout: str = "") -> TaskDefinition:
    return TaskDefinition(name=task_id, run=script, timeout=timeout)


def send(worker: WorkerUnderTest, script: str = "", *, task_id: str = "t1", timeout: str = "") -> None:
    definition = a_task(script, task_id=task_id, timeout=timeout)
    worker.broker.publish_tasks([a_task_message(task_id, definition=definition, dispatch=3)])


def redeliver(worker: WorkerUnderTest, script: str = "") -> str:
    """Send a task in such a way that it arrives as redelivered; the id of the run that asks."""
    slot = worker.broker.consume_tasks("elsewhere")
    worker.broker.publish_tasks([a_task_message("t1", queue="elsewhere", definition=a_task(script))])
    delivery = slot.receive(5)
    assert delivery is not None
    delivery.requeue()
    slot.close()
    worker.worker.set_queues({"elsewhere": 1})
    wait_until(lambda: worker.of(RunClaimed))
    return worker.of(RunClaimed)[0].run_id


class GatedScript:
    """Follows its script, and then waits for the test."""

    def __init__(self) -> None:
        self.may_end = threading.Event()

    def __call__(self, run: TaskRun) -> str:
        result = follow_script(run)
        assert self.may_end.wait(20)
        return result


def the_report(worker: WorkerUnderTest) -> RunEnded:
    wait_until(lambda: worker.of(RunEnded))
    return worker.of(RunEnded)[0]


def figures(worker: WorkerUnderTest, name: str = "default") -> Queue:
    return next(queue for queue in worker.broker.queues() if queue.name == name)


def test_a_first_delivery_is_claimed_run_and_reported(start: Start) -> None:
    behaviour = GatedScript()
    worker = start(FakeRuntime(behaviour))
    send(worker, "print hello\noutput 42")
    wait_until(lambda: worker.of(RunClaimed))
    behaviour.may_end.set()
    report = the_report(worker)
    (claim,) = worker.of(RunClaimed)
    assert (claim.task_id, claim.dispatch, claim.node_id, claim.redelivered) == ("t1", 3, NODE_ID, False)
    assert (claim.run_id, claim.lease_id) == (report.run_id, worker.worker.lease_id)
    assert (report.outcome, report.result, report.error, report.log_parts) == (RunOutcome.COMPLETED, "42", "", 1)
    assert (report.task_id, report.job_id, report.root_id, report.dispatch) == ("t1", "j1", "j1", 3)
    assert report.started_at <= report.ended_at
    wait_until(lambda: figures(worker).unacked == 0)


def test_a_run_that_ends_before_its_claim_is_due_sends_only_its_report(start: Start) -> None:
    gated = GatedScript()
    worker = start(
        FakeRuntime(lambda run: gated(run) if run.task_id == "long" else follow_script(run)), claim_delay_seconds=0.3
    )
    send(worker, "output 42", task_id="short")
    assert the_report(worker).result == "42"
    send(worker, task_id="long")
    wait_until(lambda: worker.of(RunClaimed))
    gated.may_end.set()
    assert [claim.task_id for claim in worker.of(RunClaimed)] == ["long"]


def test_progress_comes_after_the_claim_that_makes_it_count(start: Start) -> None:
    worker = start(claim_delay_seconds=60.0)
    send(worker, "progress 10\nprogress 20")
    wait_until(lambda: len(worker.of(RunProgressed)) == 2)
    kinds = [type(message) for message in worker.heard if isinstance(message, RunClaimed | RunProgressed)]
    assert kinds.count(RunClaimed) == 1


def test_every_log_part_is_published_before_the_report(start: Start) -> None:
    worker = start()
    send(worker, "\n".join(f"print line {number}" for number in range(10)))
    report = the_report(worker)
    wait_until(lambda: len(worker.of(LogPrinted)) == report.log_parts)
    parts = worker.of(LogPrinted)
    assert [(part.number, part.run_id, part.task_id) for part in parts] == [(1, report.run_id, "t1")]
    assert "".join(part.contents for part in parts) == "".join(f"line {number}\n" for number in range(10))


def test_a_failure_is_reported_with_its_text(start: Start) -> None:
    worker = start()
    send(worker, "print why\nexit 3")
    report = the_report(worker)
    assert (report.outcome, report.error) == (RunOutcome.FAILED, "exit code 3: why")


def test_a_runtime_that_crashes_fails_its_task_and_not_the_slot(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    worker = start()
    send(worker, "crash of the engine", task_id="t1")
    send(worker, "output fine", task_id="t2")
    wait_until(lambda: len(worker.of(RunEnded)) == 2)
    first, second = sorted(worker.of(RunEnded), key=lambda report: report.task_id)
    assert first.outcome is RunOutcome.FAILED
    assert first.error == "the runtime failed unexpectedly: ZeroDivisionError: of the engine"
    assert (second.outcome, second.result) == (RunOutcome.COMPLETED, "fine")
    assert "Traceback" in caplog.text


def test_even_an_exit_of_the_runtime_does_not_cost_the_slot(start: Start) -> None:
    def leave(_: TaskRun) -> str:
        raise SystemExit(1)

    worker = start(FakeRuntime(leave))
    send(worker, task_id="t1")
    send(worker, task_id="t2")
    wait_until(lambda: len(worker.of(RunEnded)) == 2)


def test_text_that_could_not_be_stored_is_made_harmless(start: Start) -> None:
    def answer(run: TaskRun) -> str:
        if run.task_id == "t1":
            return "a\0b\ud800"
        raise RuntimeFailure("c\0d\ud800")

    worker = start(FakeRuntime(answer))
    send(worker, task_id="t1")
    send(worker, task_id="t2")
    wait_until(lambda: len(worker.of(RunEnded)) == 2)
    first, second = sorted(worker.of(RunEnded), key=lambda report: report.task_id)
    assert first.result == "ab?"
    assert second.error == "cd?"


@pytest.mark.parametrize("timeout", ["50ms", "0.05s"])
def test_a_task_that_takes_too_long_fails_with_its_limit(start: Start, timeout: str) -> None:
    worker = start()
    send(worker, "sleep 300", timeout=timeout)
    report = the_report(worker)
    assert (report.outcome, report.error) == (RunOutcome.FAILED, f"task timed out after {timeout}")


@pytest.mark.parametrize("timeout", ["soon", "5", "0s", "-1s"])
def test_a_time_limit_that_is_none_fails_the_task(start: Start, timeout: str) -> None:
    runtime = FakeRuntime()
    worker = start(runtime)
    send(worker, timeout=timeout)
    report = the_report(worker)
    assert (report.outcome, report.error) == (RunOutcome.FAILED, f"invalid timeout duration: {timeout}")
    assert runtime.runs == []


def test_the_time_limit_covers_all_steps_together(start: Start) -> None:
    worker = start()
    step = AuxTask(name="s", run="sleep 0.2")
    definition = TaskDefinition(name="x", pre=[step] * 20, timeout="1s")
    worker.broker.publish_tasks([a_task_message(definition=definition)])
    assert the_report(worker).error == "task timed out after 1s"


def test_a_task_without_id_is_refused(start: Start) -> None:
    worker = start()
    worker.broker.publish_tasks([a_task_message("")])
    assert the_report(worker).error == "task id is required"


def test_progress_is_told_when_it_changes_and_kept_within_bounds(start: Start) -> None:
    worker = start()
    send(worker, "progress 10\nprogress 10\nprogress 250\nprogress nan\nprogress -5")
    the_report(worker)
    wait_until(lambda: len(worker.of(RunProgressed)) == 3)
    assert [message.progress for message in worker.of(RunProgressed)] == [10, 100, 0]


def test_limits_and_host_variables_are_filled_in(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(
        runtime,
        environ={"TOKEN": "x", "OTHER": "not passed"},
        cpus="2",
        memory="1g",
        timeout="1h",
        host_variables=("TOKEN", "TOKEN:ALIAS", "UNSET"),
    )
    definition = TaskDefinition(
        name="x", limits=Limits(cpus="1"), env={"TOKEN": "own", "MINE": "1"}, pre=[AuxTask(name="a")]
    )
    worker.broker.publish_tasks([a_task_message(definition=definition)])
    the_report(worker)
    got = runtime.runs[0].definition
    host = {"TOKEN": "x", "ALIAS": "x", "UNSET": ""}
    assert (got.limits, got.timeout) == (Limits(cpus="1", memory="1g"), "1h")
    assert (got.env, got.pre[0].env) == ({**host, "MINE": "1"}, host)


def test_secrets_are_hidden_in_logs_and_errors_and_kept_in_the_result(start: Start) -> None:
    worker = start()
    definition = a_task("print the s3cret is out\noutput s3cret\nexit 1")
    worker.broker.publish_tasks([a_task_message(definition=definition, mask=["s3cret", ""])])
    report = the_report(worker)
    assert report.error == "exit code 1: the [REDACTED] is out"
    wait_until(lambda: worker.of(LogPrinted))
    assert worker.of(LogPrinted)[0].contents == "the [REDACTED] is out\n"


def test_a_stopped_run_ends_without_a_report(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime)
    send(worker, "print started\nsleep 300")
    wait_until(lambda: worker.of(RunClaimed))
    worker.order(StopRuns(run_ids=["unknown", worker.of(RunClaimed)[0].run_id]))
    wait_until(lambda: figures(worker).unacked == 0)
    assert runtime.active_count == 0
    send(worker, "output next", task_id="t2")
    assert the_report(worker).result == "next"


def test_a_redelivered_task_waits_for_its_grant(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime, lease_seconds=0.3, heartbeat_seconds=0.02)
    run_id = redeliver(worker, "output 42")
    wait_until(lambda: len(worker.of(RunClaimed)) >= 3)
    assert {(claim.run_id, claim.redelivered) for claim in worker.of(RunClaimed)} == {(run_id, True)}
    assert runtime.runs == []
    assert all(heartbeat.running == [] for heartbeat in worker.of(Heartbeat)), "a heartbeat would claim it"
    worker.order(GrantRuns(run_ids=[run_id]))
    assert the_report(worker).result == "42"


@pytest.mark.parametrize("order", [RefuseRuns, StopRuns], ids=["refused", "stopped"])
def test_a_redelivered_task_that_may_not_start_is_dropped(
    start: Start, order: type[RefuseRuns] | type[StopRuns]
) -> None:
    runtime = FakeRuntime()
    worker = start(runtime)
    run_id = redeliver(worker)
    worker.order(order(run_ids=[run_id]))
    wait_until(lambda: figures(worker, "elsewhere").unacked == 0)
    assert figures(worker, "elsewhere").size == 0
    assert (runtime.runs, worker.of(RunEnded)) == ([], [])


def test_a_long_run_is_acknowledged_early(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime, consumer_timeout_seconds=0.3)
    send(worker, "sleep 300")
    wait_until(lambda: runtime.active_count == 1 and figures(worker).unacked == 0)


def test_heartbeats_name_what_runs_and_what_nobody_acknowledged(start: Start) -> None:
    worker = start(heartbeat_seconds=0.05, queues={"default": 2})
    send(worker, "output 1", task_id="quick")
    send(worker, "sleep 300", task_id="slow")
    wait_until(lambda: any(heartbeat.unacknowledged for heartbeat in worker.of(Heartbeat)))
    heartbeat = next(heartbeat for heartbeat in worker.of(Heartbeat) if heartbeat.unacknowledged)
    assert heartbeat.unacknowledged == worker.of(RunEnded)[:1]
    assert [reference.task_id for reference in heartbeat.running] == ["slow"]
    assert (heartbeat.node.id, heartbeat.node.status, heartbeat.lease_id) == (NODE_ID, "UP", worker.worker.lease_id)
    worker.order(AcknowledgeRuns(run_ids=[heartbeat.unacknowledged[0].run_id]))
    wait_until(lambda: worker.worker.unacknowledged_count == 0)


def test_a_runtime_that_is_not_well_is_told_by_the_heartbeat(start: Start) -> None:
    runtime = FakeRuntime()
    runtime.failure = "no engine"
    worker = start(runtime, heartbeat_seconds=0.05)
    wait_until(lambda: worker.of(Heartbeat)[-1:] and worker.of(Heartbeat)[-1].node.status == "DOWN")
    assert worker.worker.failure == "no engine"

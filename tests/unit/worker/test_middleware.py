"""Task and log middleware on a worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.fake_host import FakeHost, HostedRuntime
from tests.support.messages import a_task_message
from tests.support.waiting import wait_until
from tests.support.workers import WorkerUnderTest
from tork.errors import Refused
from tork.task import TaskDefinition
from torkd.broker.messages import LogPrinted, RunEnded, RunOutcome, StopRuns
from torkd.extensions import Extensions
from torkd.middleware import EndedRun, LogMiddleware, RunEnding, RunHooks, StartedRun, TaskMiddleware
from torkd.runtime.fake import FakeRuntime, follow_script
from torkd.runtime.protocol import TaskRun
from torkd.worker.logs import PART_LENGTH

Start = Callable[..., WorkerUnderTest]


class Watches(TaskMiddleware):
    """Notes what it sees, and changes the definition as it is told to."""

    def __init__(self, change: Callable[[TaskDefinition], Any] = lambda definition: definition) -> None:
        self.change = change
        self.started: list[StartedRun] = []
        self.ended: list[tuple[str, EndedRun]] = []

    def before_run(self, definition: TaskDefinition, run: StartedRun) -> TaskDefinition:
        self.started.append(run)
        changed: TaskDefinition = self.change(definition)
        return changed

    def after_run(self, run: StartedRun, outcome: EndedRun) -> None:
        self.ended.append((run.run_id, outcome))


class Shouts(LogMiddleware):
    def printed(self, text: str) -> str:
        return text.upper()


def hooks_of(*middleware: TaskMiddleware | LogMiddleware) -> RunHooks:
    known = Extensions()
    for one in middleware:
        if isinstance(one, TaskMiddleware):
            known.register_task_middleware(one)
        else:
            known.register_log_middleware(one)
    return known.run_hooks()


def send(worker: WorkerUnderTest, script: str = "output 42", **fields: Any) -> None:
    message = a_task_message(definition=TaskDefinition(name="t", run=script), dispatch=3, **fields)
    worker.broker.publish_tasks([message])


def the_report(worker: WorkerUnderTest) -> RunEnded:
    wait_until(lambda: worker.of(RunEnded))
    return worker.of(RunEnded)[0]


def test_what_middleware_returns_is_what_is_run(start: Start) -> None:
    seen: list[TaskRun] = []

    def behave(run: TaskRun) -> str:
        seen.append(run)
        return follow_script(run)

    watches = Watches(lambda definition: replace(definition, env={**definition.env, "A": "1"}))
    worker = start(FakeRuntime(behave), hooks=hooks_of(watches))
    send(worker)
    report = the_report(worker)
    assert (report.outcome, report.result) == (RunOutcome.COMPLETED, "42")
    assert seen[0].definition.env == {"A": "1"}
    (run,) = watches.started
    assert (run.task_id, run.job_id, run.queue, run.dispatch, run.run_id) == ("t1", "j1", "default", 3, report.run_id)
    assert watches.ended == [(report.run_id, EndedRun(ending=RunEnding.COMPLETED, result="42"))]


def refuses(definition: TaskDefinition) -> TaskDefinition:
    raise Refused("no image of ours")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (refuses, "no image of ours"),
        (lambda definition: definition.missing, "Watches.before_run failed: "),
        (lambda definition: None, "Watches.before_run failed: it returned NoneType (right would be TaskDefinition)"),
    ],
    ids=["refuses", "fails", "returns nothing"],
)
def test_middleware_that_refuses_or_fails_fails_the_task(start: Start, change: Any, error: str) -> None:
    watches = Watches(change)
    worker = start(hooks=hooks_of(watches))
    send(worker)
    report = the_report(worker)
    assert report.outcome is RunOutcome.FAILED
    assert report.error.startswith(error)
    assert [ended.ending for _, ended in watches.ended] == [RunEnding.FAILED]


def test_a_run_that_is_stopped_is_told_as_cancelled(start: Start) -> None:
    watches = Watches()
    worker = start(hooks=hooks_of(watches))
    send(worker, "sleep 60")
    wait_until(lambda: watches.started)
    worker.order(StopRuns(run_ids=[watches.started[0].run_id]))
    wait_until(lambda: watches.ended)
    assert watches.ended[0][1].ending is RunEnding.CANCELLED


def test_a_failing_after_run_costs_nothing(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    class Breaks(TaskMiddleware):
        def after_run(self, run: StartedRun, outcome: EndedRun) -> None:
            raise ZeroDivisionError("a bug")

    worker = start(hooks=hooks_of(Breaks()))
    send(worker)
    assert the_report(worker).outcome is RunOutcome.COMPLETED
    assert "Breaks failed in after_run: a bug" in caplog.text


def test_a_run_that_is_taken_up_goes_on_with_what_middleware_made_of_it(start: Start, tmp_path: Path) -> None:
    host, definitions = FakeHost(), list[TaskDefinition]()

    class Notes(HostedRuntime):
        def run(self, run: TaskRun) -> str:
            definitions.append(run.definition)
            return super().run(run)

    watches = Watches(lambda definition: replace(definition, workdir="/changed"))
    first = start(Notes(host), hooks=hooks_of(watches), runs_directory=tmp_path)
    send(first)
    wait_until(lambda: host.containers)
    first.worker.drain(0.0, leave=True)
    start(Notes(host), hooks=hooks_of(watches), runs_directory=tmp_path)
    wait_until(lambda: len(definitions) == 2)
    assert [definition.workdir for definition in definitions] == ["/changed", "/changed"]
    assert len(watches.started) == 1


def test_what_is_printed_passes_after_it_was_masked(start: Start) -> None:
    worker = start(hooks=hooks_of(Shouts()))
    send(worker, "print a hush b", mask=["hush"])
    the_report(worker)
    assert "".join(part.contents for part in worker.of(LogPrinted)) == "A [REDACTED] B\n"


def test_the_error_that_quotes_the_log_passes_too(start: Start) -> None:
    worker = start(hooks=hooks_of(Shouts()))
    send(worker, "print last words\nexit 3")
    assert "LAST WORDS" in the_report(worker).error


def test_text_that_gets_longer_makes_more_parts(start: Start) -> None:
    class Doubles(LogMiddleware):
        def printed(self, text: str) -> str:
            return text * 3

    worker = start(hooks=hooks_of(Doubles()))
    send(worker, "print " + "x" * (PART_LENGTH // 2))
    report = the_report(worker)
    lengths = [len(part.contents) for part in worker.of(LogPrinted)]
    assert (len(lengths), max(lengths), sum(lengths)) == (report.log_parts, PART_LENGTH, 3 * (PART_LENGTH // 2 + 1))

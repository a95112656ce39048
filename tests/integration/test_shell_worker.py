"""Worker, in-memory broker and shell runtime together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.messages import a_task_message
from tests.support.waiting import wait_until
from tests.support.workers import WorkerUnderTest
from tork.task import AuxTask, TaskDefinition
from torkd.broker.messages import LogPrinted, RunClaimed, RunEnded, RunOutcome, RunProgressed, StopRuns
from torkd.runtime.shell import ShellOptions, ShellRuntime


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerUnderTest]:
    runtime = ShellRuntime(ShellOptions(node_id="n1", temp_dir=tmp_path, grace_seconds=1.0))
    made = WorkerUnderTest(runtime, {"PASSED": "on"}, host_variables=("PASSED",), queues={"default": 2})
    yield made
    made.close()
    runtime.close()


def send(worker: WorkerUnderTest, run: str, *, mask: list[str] | None = None, **definition: object) -> None:
    task = TaskDefinition(name="x", run=run, **definition)  # type: ignore[arg-type]  # a test names the fields
    worker.broker.publish_tasks([a_task_message(definition=task, mask=mask)])


def the_report(worker: WorkerUnderTest) -> RunEnded:
    wait_until(lambda: worker.of(RunEnded))
    return worker.of(RunEnded)[0]


def log_of(worker: WorkerUnderTest) -> str:
    report = the_report(worker)
    wait_until(lambda: len(worker.of(LogPrinted)) == report.log_parts)
    return "".join(part.contents for part in sorted(worker.of(LogPrinted), key=lambda part: part.number))


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() != b""


def test_a_script_prints_tells_its_progress_and_gives_a_result(worker: WorkerUnderTest) -> None:
    send(worker, 'echo "$PASSED $MINE"; echo 50 > $TORK_PROGRESS; echo -n ok > $TORK_OUTPUT', env={"MINE": "too"})
    report = the_report(worker)
    assert (report.outcome, report.result, report.error) == (RunOutcome.COMPLETED, "ok", "")
    assert log_of(worker) == "on too\n"
    wait_until(lambda: worker.of(RunProgressed))
    assert worker.of(RunProgressed)[0].progress == 50


def test_a_large_log_arrives_whole_and_masked(worker: WorkerUnderTest) -> None:
    send(worker, "for i in $(seq 3000); do echo the-s3cret-value; done; yes s3cret | head -c 300000", mask=["s3cret"])
    text = log_of(worker)
    assert text.count("[REDACTED]") >= 3000 + 300_000 // 7
    assert "s3cret" not in text


def test_the_time_limit_ends_the_processes(worker: WorkerUnderTest) -> None:
    send(worker, "echo $$; sleep 300 & wait", timeout="500ms")
    report = the_report(worker)
    assert (report.outcome, report.error) == (RunOutcome.FAILED, "task timed out after 500ms")
    assert not is_alive(int(log_of(worker)))


def test_the_time_limit_covers_a_pre_step(worker: WorkerUnderTest) -> None:
    send(worker, "true", timeout="300ms", pre=[AuxTask(name="slow", run="sleep 300")])
    assert the_report(worker).error == "task timed out after 300ms"


def test_a_cancelled_task_leaves_no_process_and_no_report(worker: WorkerUnderTest) -> None:
    send(worker, "echo $$; sleep 300 & wait")
    wait_until(lambda: worker.of(LogPrinted))
    pid = int(worker.of(LogPrinted)[0].contents)
    worker.order(StopRuns(run_ids=[worker.of(RunClaimed)[0].run_id]))
    wait_until(lambda: worker.worker.running_count == 0)
    assert not is_alive(pid)
    assert worker.of(RunEnded) == []


def test_a_drained_task_is_handed_back_after_its_process_is_dead(worker: WorkerUnderTest) -> None:
    send(worker, "trap 'sleep 0.2; exit 0' TERM; echo $$; while :; do sleep 0.05; done")
    wait_until(lambda: worker.of(LogPrinted))
    pid = int(worker.of(LogPrinted)[0].contents)
    worker.worker.drain(0.0)
    assert not is_alive(pid)
    assert the_report(worker).outcome is RunOutcome.HANDED_BACK


def test_no_thread_stays_behind_a_task(worker: WorkerUnderTest) -> None:
    send(worker, "echo hi")
    the_report(worker)
    before = threading.active_count()
    for _ in range(20):
        send(worker, "echo hi", timeout="1h")
    wait_until(lambda: len(worker.of(RunEnded)) == 21)
    assert threading.active_count() == before

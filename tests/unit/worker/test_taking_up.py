"""What a worker keeps of its runs, and what it does with those of a predecessor."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.support.fake_host import Container, FakeHost, HostedRuntime
from tests.support.messages import A_TIME, a_report, a_task_message
from tests.support.waiting import wait_until
from tests.support.workers import NODE_ID, WorkerUnderTest
from tork.task import TaskDefinition
from torkd.broker.messages import AcknowledgeRuns, Heartbeat, LogPrinted, RunEnded, RunOutcome, StopRuns
from torkd.runtime.fake import FakeRuntime
from torkd.runtime.protocol import TaskRun
from torkd.worker import replay
from torkd.worker.kept import OUTCOME, RECORD, RunRecord
from torkd.worker.spool import Spool

Start = Callable[..., WorkerUnderTest]


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def send(worker: WorkerUnderTest, definition: TaskDefinition | None = None) -> None:
    worker.broker.publish_tasks([a_task_message(definition=definition)])


def is_empty(directory: Path) -> bool:
    return not directory.exists() or not list(directory.iterdir())


def of_before(
    runs: Path, host: FakeHost, *, started_at: datetime = A_TIME, outcome: RunEnded | None = None, timeout: str = ""
) -> None:
    """A run that a predecessor began, with its container."""
    directory = runs / "r1"
    directory.mkdir(parents=True)
    message = a_task_message(definition=TaskDefinition(name="t1", timeout=timeout))
    record = RunRecord(run_id="r1", started_at=started_at, message=message)
    (directory / RECORD).write_bytes(msgspec.json.encode(record))
    if outcome is not None:
        (directory / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    host.containers["r1"] = Container()


def test_a_run_that_is_not_kept_leaves_no_trace(start: Start, runs: Path) -> None:
    worker = start(runs_directory=runs)
    send(worker)
    wait_until(lambda: worker.of(RunEnded))
    assert not runs.exists()


def test_only_the_daemon_can_read_what_is_kept(start: Start, runs: Path, host: FakeHost) -> None:
    worker = start(HostedRuntime(host), runs_directory=runs)
    send(worker)
    wait_until(lambda: host.containers)
    (directory,) = runs.iterdir()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (runs, directory, *directory.iterdir())}
    assert modes == {
        "runs": 0o700,
        directory.name: 0o700,
        RECORD: 0o600,
        "torkd-log.jsonl": 0o600,
        "main": modes["main"],
    }


def test_what_is_kept_stays_until_the_report_is_acknowledged(start: Start, runs: Path, host: FakeHost) -> None:
    worker = start(HostedRuntime(host), runs_directory=runs)
    send(worker)
    wait_until(lambda: host.containers)
    host.the_container().result = "done"
    wait_until(lambda: worker.of(RunEnded))
    (directory,) = runs.iterdir()
    wait_until(lambda: not (directory / "main").exists())
    assert {path.name for path in directory.iterdir()} == {RECORD, OUTCOME, "torkd-log.jsonl"}
    worker.order(AcknowledgeRuns(run_ids=[directory.name]))
    wait_until(lambda: is_empty(runs))


def test_nothing_is_kept_of_a_cancelled_run(start: Start, runs: Path, host: FakeHost) -> None:
    worker = start(HostedRuntime(host), runs_directory=runs)
    send(worker)
    wait_until(lambda: host.containers)
    worker.order(StopRuns(run_ids=list(host.containers)))
    wait_until(lambda: is_empty(runs))
    assert host.containers == {}


def test_without_a_place_for_runs_a_runtime_gets_a_directory_that_goes_with_the_run(start: Start) -> None:
    given: list[Path] = []

    def run(run: TaskRun) -> str:
        given.append(run.keep())
        assert run.keep() == given[0]
        (given[0] / "file").touch()
        return "done"

    worker = start(FakeRuntime(run))
    send(worker)
    wait_until(lambda: worker.of(RunEnded))
    assert worker.of(RunEnded)[0].result == "done"
    wait_until(lambda: not given[0].exists())


def test_a_directory_that_can_not_be_made_fails_the_task_with_a_sentence(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    worker = start(HostedRuntime(FakeHost()), runs_directory=tmp_path / "file")
    send(worker)
    wait_until(lambda: worker.of(RunEnded))
    (report,) = worker.of(RunEnded)
    assert report.outcome is RunOutcome.FAILED
    assert report.error.startswith("no directory can be made for the run in ")
    send(worker)
    wait_until(lambda: len(worker.of(RunEnded)) == 2)


def test_the_first_heartbeat_names_what_is_taken_up(start: Start, runs: Path, host: FakeHost) -> None:
    of_before(runs, host)
    worker = start(HostedRuntime(host), runs_directory=runs, heartbeat_seconds=300.0)
    wait_until(lambda: worker.of(Heartbeat))
    (beat,) = worker.of(Heartbeat)
    assert [(run.run_id, run.dispatch, run.started_at) for run in beat.running] == [("r1", 1, A_TIME)]
    assert beat.lease_id == worker.worker.lease_id
    host.the_container().result = "done"
    wait_until(lambda: worker.of(RunEnded))
    (report,) = worker.of(RunEnded)
    assert (report.run_id, report.lease_id, report.node_id) == ("r1", worker.worker.lease_id, NODE_ID)
    assert (report.outcome, report.result, report.started_at) == (RunOutcome.COMPLETED, "done", A_TIME)


def test_a_timeout_counts_from_the_beginning_of_the_run(start: Start, runs: Path, host: FakeHost) -> None:
    of_before(runs, host, started_at=datetime.now(UTC) - timedelta(hours=1), timeout="30m")
    container = host.the_container()
    worker = start(HostedRuntime(host), runs_directory=runs)
    wait_until(lambda: worker.of(RunEnded))
    assert worker.of(RunEnded)[0].error == "task timed out after 30m"
    assert container.stopped


def test_a_timeout_that_has_time_left_does_not_end_the_run(start: Start, runs: Path, host: FakeHost) -> None:
    of_before(runs, host, started_at=datetime.now(UTC) - timedelta(hours=1), timeout="2h")
    worker = start(HostedRuntime(host), runs_directory=runs)
    host.the_container().result = "done"
    wait_until(lambda: worker.of(RunEnded))
    assert worker.of(RunEnded)[0].result == "done"


def test_an_outcome_that_is_known_is_reported_with_its_times(start: Start, runs: Path, host: FakeHost) -> None:
    of_before(runs, host, outcome=a_report("r1"))
    runtime = HostedRuntime(host)
    worker = start(runtime, runs_directory=runs)
    wait_until(lambda: worker.of(RunEnded))
    (report,) = worker.of(RunEnded)
    assert (report.ended_at, report.lease_id) == (A_TIME, worker.worker.lease_id)
    assert runtime.resumed == []
    worker.order(AcknowledgeRuns(run_ids=["r1"]))
    wait_until(lambda: is_empty(runs))


@pytest.mark.parametrize("record", [b"", b"{", b'{"runId": 1}', None], ids=["empty", "torn", "other", "missing"])
def test_what_can_not_be_read_is_removed(start: Start, runs: Path, host: FakeHost, record: bytes | None) -> None:
    of_before(runs, host)
    (runs / "r1" / RECORD).unlink()
    if record is not None:
        (runs / "r1" / RECORD).write_bytes(record)
    worker = start(HostedRuntime(host), runs_directory=runs)
    assert is_empty(runs)
    assert worker.of(RunEnded) == []


def test_runs_that_the_runtime_does_not_know_are_forgotten(start: Start, runs: Path, host: FakeHost) -> None:
    of_before(runs, host)
    host.containers.clear()
    runtime = HostedRuntime(host)
    start(runtime, runs_directory=runs)
    assert is_empty(runs)
    assert runtime.resumed == []


def test_a_runtime_is_asked_for_leftovers_though_nothing_was_kept(start: Start, runs: Path) -> None:
    asked: list[str] = []

    class Asked(FakeRuntime):
        def resumable(self) -> list[str]:
            asked.append("asked")
            return []

    start(Asked(), runs_directory=runs)
    wait_until(lambda: asked == ["asked"])


def test_a_run_whose_log_can_not_be_kept_is_handed_back_instead_of_left(
    start: Start, runs: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    worker = start(HostedRuntime(host), runs_directory=runs)
    send(worker)
    wait_until(lambda: host.containers)
    monkeypatch.setattr(Spool, "append", disk_full)
    host.the_container().printed = b"a line\n"
    wait_until(lambda: worker.of(LogPrinted))
    worker.worker.drain(0.0, leave=True)
    wait_until(lambda: worker.of(RunEnded))
    assert worker.of(RunEnded)[0].outcome is RunOutcome.HANDED_BACK
    assert host.containers == {}
    assert is_empty(runs)


def test_a_run_that_is_left_is_not_reported(start: Start, runs: Path, host: FakeHost) -> None:
    worker = start(HostedRuntime(host), runs_directory=runs)
    send(worker)
    wait_until(lambda: host.containers)
    host.the_container().printed = b"whole\nhalf"
    wait_until(lambda: worker.of(LogPrinted))
    worker.worker.drain(0.0, leave=True)
    assert worker.of(RunEnded) == []
    assert "".join(part.contents for part in worker.of(LogPrinted)) == "whole\n"
    assert len(host.containers) == len(list(runs.iterdir())) == 1


def test_all_of_the_log_of_before_is_published_again(
    start: Start, runs: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_CHUNK_LENGTH", 100)
    first = start(HostedRuntime(host), runs_directory=runs)
    send(first)
    wait_until(lambda: host.containers)
    for number in range(5):
        host.the_container().printed += b"%d" % number * 60 + b"\n"
        wait_until(lambda: len(first.of(LogPrinted)) > number)  # noqa: B023 -- called at once
    first.worker.drain(0.0, leave=True)
    second = start(HostedRuntime(host), runs_directory=runs)
    host.the_container().result = "done"
    wait_until(lambda: second.of(RunEnded))
    assert second.of(LogPrinted) == first.of(LogPrinted)
    assert second.of(RunEnded)[0].log_parts == len(first.of(LogPrinted))


def test_a_run_can_be_left_before_it_is_taken_up(
    start: Start, runs: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_before(runs, host)
    going_on = threading.Event()
    monkeypatch.setattr("torkd.worker.execution.replay_log", lambda *_: going_on.wait(20))
    runtime = HostedRuntime(host)
    worker = start(runtime, runs_directory=runs)
    draining = threading.Thread(target=worker.worker.drain, args=(0.0,), kwargs={"leave": True})
    draining.start()
    (run,) = worker.worker._runs._runs.values()
    wait_until(run.stop.is_set)
    going_on.set()
    draining.join(20)
    assert (runtime.resumed, worker.of(RunEnded)) == ([], [])
    assert (runs / "r1" / RECORD).exists()


def test_nothing_is_left_open(start: Start, runs: Path, host: FakeHost) -> None:
    worker = start(HostedRuntime(host), runs_directory=runs)
    send(worker)
    wait_until(lambda: host.containers)
    (directory,) = runs.iterdir()
    assert open_files_in(directory) == ["torkd-log.jsonl"]
    host.the_container().result = "done"
    wait_until(lambda: worker.of(RunEnded))
    assert open_files_in(directory) == []


def open_files_in(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            path = entry.readlink()
        except OSError:
            continue
        if path.parent == directory:
            found.append(path.name)
    return found

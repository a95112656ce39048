"""What a shutdown does with a run: it depends on whether the run is kept, and a run is either left or never begun."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.support.messages import a_task_message
from torkd.runtime.stopping import StopReason
from torkd.worker.kept import KeptRun, RunRecord
from torkd.worker.running import Run, Runs


def a_run() -> Run:
    return Run(a_task_message("t1"), "r1", datetime(2026, 11, 26, tzinfo=UTC))


def a_directory(run: Run, path: Path) -> KeptRun:
    return KeptRun(path, RunRecord(run_id=run.run_id, started_at=run.started_at, message=run.message))


def test_a_run_that_is_kept_is_left(tmp_path: Path) -> None:
    run = a_run()
    assert run.keep(a_directory(run, tmp_path))
    run.shut_down(StopReason.DRAINED, "over", leave=True)
    assert run.stop.reason is StopReason.LEFT


def test_a_run_that_is_kept_is_ended_by_a_shutdown_that_leaves_nothing(tmp_path: Path) -> None:
    run = a_run()
    assert run.keep(a_directory(run, tmp_path))
    run.shut_down(StopReason.DRAINED, "over", leave=False)
    assert run.stop.reason is StopReason.DRAINED


def test_a_run_that_is_not_kept_yet_is_ended_and_can_not_be_kept_any_more(tmp_path: Path) -> None:
    run = a_run()
    run.shut_down(StopReason.DRAINED, "over", leave=True)
    assert run.stop.reason is StopReason.DRAINED
    assert not run.keep(a_directory(run, tmp_path))
    assert run.kept is None


def test_a_run_that_comes_after_all_were_stopped_is_ended(tmp_path: Path) -> None:
    runs, run = Runs(), a_run()
    runs.stop_all(StopReason.DRAINED, "over", leave=True)
    runs.add(run)
    assert run.stop.reason is StopReason.DRAINED
    assert not run.keep(a_directory(run, tmp_path))

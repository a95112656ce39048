"""What the log says of runs that did not end by themselves."""

from __future__ import annotations

import pytest

from tests.support.builders import a_job, claim_of, loss_of, report_of
from tests.support.datastore_play import DatastorePlay
from torkd.broker.messages import RunOutcome
from torkd.coordinator.run_notices import tell_of_runs
from torkd.engine.events import EngineEvent


def told(play: DatastorePlay, caplog: pytest.LogCaptureFixture, *events: EngineEvent) -> list[str]:
    caplog.clear()
    handled = play.handle(*events)
    with caplog.at_level("INFO"):
        tell_of_runs(handled, events)
    return [record.getMessage() for record in caplog.records]


def test_a_lost_run_is_told_with_its_worker(play: DatastorePlay, caplog: pytest.LogCaptureFixture) -> None:
    play.submit(a_job())
    play.handle(claim_of(play.task("only")))
    loss = loss_of(play.task("only"))
    assert told(play, caplog, loss) == [
        "a run was lost with its worker: the task is handed out again",
        "worker node-1 was not heard of for a lease, and has lost 1 runs",
    ]
    assert (caplog.records[0].__dict__["task_id"], caplog.records[0].__dict__["node"]) == (loss.task_id, "node-1")
    assert told(play, caplog, loss) == []


def test_a_run_that_is_handed_back_is_told(play: DatastorePlay, caplog: pytest.LogCaptureFixture) -> None:
    play.submit(a_job())
    play.handle(claim_of(play.task("only")))
    back = report_of(play.task("only"), RunOutcome.HANDED_BACK)
    assert told(play, caplog, back) == ["a run was handed back by its worker: the task is handed out again"]


def test_a_run_that_ends_is_not_worth_a_line(play: DatastorePlay, caplog: pytest.LogCaptureFixture) -> None:
    play.submit(a_job())
    assert told(play, caplog, report_of(play.task("only"))) == []

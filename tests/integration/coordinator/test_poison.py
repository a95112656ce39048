"""Events that can't be handled, ever: parked alone, their job failed with the reason, and nothing else disturbed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.builders import a_job, a_task, claim_of, progress_of, report_of
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import RunningEngine
from tests.support.messages import a_heartbeat
from tests.support.waiting import wait_until
from tork import wire
from tork.job import JobState
from torkd.broker.messages import MESSAGE_VERSION, LogPrinted, RunClaimed, RunEnded, RunProgressed, RunReference
from torkd.coordinator import handle as handling
from torkd.engine.decide import decide
from torkd.engine.events import EngineEvent

pytestmark = pytest.mark.postgres


def dead_reasons(engine: RunningEngine) -> list[str]:
    return [dead.reason for dead in engine.broker.dead_letters(100)]


@dataclass
class Trap:
    """Lets decisions about some events fail."""

    monkeypatch: pytest.MonkeyPatch

    def set(self, is_bad: Callable[[EngineEvent], bool]) -> None:
        def failing(view: Any, event: EngineEvent, **arguments: Any) -> Any:
            if is_bad(event):
                raise KeyError("a bug")
            return decide(view, event, **arguments)

        self.monkeypatch.setattr(handling, "decide", failing)


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> Trap:
    return Trap(monkeypatch)


def test_a_decision_that_fails_fails_its_job_with_the_reason_and_no_other(
    engine: RunningEngine, stored: DatastorePlay, trap: Trap
) -> None:
    job_ids = [engine.submit(a_job()) for _ in range(10)]
    bad = stored.task("only", job_ids[3])
    trap.set(lambda event: getattr(event, "outcome", None) is not None and event.job_id == job_ids[3])
    engine.broker.publish_events([report_of(task) for task in stored.tasks()])
    engine.wait_for(job_ids[3], JobState.FAILED)
    engine.wait_for_all([job_id for job_id in job_ids if job_id != job_ids[3]])
    job = engine.datastore.get_job(job_ids[3])
    assert job.error == "RunEnded could not be handled: 'a bug'"
    wait_until(lambda: dead_reasons(engine) == [job.error])
    assert wire.decode(engine.broker.dead_letters(1)[0].body, RunEnded) == report_of(bad)


def test_a_value_that_the_database_refuses_fails_its_job_and_no_other_of_the_batch(
    engine: RunningEngine, stored: DatastorePlay
) -> None:
    job_ids = [engine.submit(a_job()) for _ in range(10)]
    reports = [report_of(task) for task in stored.tasks()]
    reports[3] = replace(reports[3], lease_id="NUL \0")
    engine.broker.publish_events(reports)
    bad = reports[3].job_id
    engine.wait_for(bad, JobState.FAILED)
    engine.wait_for_all([job_id for job_id in job_ids if job_id != bad])
    error = engine.datastore.get_job(bad).error
    assert "RunEnded could not be handled: the database refused a value" in error
    wait_until(lambda: dead_reasons(engine) == [error])


def test_a_value_that_can_not_be_written_as_json_fails_its_job_only(
    engine: RunningEngine, stored: DatastorePlay
) -> None:
    job_ids = [engine.submit(a_job()) for _ in range(3)]
    reports = [report_of(task) for task in stored.tasks()]
    bad = replace(reports[0], node_id="half of a pair \ud800")
    engine.broker.publish_events([bad, *reports[1:]])
    engine.wait_for(bad.job_id, JobState.FAILED)
    engine.wait_for_all([job_id for job_id in job_ids if job_id != bad.job_id])


def test_an_event_whose_job_can_not_even_fail_is_parked_and_the_loop_goes_on(
    engine: RunningEngine, stored: DatastorePlay, trap: Trap
) -> None:
    hopeless, healthy = engine.submit(a_job()), engine.submit(a_job())
    trap.set(lambda event: event.job_id == hopeless)
    engine.broker.publish_events([report_of(task) for task in stored.tasks()])
    engine.wait_for(healthy)
    wait_until(lambda: len(dead_reasons(engine)) == 1)
    assert "a bug" in dead_reasons(engine)[0]


def test_progress_that_can_not_be_handled_is_parked_and_fails_no_job(
    engine: RunningEngine, stored: DatastorePlay, trap: Trap
) -> None:
    trap.set(lambda event: isinstance(event, RunProgressed))
    job_id = engine.submit(a_job())
    task = stored.task("only", job_id)
    engine.broker.publish_events([claim_of(task), progress_of(task, 50)])
    wait_until(lambda: len(dead_reasons(engine)) == 1)
    engine.broker.publish_events([report_of(task)])
    engine.wait_for(job_id)


def test_a_heartbeat_that_names_nonsense_fails_no_job(engine: RunningEngine, stored: DatastorePlay) -> None:
    job_id = engine.submit(a_job())
    task = stored.task("only", job_id)
    nonsense = RunReference(task_id="\0", job_id=job_id, root_id=job_id, dispatch=1, run_id="r", started_at=stored.now)
    engine.broker.publish_events([replace(a_heartbeat(), running=[nonsense])])
    engine.broker.publish_events([claim_of(task)])
    wait_until(lambda: engine.state(job_id) is JobState.RUNNING)
    engine.broker.publish_events([report_of(task)])
    engine.wait_for(job_id)
    assert dead_reasons(engine) == []


def test_a_heartbeat_that_can_not_be_handled_fails_no_job(
    engine: RunningEngine, stored: DatastorePlay, trap: Trap
) -> None:
    job_id = engine.submit(a_job())
    task = stored.task("only", job_id)
    met: list[EngineEvent] = []

    def is_claim(event: EngineEvent) -> bool:
        if isinstance(event, RunClaimed):
            met.append(event)
        return isinstance(event, RunClaimed)

    trap.set(is_claim)
    listed = RunReference(task_id=task.id, job_id=job_id, root_id=job_id, dispatch=1, run_id="r", started_at=stored.now)
    engine.broker.publish_events([replace(a_heartbeat(), running=[listed])])
    wait_until(lambda: met)
    engine.broker.publish_events([report_of(task)])
    engine.wait_for(job_id)


def test_a_log_part_that_can_not_be_stored_fails_no_job_and_stops_no_other(
    engine: RunningEngine, stored: DatastorePlay
) -> None:
    job_id = engine.submit(a_job())
    parts = [
        LogPrinted(
            task_id=task_id, job_id=job_id, run_id="r", dispatch=1, number=1, contents="x", printed_at=stored.now
        )
        for task_id in ("\0", "\ud800", "fine")
    ]
    engine.broker.publish_events(parts[:1])
    engine.broker.publish_events(parts[1:2])
    wait_until(lambda: not any(queue.size for queue in engine.broker.queues() if queue.name == "logs"))
    engine.broker.publish_events(parts[2:])
    wait_until(lambda: stored.rows("SELECT 1 FROM task_log_parts WHERE task_id = 'fine'"))
    assert engine.state(job_id) is JobState.SCHEDULED


def test_a_message_of_a_newer_version_is_put_back_and_not_failed(engine: RunningEngine, stored: DatastorePlay) -> None:
    newer, known = engine.submit(a_job()), engine.submit(a_job(a_task("known")))
    engine.broker.publish_events([replace(report_of(stored.task("only", newer)), v=MESSAGE_VERSION + 1)])
    engine.broker.publish_events([report_of(stored.task("known", known))])
    engine.wait_for(known)
    assert engine.state(newer) is JobState.SCHEDULED
    assert dead_reasons(engine) == []
    sizes = {queue.name: queue.size for queue in engine.broker.queues()}
    assert sizes["completed"] == 1

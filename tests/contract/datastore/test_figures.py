"""What is counted of batches, and what is counted in the database."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from tests.support.builders import START, claim_of, failure_of, loss_of, report_of
from tests.support.datastore_play import DatastorePlay
from tork.job import JobDefinition, JobState
from tork.task import Each, Retry, TaskDefinition, TaskState
from torkd.broker.messages import RunOutcome
from torkd.coordinator.observing import Tally, tally_of
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.engine.events import CancelRequested, EngineEvent, JobSubmitted

ONE = JobDefinition(name="one", tasks=[TaskDefinition(name="a", run="true")])


def tally(play: DatastorePlay, *events: EngineEvent) -> Tally:
    return tally_of(play.handle(*events), events)


def submitted(definition: JobDefinition, job_id: str = "job") -> JobSubmitted:
    return JobSubmitted(job_id=job_id, definition=definition, created_by="ann")


def test_a_job_is_counted_from_its_start_to_its_end(play: DatastorePlay) -> None:
    began = tally(play, submitted(ONE))
    assert (began.jobs_created, began.handed_out, began.jobs_ended) == (1, 1, [])
    play.pass_time(timedelta(seconds=90))
    report = replace(
        report_of(play.task("a")), started_at=START + timedelta(seconds=30), ended_at=START + timedelta(seconds=70)
    )
    ended = tally(play, report)
    assert ended.queued == [30.0]
    assert ended.runs_ended == [(TaskState.COMPLETED, 40.0)]
    assert dict(ended.tasks_ended) == {TaskState.COMPLETED: 1}
    assert ended.jobs_ended == [(JobState.COMPLETED, 90.0)]


def test_a_report_that_comes_twice_counts_once(play: DatastorePlay) -> None:
    play.submit(ONE)
    report = report_of(play.task("a"))
    first, second = tally(play, report, report), tally(play, report)
    assert (len(first.runs_ended), first.tasks_ended.total(), len(first.jobs_ended)) == (1, 1, 1)
    assert (second.events, second.runs_ended, second.tasks_ended.total(), second.jobs_ended) == (1, [], 0, [])


def test_retries_losses_and_hand_backs_are_counted(play: DatastorePlay) -> None:
    play.submit(JobDefinition(name="r", tasks=[TaskDefinition(name="a", run="false", retry=Retry(limit=2))]))
    failed = tally(play, failure_of(play.task("a")))
    assert (failed.retried, dict(failed.tasks_ended), failed.jobs_ended) == (1, {TaskState.FAILED: 1}, [])

    play.submit(ONE, "other")
    play.handle(claim_of(play.task("a", "other")))
    back = tally(play, report_of(play.task("a", "other"), RunOutcome.HANDED_BACK))
    assert (back.runs_handed_back, back.handed_out, back.runs_lost) == (1, 1, 0)

    play.handle(claim_of(play.task("a", "other")))
    gone = loss_of(play.task("a", "other"))
    lost = tally(play, gone)
    assert (lost.runs_lost, lost.runs_handed_back, lost.handed_out) == (1, 0, 1)
    assert tally(play, gone).runs_lost == 0


def test_what_ends_along_with_a_cancelled_job_is_counted(play: DatastorePlay) -> None:
    each = Each(list="[1, 2, 3, 4, 5]", task=TaskDefinition(name="child", run="true"))
    play.submit(JobDefinition(name="wide", tasks=[TaskDefinition(name="each", each=each)]))
    ended = tally(play, CancelRequested(job_id="job", root_id="job"))
    assert [state for state, _ in ended.jobs_ended] == [JobState.CANCELLED]
    assert dict(ended.tasks_ended) == {TaskState.CANCELLED: 6}


def test_the_database_counts_what_is_active(datastore: PostgresDatastore, play: DatastorePlay) -> None:
    each = Each(list="[1, 2, 3, 4, 5]", concurrency=2, task=TaskDefinition(name="child", run="true"))
    play.submit(JobDefinition(name="wide", tasks=[TaskDefinition(name="each", each=each)]))
    play.submit(ONE, "other")
    play.handle(claim_of(play.task("a", "other")))
    play.submit(ONE, "done")
    play.complete("a", job_id="done")
    figures = datastore.figures()
    assert sum(figures.jobs.values()) == 2
    assert figures.jobs["RUNNING"] >= 1
    states = [task.state.value for task in play.tasks()]
    counted = {state: states.count(state) for state in ("CREATED", "PENDING", "SCHEDULED", "RUNNING")}
    assert dict(figures.tasks) == counted
    assert counted["RUNNING"] == 2
    assert figures.outbox == len(play.outbox())
    assert figures.outbox_age_seconds >= 0
    assert (figures.nodes, figures.worker_tasks) == ({}, 0)
    assert figures.jobs_stored == 3


def test_a_schedule_that_does_not_fire_is_late(datastore: PostgresDatastore, play: DatastorePlay) -> None:
    insert = (
        "INSERT INTO schedules (id, state, spec, zone, created_by, created_at, due_at) "
        "VALUES (%s, %s, '', 'UTC', '', now(), now() + %s::interval)"
    )
    for schedule_id, state, due in (
        ("late", "ACTIVE", "-1 minute"),
        ("paused", "PAUSED", "-1 minute"),
        ("due now", "ACTIVE", "-5 seconds"),
        ("ahead", "ACTIVE", "1 hour"),
    ):
        play.change(insert, schedule_id, state, due)
    assert datastore.figures().schedules_late == 1

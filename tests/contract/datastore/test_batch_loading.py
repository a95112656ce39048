"""Loading and locking: only roots are locked, nobody is waited for, and what is read does not grow with the job."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, claim_of, report_of
from tests.support.datastore_play import DatastorePlay
from tests.support.statement_counting import counted_statements
from tork.errors import DatastoreUnavailable
from torkd.broker.messages import RunEnded
from torkd.datastore.protocol import Datastore
from torkd.engine.changes import OrderKind
from torkd.engine.events import CancelRequested, EventFailed
from torkd.engine.view import View

Session = psycopg.Connection[dict[str, object]]

LOCK = "SELECT id FROM jobs WHERE id = %s FOR NO KEY UPDATE"


def loaded(datastore: Datastore, *events: RunEnded) -> View:
    with datastore.begin() as batch:
        return batch.load(events)


def test_events_of_a_locked_root_are_skipped_and_the_others_go_on(play: DatastorePlay, other_session: Session) -> None:
    play.submit(a_job(), "busy")
    play.submit(a_job(), "free")
    other_session.execute(LOCK, ["busy"])
    busy, free = report_of(play.task("only", "busy")), report_of(play.task("only", "free"))
    handled = play.handle(busy, free)
    assert handled.skipped == [busy]
    assert play.job("free")["state"] == "COMPLETED"
    assert play.job("busy")["state"] == "SCHEDULED"
    other_session.rollback()
    assert play.handle(busy).skipped == []
    assert play.job("busy")["state"] == "COMPLETED"


def test_waiting_gives_up_after_its_time_and_changes_nothing(play: DatastorePlay, other_session: Session) -> None:
    play.submit(a_job())
    other_session.execute(LOCK, ["job"])
    with pytest.raises(DatastoreUnavailable, match="lock timeout"):
        play.handle(report_of(play.task("only")), wait=0.05)
    assert play.job()["state"] == "SCHEDULED"
    other_session.rollback()
    play.handle(report_of(play.task("only")), wait=0.05)
    assert play.job()["state"] == "COMPLETED"


def test_waiting_takes_the_lock_as_soon_as_it_is_free(play: DatastorePlay, other_session: Session) -> None:
    play.submit(a_job())
    other_session.execute(LOCK, ["job"])
    waiter = threading.Thread(target=play.handle, args=[report_of(play.task("only"))], kwargs={"wait": 30.0})
    waiter.start()
    waiter.join(timeout=0.1)
    assert waiter.is_alive()
    other_session.rollback()
    waiter.join(timeout=20)
    assert play.job()["state"] == "COMPLETED"


def test_only_the_root_is_locked_for_a_task_of_a_sub_job(
    play: DatastorePlay, datastore: Datastore, other_session: Session
) -> None:
    play.submit(a_job(a_subjob(a_task("inner"))))
    (sub_id,) = (row["id"] for row in play.rows("SELECT id FROM jobs WHERE parent_job_id = 'job'"))
    with datastore.begin() as batch:
        batch.load([report_of(play.task("inner", sub_id))])
        free = other_session.execute("SELECT id FROM jobs FOR NO KEY UPDATE SKIP LOCKED").fetchall()
        tasks = other_session.execute("SELECT id FROM tasks FOR UPDATE SKIP LOCKED").fetchall()
    assert [row["id"] for row in free] == [sub_id]
    assert len(tasks) == play.count("tasks") == 2


def test_batches_that_want_the_same_roots_never_deadlock(play: DatastorePlay) -> None:
    """Many batches over the same jobs at once, in opposite orders, waiting for each other's locks."""
    names = [f"job{number}" for number in range(6)]
    for name in names:
        play.submit(a_job(a_parallel(*(a_task(f"t{index}") for index in range(8)))), name)
    tasks = {name: [task for task in play.tasks(job_id=name) if task.parent_id] for name in names}
    batches = [[report_of(tasks[name][index]) for name in (names if index % 2 else names[::-1])] for index in range(8)]
    errors: list[BaseException] = []

    def work(batch: list[RunEnded]) -> None:
        try:
            play.handle(*batch, wait=30.0)
        except BaseException as error:  # noqa: BLE001 -- whatever a thread meets is for the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert errors == []
    assert {play.job(name)["state"] for name in names} == {"COMPLETED"}


def test_an_event_of_a_deleted_job_is_answered_not_kept(play: DatastorePlay) -> None:
    play.submit(a_job())
    report = report_of(play.task("only"))
    for table in ("jobs", "tasks"):
        play.change(f"DELETE FROM {table}")
    handled = play.handle(report)
    assert handled.skipped == []
    assert [order.kind for order in handled.view.orders] == [OrderKind.ACKNOWLEDGE]


def test_an_event_that_names_another_root_changes_nothing(play: DatastorePlay) -> None:
    play.submit(a_job(), "mine")
    play.submit(a_job(), "other")
    task = play.task("only", "mine")
    forged = RunEnded(
        task_id=task.id,
        job_id="mine",
        root_id="other",
        dispatch=1,
        run_id="forged",
        node_id="n",
        lease_id="l",
        outcome=report_of(task).outcome,
        started_at=play.now,
        ended_at=play.now,
    )
    play.handle(forged, CancelRequested(job_id="mine", root_id="other"))
    assert play.job("mine")["state"] == "SCHEDULED"
    assert play.task("only", "mine") == task


@pytest.mark.parametrize("jobs", [1, 300], ids=["one event", "300 events"])
def test_a_plain_batch_takes_three_statements_however_many_events_there_are(play: DatastorePlay, jobs: int) -> None:
    two_steps = a_job(a_task("first", var="x"), a_task("second {{ tasks.x }}"))
    for number in range(jobs):
        play.submit(two_steps, f"job{number}")
    reports = [report_of(task, result="r") for task in play.tasks(name="first")]
    with counted_statements() as statements:
        handled = play.handle(*reports)
    assert len(statements) == 3
    assert len(handled.view.sent_rows()) == jobs
    assert len(play.tasks(name="second r")) == jobs


@pytest.mark.parametrize("steps", [2, 400])
def test_a_step_reads_the_same_few_rows_in_a_job_of_any_length(
    play: DatastorePlay, datastore: Datastore, steps: int
) -> None:
    job = a_job(*(a_task(f"t{number}", var=f"v{number}") for number in range(steps)), inputs={"unread": "x"})
    play.submit(job)
    view = loaded(datastore, report_of(play.task("t0"), result="r"))
    assert (len(view.tasks), len(view.jobs), len(view.steps)) == (1, 1, 1)
    assert view.contexts == {}


def test_only_the_values_that_a_step_refers_to_are_read(play: DatastorePlay, datastore: Datastore) -> None:
    inputs = {"wanted": "1", **{f"unwanted{number}": "2" for number in range(50)}}
    play.submit(a_job(a_task("first"), a_task("second {{ inputs.wanted }}"), inputs=inputs))
    view = loaded(datastore, report_of(play.task("first")))
    assert view.contexts == {"job": {"inputs": {"wanted": "1"}}}
    play.complete("first")
    assert play.task("second 1").state.value == "SCHEDULED"


@pytest.mark.parametrize("size", [20, 1500])
def test_completing_a_child_reads_as_little_in_a_long_each_as_in_a_short_one(
    play: DatastorePlay, datastore: Datastore, size: int
) -> None:
    play.submit(a_job(an_each(f"{{{{ sequence(0, {size}) }}}}", a_task("child"), concurrency=5)))
    view = loaded(datastore, report_of(play.tasks(name="child")[0]))
    assert len(view.tasks) == 3, "the child, its parent and the child that may be released"


def test_ending_the_innermost_job_loads_all_above_it(play: DatastorePlay) -> None:
    innermost = a_subjob(a_task("work"), name="inner", job_name="innermost")
    play.submit(a_job(a_subjob(a_subjob(innermost, name="middle", job_name="middle"), name="outer", job_name="outer")))
    deepest = play.jobs_named("innermost")[0]["id"]
    play.handle(claim_of(play.task("work", deepest)))
    handled = play.handle(CancelRequested(job_id=deepest, root_id="job"))
    assert {row["state"] for row in play.rows("SELECT state FROM jobs UNION SELECT state FROM tasks")} == {"CANCELLED"}
    assert {order.kind for order in handled.view.orders} == {OrderKind.STOP}
    assert play.count("jobs") == 4


def test_a_job_fails_with_all_above_it_though_its_task_is_gone(play: DatastorePlay) -> None:
    play.submit(a_job(a_subjob(a_subjob(a_task("work"), name="inner", job_name="innermost"))))
    deepest = play.jobs_named("innermost")[0]["id"]
    play.handle(EventFailed(task_id="gone", job_id=deepest, root_id="job", reason="poison"))
    assert {row["state"] for row in play.rows("SELECT state FROM jobs")} == {"FAILED"}
    assert {row["error"] for row in play.rows("SELECT error FROM jobs")} == {"poison"}

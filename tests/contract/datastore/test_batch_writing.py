"""Writing a batch: all of it or nothing, with the hand-outs it causes; composites of any size in bounded pieces."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from tests.support.builders import (
    a_job,
    a_parallel,
    a_subjob,
    a_task,
    an_each,
    claim_of,
    failure_of,
    loss_of,
    report_of,
)
from tests.support.datastore_play import DatastorePlay
from tests.support.statement_counting import counted_statements
from tork.errors import BadData
from tork.job import JobDefinition
from tork.task import Retry
from torkd.broker.messages import RunOutcome
from torkd.coordinator.handle import fold
from torkd.datastore.protocol import Datastore, Dispatch
from torkd.engine.changes import OrderKind
from torkd.engine.events import CancelRequested, ChildrenDue, JobSubmitted, RestartRequested, RetryDue

TABLES = ("jobs", "job_details", "job_steps", "job_context", "tasks", "task_items", "outbox", "idempotency")


def kept(play: DatastorePlay) -> dict[str, int]:
    return {table: count for table in TABLES if (count := play.count(table))}


def due(play: DatastorePlay, name: str) -> ChildrenDue:
    task = play.task(name)
    return ChildrenDue(task_id=task.id, job_id=task.job_id, root_id=task.root_id)


def test_a_submission_stores_the_job_its_first_task_and_the_hand_out_together(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("first"), a_task("second"), inputs={"size": "3"}))
    assert kept(play) == {"jobs": 1, "job_details": 1, "job_steps": 2, "job_context": 1, "tasks": 1, "outbox": 1}
    assert play.outbox() == [(play.task("first").id, 1)]


def test_what_fails_before_its_end_leaves_nothing(play: DatastorePlay, datastore: Datastore) -> None:
    def break_off() -> None:
        with datastore.begin() as batch:
            view = batch.load([event])
            decided = fold(batch, view, [event], now=play.now, new_id=play.new_id)
            raise ZeroDivisionError(decided)

    event = JobSubmitted(job_id="job", definition=a_job(), created_by="ann")
    with pytest.raises(ZeroDivisionError):
        break_off()
    assert kept(play) == {}


def test_results_larger_than_any_buffer_are_stored(play: DatastorePlay) -> None:
    """Statements travel together; the server must not wait for the rest of one while we wait for its answer."""
    play.submit(a_job(a_parallel(*(a_task(f"t{number}") for number in range(4)))))
    play.complete(*(f"t{number}" for number in range(4)), result="x" * 5_000_000)
    assert play.job()["state"] == "COMPLETED"


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(a_job(description="a\0b"), id="NUL"),
        pytest.param(a_job(inputs={"x" * 1_000_000: "v"}), id="a name too large for an index"),
    ],
)
def test_values_that_the_database_refuses_are_bad_data(play: DatastorePlay, definition: JobDefinition) -> None:
    with pytest.raises(BadData):
        play.submit(definition)
    assert kept(play) == {}
    play.submit(a_job())
    assert play.job()["state"] == "SCHEDULED"


@pytest.mark.parametrize("result", ["", "\0\0", "a\0b"], ids=["empty", "only NUL", "with NUL"])
def test_results_with_nul_are_stored_without_it_and_read_by_later_tasks(play: DatastorePlay, result: str) -> None:
    play.submit(a_job(a_task("first", var="x"), a_task("then [{{ tasks.x }}]")))
    play.complete("first", result=result)
    assert play.task("first").result == result.replace("\0", "")
    assert play.task(f"then [{result.replace(chr(0), '')}]").state.value == "SCHEDULED"


def test_texts_of_any_length_are_stored(play: DatastorePlay) -> None:
    long = "x" * 100_000
    play.submit(a_job(a_task(long, var="v" * 1000, image=long), name=long, description=long, tags=["t" * 500]))
    play.complete(long, result=long)
    assert play.job()["state"] == "COMPLETED"


def test_results_are_applied_once_though_reports_come_twice_and_before_the_claim(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("first", var="x"), a_task("second")))
    report, claim = report_of(play.task("first"), result="once"), claim_of(play.task("first"))
    other = report_of(play.task("first"), run_id="another run", result="twice")
    play.handle(report, report, claim, other)
    play.handle(other, claim, report)
    assert play.task("first").result == "once"
    assert play.job()["position"] == 2
    assert len(play.tasks(name="second")) == 1
    assert play.row("SELECT value FROM job_context")["value"] == "once"


def test_the_first_claim_owns_the_task_and_the_second_is_told_to_stop(play: DatastorePlay) -> None:
    play.submit(a_job())
    task = play.task("only")
    play.handle(claim_of(task, run_id="first"))
    handled = play.handle(claim_of(task, run_id="second"))
    assert [(order.kind, order.run_id) for order in handled.view.orders] == [(OrderKind.STOP, "second")]
    assert play.task("only").run_id == "first"
    assert play.task("only").lease_id == "lease of node-1"


def test_a_redelivered_run_is_granted_its_claim_or_refused(play: DatastorePlay) -> None:
    play.submit(a_job())
    task = play.task("only")
    granted = play.handle(claim_of(task, run_id="first", redelivered=True))
    refused = play.handle(claim_of(task, run_id="second", redelivered=True))
    assert [order.kind for order in granted.view.orders] == [OrderKind.GRANT]
    assert [order.kind for order in refused.view.orders] == [OrderKind.REFUSE]


def test_a_lost_run_is_handed_out_anew_and_its_late_report_is_refused(play: DatastorePlay) -> None:
    play.submit(a_job())
    task = play.task("only")
    play.handle(claim_of(task))
    late = report_of(task, result="late")
    loss = loss_of(play.task("only"))
    play.handle(loss, loss)
    play.handle(loss)
    play.handle(late)
    again = play.task("only")
    assert (again.state.value, again.dispatch, again.redelivered, again.run_id) == ("SCHEDULED", 2, 1, None)
    assert (again.id, 2) in play.outbox()


def test_a_hand_back_is_no_redelivery(play: DatastorePlay) -> None:
    play.submit(a_job())
    play.handle(claim_of(play.task("only")))
    play.handle(report_of(play.task("only"), RunOutcome.HANDED_BACK))
    task = play.task("only")
    assert (task.state.value, task.dispatch, task.redelivered) == ("SCHEDULED", 2, 0)


def test_outbox_rows_of_what_was_published_go_with_the_next_batch_and_no_others(play: DatastorePlay) -> None:
    for name in ("sent", "unsent", "next"):
        play.submit(a_job(a_task("a"), a_task("b")), name)
    sent, unsent, following = (play.task("a", name).id for name in ("sent", "unsent", "next"))
    play.handle(report_of(play.task("a", "next")), forget=[Dispatch(task_id=sent, dispatch=1)])
    left = play.outbox()
    assert (sent, 1) not in left
    assert {(unsent, 1), (following, 1), (play.task("b", "next").id, 1)} == set(left)


def test_a_retry_runs_what_the_failed_task_ran(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("try {{ inputs.x }}", image="i:{{ inputs.x }}", retry=Retry(limit=1)), inputs={"x": "1"}))
    play.handle(failure_of(play.task("try 1")))
    play.pass_time(timedelta(seconds=1))
    retry = play.task("try 1")
    assert retry.due_at == play.now
    play.handle(RetryDue(task_id=retry.id, job_id="job", root_id="job"))
    (message,) = play.datastore.bodies([Dispatch(task_id=retry.id, dispatch=1)])
    assert message.definition.image == "i:1"
    play.handle(failure_of(play.task("try 1"), "again"))
    assert (play.job()["state"], play.job()["error"]) == ("FAILED", "again")


@pytest.mark.parametrize("size", [0, 1, 100, 101, 250, 1300])
def test_an_each_of_any_size_makes_every_child_once_in_order(play: DatastorePlay, size: int) -> None:
    child = a_task("child", env={"I": "{{ item.index }}", "V": "{{ item.value }}"})
    play.submit(a_job(an_each(f"{{{{ sequence(1000, {1000 + size}) }}}}", child), a_task("after")))
    while ready := [task for task in play.tasks(state="SCHEDULED") if task.name == "child"]:
        play.unfold(play.handle(*(report_of(task) for task in ready)))
    children = sorted(play.tasks(name="child"), key=lambda task: task.item_index or 0)
    assert [task.spec.env for task in children if task.spec] == [
        {"I": str(index), "V": str(1000 + index)} for index in range(size)
    ]
    assert play.task("after").state.value == "SCHEDULED"
    parent = play.task("each")
    assert (parent.size, parent.created, parent.released, parent.completions) == (size, size, size, size)


def test_a_window_of_children_is_handed_out_and_no_more(play: DatastorePlay) -> None:
    play.submit(a_job(an_each("{{ sequence(0, 40) }}", a_task("child"), concurrency=3)))
    seen = 0
    while ready := play.tasks(state="SCHEDULED"):
        assert len(ready) <= 3
        assert [task.item_index for task in ready] == list(range(seen, seen + len(ready)))
        seen += 1
        play.unfold(play.handle(report_of(ready[0])))
    assert play.job()["state"] == "COMPLETED"


def test_children_that_are_skipped_release_those_behind_them(play: DatastorePlay) -> None:
    """Each skip makes room for the next child, and none of them is at hand when the first report comes."""
    child = a_task("child", if_="{{ item.value == 0 || item.value == 350 }}")
    play.submit(a_job(an_each("{{ sequence(0, 360) }}", child, concurrency=1)))
    play.run_all()
    assert play.job()["state"] == "COMPLETED"
    assert play.task("each").completions == 360


def test_held_back_children_are_found_again_when_nobody_releases_them(play: DatastorePlay) -> None:
    child = a_task("child", if_="{{ item.value == 0 }}")
    play.submit(a_job(an_each("{{ sequence(0, 90) }}", child, concurrency=1)))
    play.handle(report_of(play.tasks(state="SCHEDULED")[0]))  # and the coordinator dies before it comes back
    for _ in range(100):
        events = play.datastore.events_due(now=play.now, lease_seconds=15, limit=100)
        if not events:
            break
        play.handle(*events)
    assert play.job()["state"] == "COMPLETED"


def test_many_composites_with_much_to_do_share_several_batches(play: DatastorePlay) -> None:
    """Batches stay small however many eaches unfold at once."""
    eaches = (an_each("{{ sequence(0, 600) }}", name=f"e{number}") for number in range(12))
    handled = play.handle(JobSubmitted(job_id="job", definition=a_job(a_parallel(*eaches)), created_by="ann"))
    before = play.count("tasks")
    handled = play.handle(*(due(play, f"e{number}") for number in range(12)))
    assert before + 250 <= play.count("tasks") <= before + 1000
    assert {play.task(f"e{number}").id for number in range(12)} <= set(handled.view.unfold)
    play.unfold(handled)
    assert play.count("tasks") == 1 + 12 + 12 * 600


def test_a_batch_writes_with_as_many_statements_for_three_hundred_children_as_for_two(play: DatastorePlay) -> None:
    counts = []
    for size in (2, 300):
        job_id = f"job{size}"
        play.submit(a_job(an_each(f"{{{{ sequence(0, {size}) }}}}", a_task("child", var="x"))), job_id)
        reports = [report_of(task, result="r") for task in play.tasks(job_id=job_id, name="child")]
        with counted_statements() as statements:
            play.handle(*reports)
        counts.append(len(statements))
        assert play.job(job_id)["state"] == "COMPLETED"
    assert counts[0] == counts[1]


def test_cancelling_reaches_tasks_and_sub_jobs_that_were_never_loaded(play: DatastorePlay) -> None:
    tasks = [an_each("{{ sequence(0, 700) }}", a_task("child")), a_subjob(a_task("inner"), job_name="sub")]
    play.submit(a_job(a_parallel(*tasks)))
    running = play.tasks(name="child")[5]
    play.handle(claim_of(running))
    handled = play.handle(CancelRequested(job_id="job", root_id="job"))
    assert {row["state"] for row in play.rows("SELECT state FROM jobs UNION SELECT state FROM tasks")} == {"CANCELLED"}
    assert [(order.kind, order.run_id) for order in handled.view.orders] == [(OrderKind.STOP, claim_of(running).run_id)]
    sub = play.jobs_named("sub")[0]
    assert handled.versions == {"job": play.job()["version"], sub["id"]: sub["version"]}
    assert play.row("SELECT count(*) AS rows FROM jobs WHERE failed_at IS NULL")["rows"] == 0


def test_a_detached_sub_job_outlives_the_job_that_started_it(play: DatastorePlay) -> None:
    play.submit(a_job(a_subjob(a_task("inner"), job_name="sub", detached=True), a_task("after")))
    play.handle(CancelRequested(job_id="job", root_id="job"))
    sub = play.jobs_named("sub")[0]
    assert (sub["state"], sub["root_id"]) == ("SCHEDULED", sub["id"])


def test_a_restarted_job_goes_on_where_it_stopped(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("first", var="x"), a_task("second {{ tasks.x }}"), output="{{ tasks.x }}"))
    play.complete("first", result="r")
    play.handle(failure_of(play.task("second r")))
    play.handle(RestartRequested(job_id="job", root_id="job"))
    assert play.job()["error"] == ""
    play.complete("second r")
    assert (play.job()["state"], play.job()["result"]) == ("COMPLETED", "r")


def test_every_change_of_a_job_or_its_tasks_gives_it_a_higher_version(play: DatastorePlay) -> None:
    versions = [play.submit(a_job(a_task("a"), a_task("b"))).versions["job"]]
    for event in (claim_of(play.task("a")), report_of(play.task("a"))):
        versions.append(play.handle(event).versions["job"])
        assert play.job()["version"] == versions[-1]
    assert play.task("a").version == versions[-1]
    assert play.task("b").version == versions[-1]
    assert versions == sorted(set(versions))


def test_a_stale_event_changes_no_version(play: DatastorePlay) -> None:
    play.submit(a_job())
    report = report_of(play.task("only"))
    play.handle(report)
    assert play.handle(report).versions == {}


def test_a_million_elements_are_stored_in_blocks(play: DatastorePlay, dsn: str) -> None:
    play.submit(a_job(an_each("{{ sequence(0, 1000000) }}", a_task("child"))))
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT count(*), max(length(items)) < 1500 FROM task_items").fetchone()
    assert found == (10_000, True)
    assert play.count("tasks") <= 2001, "rows are made as they are needed"


def test_a_task_that_completes_in_the_batch_that_cancels_its_job_stays_completed(play: DatastorePlay) -> None:
    play.submit(a_job(a_parallel(a_task("done"), a_task("open"))))
    play.handle(claim_of(play.task("done")))
    report = report_of(play.task("done"))
    handled = play.handle(report, CancelRequested(job_id="job", root_id="job"))
    done = play.row("SELECT state, failed_at FROM tasks WHERE item_index = 0")
    assert (done["state"], done["failed_at"]) == ("COMPLETED", None)
    assert play.task("open").state == "CANCELLED"
    assert OrderKind.STOP not in {order.kind for order in handled.view.orders}


def test_results_larger_than_any_socket_buffer_are_stored_in_one_batch(play: DatastorePlay) -> None:
    names = [f"t{number}" for number in range(8)]
    play.submit(a_job(a_parallel(*(a_task(name, var=name) for name in names)), a_task("last {{ len(tasks.t7) }}")))
    play.complete(*names, result="x" * 1_000_000)
    assert play.task("last 1000000").state == "SCHEDULED"
    play.complete("last 1000000")
    assert play.job()["state"] == "COMPLETED"


def test_a_search_finds_no_job_by_a_secret_in_its_name_nor_a_sub_job_by_one_of_its_parent(play: DatastorePlay) -> None:
    detached = a_subjob(a_task("inner"), job_name="below {{ secrets.key }}", detached=True)
    play.submit(a_job(detached, name="above hushword", secrets={"key": "hushword"}))
    found = play.rows("SELECT job_id FROM job_details WHERE search @@ plainto_tsquery('english', 'hushword')")
    assert (play.count("job_details"), found) == (2, [])
    assert play.count("job_details") == len(
        play.rows("SELECT job_id FROM job_details WHERE search @@ to_tsquery('english', 'above | below | redacted')")
    )

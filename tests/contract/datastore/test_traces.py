"""Spans of what is stored."""

from __future__ import annotations

from datetime import timedelta

from tests.support.builders import RUN_END, RUN_START, START, a_job, a_subjob, a_task, an_each, claim_of, failure_of
from tests.support.datastore_play import DatastorePlay
from tests.support.fake_tracing import FakeTracing
from tork.task import Retry
from torkd.coordinator.handle import Handled
from torkd.coordinator.traces import Traces
from torkd.datastore.protocol import Beginning
from torkd.engine.events import CancelRequested
from torkd.hooks.redact import Redactor
from torkd.tracing.span import Span, place_of

SECRET = "hush-hush-9"


def spans_of(play: DatastorePlay, *batches: Handled, tracing: FakeTracing | None = None) -> dict[str, Span]:
    """What is told of these batches, by name."""
    tracing = tracing or FakeTracing()
    traces = Traces(play.datastore, tracing, Redactor())
    traces.start()
    for handled in batches:
        traces.committed(handled)
    traces.close(20)
    assert len({span.name for span in tracing.spans}) == len(tracing.spans)
    return {span.name: span for span in tracing.spans}


def test_a_job_and_its_task_have_the_times_that_are_stored(play: DatastorePlay) -> None:
    play.submit(a_job(name="whole"))
    spans = spans_of(play, play.complete("only"))
    job, task = spans["whole"], spans["only"]
    only = play.task("only")
    assert (job.place, job.parent) == (place_of("job", "job"), None)
    assert (task.place, task.parent) == (place_of("job", only.id), job.place)
    assert (job.began_at, job.ended_at) == (START, play.job()["completed_at"])
    assert (task.began_at, task.ended_at) == (RUN_START, RUN_END)
    assert task.attributes["tork.task.queue_seconds"] == (RUN_START - START).total_seconds()
    assert (job.attributes["tork.job.state"], task.attributes["tork.task.state"]) == ("COMPLETED", "COMPLETED")
    assert job.error is None
    assert task.error is None


def test_what_goes_on_has_no_span_and_one_that_ended_has_one(play: DatastorePlay) -> None:
    first = play.submit(a_job(a_task("one"), a_task("skipped", if_="false"), a_task("two"), name="whole"))
    claimed = play.handle(claim_of(play.task("one")))
    assert spans_of(play, first, claimed) == {}
    assert set(spans_of(play, play.complete("one"))) == {"one"}
    assert set(spans_of(play, play.complete("two"))) == {"two", "whole"}


def test_each_try_of_a_task_is_a_span_and_an_error_hides_secrets(play: DatastorePlay) -> None:
    task = a_task(f"t-{SECRET}", retry=Retry(limit=1))
    play.submit(a_job(task, name=f"j-{SECRET}", secrets={"s": SECRET}))
    tries = []
    for _ in range(2):
        tried = play.task(f"t-{SECRET}")
        if tried.state == "PENDING":
            break
        tries.append(play.handle(failure_of(tried, f"no {SECRET}")))
    spans = spans_of(play, *tries)
    assert spans["t-[REDACTED]"].error == "no [REDACTED]"
    assert SECRET not in str(spans)


def test_sub_jobs_stand_below_their_task_and_children_below_their_parent(play: DatastorePlay) -> None:
    play.submit(a_job(a_subjob(a_task("deep"), name="below", job_name="inner"), an_each("{{ sequence(1,2) }}")))
    (inner,) = play.jobs_named("inner")
    spans = spans_of(play, play.complete("deep", job_id=inner["id"]))
    assert spans["deep"].parent == spans["inner"].place == place_of("job", inner["id"])
    assert spans["inner"].parent == spans["below"].place
    assert spans_of(play, play.complete("item 0"))["item 0"].parent == place_of("job", play.task("each").id)


def test_a_cancelled_job_has_a_span_without_an_error(play: DatastorePlay) -> None:
    play.submit(a_job(name="whole"))
    job = spans_of(play, play.handle(CancelRequested(job_id="job", root_id="job")))["whole"]
    assert job.attributes["tork.job.state"] == "CANCELLED"
    assert job.error is None


def test_what_is_gone_is_not_told_for_its_secrets_are_gone_too(play: DatastorePlay) -> None:
    play.submit(a_job(name=SECRET, secrets={"s": SECRET}))
    ended = play.complete("only")
    play.datastore.forget_everything()
    assert spans_of(play, ended) == {}


def test_traces_that_nobody_wants_are_not_made(play: DatastorePlay) -> None:
    play.submit(a_job())
    unwanted = place_of("job", "job").trace_id
    assert spans_of(play, play.complete("only"), tracing=FakeTracing(unwanted)) == {}


def test_beginnings_are_those_of_jobs_and_tasks(play: DatastorePlay) -> None:
    play.submit(a_job())
    task = play.task("only")
    play.pass_time(timedelta(seconds=5))
    play.handle(claim_of(task))
    found = play.datastore.beginnings(["job", "gone"], [task.id, "gone"])
    assert set(found) == {"job", task.id}
    assert found[task.id] == Beginning(created_at=START, scheduled_at=START, started_at=RUN_START)
    assert found["job"].created_at == START

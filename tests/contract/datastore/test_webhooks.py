"""Webhooks in the datastore: written with the change, claimed by one at a time, in order, and never lost."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from tests.support.builders import START, a_job, a_parallel, a_subjob, a_task, an_each, claim_of, failure_of, report_of
from tests.support.datastore_play import DatastorePlay
from tests.support.statement_counting import counted_statements
from tork.errors import NotFound
from tork.job import JobDefinition
from tork.task import AutoDelete, Retry, TaskDefinition, WebhookDefinition
from torkd.coordinator.handle import fold
from torkd.datastore.protocol import Datastore
from torkd.datastore.webhook_protocol import ClaimedLane, Settlement
from torkd.engine.events import CancelRequested, JobSubmitted, RetryDue

SECRET = "hush-hush-9"


def hooked(*tasks: TaskDefinition, event: str = "", **fields: Any) -> JobDefinition:
    """A job with one webhook."""
    webhook = WebhookDefinition(url=fields.pop("url", "http://h/1"), event=event, headers=fields.pop("headers", {}))
    return a_job(*tasks, webhooks=[webhook], **fields)


def claim(
    datastore: Datastore, node: str = "n1", *, lease: float = 30.0, limit: int = 20, busy: list[str] | None = None
) -> ClaimedLane:
    claimed = datastore.claim_webhooks(node, lease_seconds=lease, limit=limit, busy=busy or [])
    assert claimed is not None
    return claimed


def told(claimed: ClaimedLane) -> list[str]:
    """Name and state in the bodies."""
    found = []
    for delivery in claimed.deliveries:
        assert delivery.request is not None
        body = json.loads(delivery.request.body)
        found.append(f"{body['name']} {body['state']}")
    return found


def waiting(play: DatastorePlay) -> int:
    return play.count("webhook_deliveries")


def all_told(play: DatastorePlay) -> list[str]:
    """Everything that waits in any lane, lane after lane; it is claimed by this."""
    found = []
    while (claimed := play.datastore.claim_webhooks("n1", lease_seconds=60, limit=1000, busy=[])) is not None:
        found += told(claimed)
    return found


def test_what_is_told_is_written_with_the_change_or_not_at_all(play: DatastorePlay, datastore: Datastore) -> None:
    def break_off() -> None:
        with datastore.begin() as batch:
            fold(batch, batch.load([event]), [event], now=play.now, new_id=play.new_id)
            assert event.job_id == "job"
            raise ZeroDivisionError

    event = JobSubmitted(job_id="job", definition=hooked(), created_by="ann")
    with pytest.raises(ZeroDivisionError):
        break_off()
    assert (play.count("webhook_lanes"), waiting(play)) == (0, 0)
    play.handle(event)
    assert (play.count("webhook_lanes"), waiting(play)) == (1, 1)


def test_the_life_of_a_job_is_told_in_order(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked(a_task("a"), a_task("b"), description="why", tags=["x"], inputs={"size": "5"}))
    play.handle(claim_of(play.task("a")))
    play.complete("a")
    play.complete("b")
    claimed = claim(datastore)
    assert told(claimed) == ["job PENDING", "job RUNNING", "job COMPLETED"]
    assert len({delivery.id for delivery in claimed.deliveries}) == 3
    assert {delivery.event for delivery in claimed.deliveries} == {"job.StateChange"}
    first = claimed.deliveries[0].request
    assert first is not None
    body = json.loads(first.body)
    assert (body["description"], body["tags"], body["inputs"]) == ("why", ["x"], {"size": "5"})
    assert (body["createdAt"], body["position"], "startedAt" in body) == ("2026-01-02T03:04:05Z", 0, False)


def test_a_job_that_ends_in_the_batch_that_made_it_is_told_state_by_state(
    play: DatastorePlay, datastore: Datastore
) -> None:
    play.submit(hooked(a_task("skipped", if_="false"), output="done"))
    bodies = [json.loads(delivery.request.body) for delivery in claim(datastore).deliveries if delivery.request]
    assert [(body["state"], body.get("result")) for body in bodies] == [("PENDING", None), ("COMPLETED", "done")]


def test_a_task_is_told_with_what_is_stored_of_it(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked(a_task("t", description="why", tags=["x"], var="out"), event="task.StateChange"))
    play.handle(claim_of(play.task("t")))
    play.handle(report_of(play.task("t"), result="42"))
    bodies = [json.loads(delivery.request.body) for delivery in claim(datastore).deliveries if delivery.request]
    assert [body["state"] for body in bodies] == ["SCHEDULED", "RUNNING", "COMPLETED"]
    for body in bodies:
        assert (body["jobId"], body["description"], body["tags"]) == ("job", "why", ["x"])
        assert body["createdAt"] == body["scheduledAt"] == "2026-01-02T03:04:05Z"
    assert [body.get("result") for body in bodies] == [None, None, "42"]
    assert [body.get("startedAt") for body in bodies] == [None, "2026-01-02T03:04:15Z", "2026-01-02T03:04:15Z"]


def test_a_failure_that_is_retried_is_told_and_so_is_the_retry(play: DatastorePlay, datastore: Datastore) -> None:
    retry = Retry(limit=1, initial_delay="5s")
    play.submit(hooked(a_task("t", description="why", retry=retry), event="task.StateChange"))
    play.handle(claim_of(play.task("t")))
    play.handle(failure_of(play.task("t"), "boom"))
    play.pass_time(timedelta(seconds=5))
    again = play.task("t")
    play.handle(RetryDue(task_id=again.id, job_id="job", root_id="job"))
    bodies = [json.loads(delivery.request.body) for delivery in claim(datastore).deliveries if delivery.request]
    assert [(body["state"], body.get("error")) for body in bodies] == [
        ("SCHEDULED", None), ("RUNNING", None), ("FAILED", "boom"), ("SCHEDULED", None),
    ]  # fmt: skip
    assert {body["description"] for body in bodies} == {"why"}


def test_a_retry_without_a_wait_is_told_with_its_description(play: DatastorePlay, datastore: Datastore) -> None:
    retry = Retry(limit=1, initial_delay="0s")
    play.submit(hooked(a_task("t", description="why", retry=retry), event="task.StateChange"))
    play.handle(failure_of(play.task("t"), "boom"))
    bodies = [json.loads(delivery.request.body) for delivery in claim(datastore).deliveries if delivery.request]
    assert [(body["state"], body["description"]) for body in bodies][-2:] == [("FAILED", "why"), ("SCHEDULED", "why")]


def test_what_one_batch_makes_of_a_task_is_told_as_of_each_change(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked(a_task("t"), event="task.StateChange"))
    play.handle(claim_of(play.task("t")), failure_of(play.task("t"), "boom"))
    bodies = [json.loads(delivery.request.body) for delivery in claim(datastore).deliveries if delivery.request]
    assert [(body["state"], body.get("error")) for body in bodies] == [
        ("SCHEDULED", None), ("RUNNING", None), ("FAILED", "boom"),
    ]  # fmt: skip


def test_headers_hold_secrets_and_bodies_never(play: DatastorePlay, datastore: Datastore) -> None:
    headers = {"Authorization": "{{ secrets.key }}", "X-Result": "{{ tasks.out }}"}
    play.submit(hooked(a_task("t", var="out"), headers=headers, secrets={"key": SECRET}, output="{{ secrets.key }}"))
    play.handle(report_of(play.task("t"), result="42"))
    requests = [delivery.request for delivery in claim(datastore).deliveries if delivery.request]
    assert [request.headers["X-Result"] for request in requests] == ["", "42", "42"]
    assert {request.headers["Authorization"] for request in requests} == {SECRET}
    assert [SECRET in request.body for request in requests] == [False] * 3
    assert json.loads(requests[-1].body)["result"] == "[REDACTED]"


def test_requests_are_sealed_where_there_is_a_key(play: DatastorePlay, below: str, dsn: str) -> None:
    play.submit(hooked(headers={"Authorization": "{{ secrets.key }}"}, secrets={"key": SECRET}))
    claimed = claim(play.datastore)
    play.datastore.settle_webhooks(claimed, Settlement(tries=1, tried_at=START, error=f"no {SECRET}"))
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT d.request || l.error FROM webhook_deliveries d JOIN webhook_lanes l USING (job_id)"
        )
        (stored,) = rows.fetchone() or ("",)
    assert (SECRET in stored) == ("sealed" not in below)
    assert play.datastore.webhooks_of("job")[0].last_error == f"no {SECRET}"


def test_a_sub_job_tells_its_own_address_with_headers_of_its_parent(play: DatastorePlay, datastore: Datastore) -> None:
    webhook = WebhookDefinition(url="http://h/{{ inputs.who }}", headers={"X": "{{ inputs.text }}"})
    subjob = a_subjob(a_task("inner"), job_name="sub", subjob={"webhooks": [webhook], "secrets": {"k": "v"}})
    play.submit(a_job(subjob, inputs={"who": "ann", "text": "{{ secrets.k }}"}))
    play.complete("inner", job_id=play.jobs_named("sub")[0]["id"])
    claimed = claim(datastore)
    assert told(claimed) == ["sub PENDING", "sub RUNNING", "sub COMPLETED"]
    for delivery in claimed.deliveries:
        assert delivery.request is not None
        assert (delivery.request.url, delivery.request.headers) == ("http://h/ann", {"X": "{{ secrets.k }}"})


def test_cancelling_tells_sub_jobs_that_were_never_loaded(play: DatastorePlay, datastore: Datastore) -> None:
    webhook = WebhookDefinition(url="http://h/sub")
    play.submit(a_job(a_parallel(a_subjob(a_task("inner"), job_name="sub", subjob={"webhooks": [webhook]}))))
    play.handle(CancelRequested(job_id="job", root_id="job"))
    assert told(claim(datastore)) == ["sub PENDING", "sub CANCELLED"]


def test_a_job_without_webhooks_costs_no_statement_more(play: DatastorePlay) -> None:
    counts = []
    play.submit(a_job(), "first")  # a connection asks for more when it is new
    for job_id, definition in (
        ("plain", a_job()),
        ("other", a_job(webhooks=[WebhookDefinition(url="http://h", event="x")])),
    ):
        with counted_statements() as statements:
            play.submit(definition, job_id)
            play.handle(claim_of(play.task("only", job_id)))
            play.handle(report_of(play.task("only", job_id)))
        assert not [statement for statement in statements if "webhook_" in statement]
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert (waiting(play), play.count("webhook_lanes")) == (0, 0)


def test_telling_of_three_hundred_tasks_takes_as_many_statements_as_of_two(play: DatastorePlay) -> None:
    counts = []
    for size in (2, 300):
        job_id = f"job{size}"
        definition = hooked(an_each(f"{{{{ sequence(0, {size}) }}}}", a_task("child")), event="task.StateChange")
        play.submit(definition, job_id)
        reports = [report_of(task) for task in play.tasks(job_id=job_id, name="child")]
        with counted_statements() as statements:
            play.handle(*reports)
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert waiting(play) == sum(3 * size + 3 for size in (2, 300))


def test_a_lane_is_claimed_by_one_at_a_time(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked())
    claimed = claim(datastore, "n1")
    assert datastore.claim_webhooks("n2", lease_seconds=30, limit=20, busy=[]) is None
    datastore.settle_webhooks(claimed, Settlement())
    assert told(claim(datastore, "n2")) == ["job PENDING"]


def test_different_addresses_and_jobs_are_claimed_side_by_side(play: DatastorePlay, datastore: Datastore) -> None:
    hooks = [WebhookDefinition(url="http://h/1"), WebhookDefinition(url="http://h/2")]
    play.submit(a_job(webhooks=hooks), "a")
    play.submit(a_job(webhooks=hooks), "b")
    claims = [claim(datastore) for _ in range(4)]
    assert {(one.job_id, one.lane) for one in claims} == {("a", 0), ("a", 1), ("b", 0), ("b", 1)}


def test_lanes_to_busy_servers_are_left(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked(url="http://slow/"), "a")
    slow = claim(datastore)
    play.submit(hooked(url="http://slow/"), "b")
    assert datastore.claim_webhooks("n1", lease_seconds=30, limit=20, busy=[slow.target]) is None
    assert datastore.seconds_to_next_webhook([slow.target]) is None
    play.submit(hooked(url="http://fast/"), "c")
    assert claim(datastore, busy=[slow.target]).job_id == "c"


def test_what_is_done_goes_and_the_rest_is_due_at_once(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked())
    play.handle(report_of(play.task("only")))
    claimed = claim(datastore)
    first = claimed.deliveries[0]
    assert datastore.settle_webhooks(claimed, Settlement(done_to=first.place, delivered=1, tried_at=START, status=200))
    again = claim(datastore)
    assert [delivery.id for delivery in again.deliveries] == [delivery.id for delivery in claimed.deliveries[1:]]
    datastore.settle_webhooks(
        again, Settlement(done_to=again.deliveries[-1].place, delivered=1, given_up=1, tried_at=START)
    )
    assert datastore.claim_webhooks("n1", lease_seconds=30, limit=20, busy=[]) is None
    assert datastore.seconds_to_next_webhook([]) is None
    figures = datastore.webhook_figures()
    assert (figures.delivered, figures.given_up, figures.waiting, figures.failing, waiting(play)) == (2, 1, 0, 0, 0)


def test_what_is_to_be_tried_again_waits_and_keeps_its_id_and_its_place(
    play: DatastorePlay, datastore: Datastore
) -> None:
    play.submit(hooked())
    claimed = claim(datastore)
    datastore.settle_webhooks(
        claimed, Settlement(tries=1, tried_at=START, status=503, error="HTTP status 503", wait_seconds=60)
    )
    play.handle(report_of(play.task("only")))
    assert datastore.claim_webhooks("n1", lease_seconds=30, limit=20, busy=[]) is None, "later ones wait for it"
    seconds = datastore.seconds_to_next_webhook([])
    assert seconds is not None
    assert 0 < seconds <= 60
    assert datastore.webhook_figures().failing == 1
    with psycopg.connect(play.dsn, autocommit=True) as connection:
        connection.execute("UPDATE webhook_lanes SET due_at = now()")
    again = claim(datastore)
    assert (again.deliveries[0].id, again.tries) == (claimed.deliveries[0].id, 1)
    assert told(again) == ["job PENDING", "job RUNNING", "job COMPLETED"]


def test_a_claim_that_ran_out_is_the_next_ones_and_settles_nothing(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked())
    late = claim(datastore, "n1", lease=0)
    held = claim(datastore, "n2")
    assert [one.id for one in held.deliveries] == [one.id for one in late.deliveries]
    done = Settlement(done_to=late.deliveries[0].place, delivered=1, tried_at=START)
    assert not datastore.settle_webhooks(late, done)
    assert (waiting(play), datastore.webhook_figures().delivered) == (1, 0)
    assert datastore.settle_webhooks(held, done)
    assert (waiting(play), datastore.webhook_figures().delivered) == (0, 1)


def test_a_claim_that_is_kept_lasts_on(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked())
    claimed = claim(datastore, lease=0)
    assert datastore.settle_webhooks(claimed, Settlement(wait_seconds=30, keep=True))
    assert datastore.claim_webhooks("n2", lease_seconds=30, limit=20, busy=[]) is None


def test_a_node_that_starts_again_gives_up_what_its_killed_process_held(
    play: DatastorePlay, datastore: Datastore
) -> None:
    play.submit(hooked(), "a")
    play.submit(hooked(), "b")
    claim(datastore, "n1")
    claim(datastore, "n2")
    datastore.release_webhooks("n1")
    assert claim(datastore, "n1").job_id == "a"
    assert datastore.claim_webhooks("n1", lease_seconds=30, limit=20, busy=[]) is None


def test_what_comes_while_the_last_delivery_is_settled_is_not_forgotten(
    play: DatastorePlay, datastore: Datastore
) -> None:
    play.submit(hooked())
    claimed = claim(datastore)
    play.handle(report_of(play.task("only")))
    datastore.settle_webhooks(claimed, Settlement(done_to=claimed.deliveries[-1].place, delivered=1, tried_at=START))
    assert told(claim(datastore)) == ["job RUNNING", "job COMPLETED"]


def test_a_lane_whose_deliveries_were_removed_by_hand_is_at_rest(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked())
    with psycopg.connect(play.dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM webhook_deliveries")
    assert claim(datastore).deliveries == []
    assert datastore.seconds_to_next_webhook([]) is None
    play.handle(report_of(play.task("only")))
    assert told(claim(datastore)) == ["job RUNNING", "job COMPLETED"]


def test_a_request_that_can_not_be_read_stops_nobody(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked())
    play.handle(claim_of(play.task("only")))
    with psycopg.connect(play.dsn, autocommit=True) as connection:
        connection.execute("UPDATE webhook_deliveries SET request = 'x' WHERE version = 1")
    claimed = claim(datastore)
    assert [delivery.request is None for delivery in claimed.deliveries] == [True, False]


def test_a_job_that_is_removed_is_told_to_the_end(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked(auto_delete=AutoDelete(after="0s")))
    play.handle(report_of(play.task("only")))
    while datastore.delete_old(jobs_seconds=1e9, logs_seconds=1e9, limit=100):
        pass
    assert play.count("jobs") == 0
    claimed = claim(datastore)
    assert told(claimed) == ["job PENDING", "job RUNNING", "job COMPLETED"]
    datastore.settle_webhooks(claimed, Settlement(done_to=claimed.deliveries[-1].place, delivered=3, tried_at=START))
    assert (play.count("webhook_lanes"), waiting(play)) == (0, 0)


def test_lanes_that_are_at_rest_go_with_their_job(play: DatastorePlay, datastore: Datastore) -> None:
    play.submit(hooked(auto_delete=AutoDelete(after="0s")))
    play.handle(report_of(play.task("only")))
    claimed = claim(datastore)
    datastore.settle_webhooks(claimed, Settlement(done_to=claimed.deliveries[-1].place, delivered=3, tried_at=START))
    while datastore.delete_old(jobs_seconds=1e9, logs_seconds=1e9, limit=100):
        pass
    assert play.count("webhook_lanes") == 0


def test_how_addresses_are_doing_is_read_by_job(play: DatastorePlay, datastore: Datastore) -> None:
    hooks = [
        WebhookDefinition(url="http://h/1"),
        WebhookDefinition(url="http://h/2", event="job.Party"),
        WebhookDefinition(url="http://h/1", event="task.Progress"),
    ]
    play.submit(a_job(webhooks=hooks))
    claimed = claim(datastore)
    datastore.settle_webhooks(
        claimed, Settlement(tries=2, tried_at=START, status=500, error="HTTP status 500", wait_seconds=60)
    )
    first, second = datastore.webhooks_of("job")
    assert first.next_try_at is not None
    told = replace(first, next_try_at=None)
    assert (told.url, told.events, told.waiting, told.tries) == (
        "http://h/1",
        ["job.StateChange", "task.Progress"],
        1,
        2,
    )
    assert (told.last_status, told.last_error, told.last_try_at) == (500, "HTTP status 500", START)
    assert (second.url, second.events, second.waiting, second.last_try_at) == ("http://h/2", ["job.Party"], 0, None)
    play.submit(a_job(), "plain")
    assert datastore.webhooks_of("plain") == []
    with pytest.raises(NotFound):
        datastore.webhooks_of("nope")


def test_a_job_may_have_thousands_of_addresses(play: DatastorePlay, datastore: Datastore) -> None:
    """What looks at each for each of them would take minutes."""
    play.submit(a_job(webhooks=[WebhookDefinition(url=f"http://h/{number % 5_000}") for number in range(10_000)]))
    assert [told.waiting for told in datastore.webhooks_of("job")] == [2] * 5_000

"""Webhooks of a running coordinator, to real receivers: in order, again after failures, side by side, and not lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from tests.support.builders import a_job, a_task, an_each
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import RunningEngine, new_id
from tests.support.receiver import Received, Receiver, Reply
from tests.support.waiting import wait_until
from tork.errors import DatastoreUnavailable
from tork.job import JobDefinition
from tork.task import WebhookDefinition
from torkd.clock import utc_now
from torkd.coordinator import webhook_turns, webhook_verdict
from torkd.coordinator.webhook_turns import PER_TARGET, SLOW_TOGETHER
from torkd.coordinator.webhooks import WebhookLoop
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.hooks.webhook_sender import WebhookSender

pytestmark = pytest.mark.postgres


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits are told to the datastore; how long they are is tested beside the verdict."""
    monkeypatch.setattr(webhook_verdict, "RETRY_SECONDS", (0.05, 0.05, 0.05, 0.05))


@pytest.fixture
def hooking(datastore: PostgresDatastore) -> Iterator[RunningEngine]:
    """An engine that delivers."""
    with RunningEngine(datastore, sender=WebhookSender()) as engine:
        yield engine


def hooked(*urls: str, event: str = "", **fields: Any) -> JobDefinition:
    return a_job(webhooks=[WebhookDefinition(url=url, event=event) for url in urls], **fields)


def test_a_job_is_told_from_its_beginning_to_its_end(hooking: RunningEngine, receiver: Receiver) -> None:
    hooking.start_worker()
    hooking.wait_for(hooking.submit(hooked(receiver.url())))
    receiver.wait_for(3)
    assert receiver.states_at("/hook") == ["PENDING", "RUNNING", "COMPLETED"]


@pytest.mark.usefixtures("quick_retries")
def test_what_fails_is_sent_again_under_its_id_and_the_rest_waits_for_it(
    hooking: RunningEngine, receiver: Receiver
) -> None:
    answers = iter([500, 503, 200])
    receiver.answer = lambda received: Reply(status=next(answers, 200))
    hooking.start_worker()
    hooking.wait_for(hooking.submit(hooked(receiver.url())))
    received = receiver.wait_for(3)
    assert [one.state for one in received] == ["PENDING"] * 3 + ["RUNNING", "COMPLETED"]
    assert len({one.id for one in received[:3]}) == 1


@pytest.mark.usefixtures("quick_retries")
def test_a_receiver_that_was_down_gets_everything_when_it_is_back(
    hooking: RunningEngine, receiver: Receiver, datastore: PostgresDatastore, stored: DatastorePlay
) -> None:
    receiver.stop()
    job_id = hooking.submit(hooked(receiver.url()))
    wait_until(lambda: datastore.webhooks_of(job_id)[0].tries)
    told = datastore.webhooks_of(job_id)[0]
    assert (told.waiting, told.last_error) == (1, "no connection: connection refused")
    receiver.start()
    receiver.wait_for(1)
    wait_until(lambda: datastore.webhooks_of(job_id)[0].delivered)
    assert datastore.webhooks_of(job_id)[0].last_error == ""


@pytest.mark.usefixtures("quick_retries")
def test_what_is_given_up_makes_way_for_the_next(
    hooking: RunningEngine, receiver: Receiver, datastore: PostgresDatastore, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda received: Reply(status=500 if received.state == "PENDING" else 204)
    hooking.start_worker()
    job_id = hooking.submit(hooked(receiver.url("/hook?token=hush")))
    receiver.wait_for(3, "/hook?token=hush")
    assert Counter(one.state for one in receiver.received) == {"PENDING": 5, "RUNNING": 1, "COMPLETED": 1}
    wait_until(lambda: datastore.webhooks_of(job_id)[0].waiting == 0)
    assert datastore.webhook_figures().given_up == 1
    (warning,) = [record for record in caplog.records if "is not told of" in record.getMessage()]
    assert warning.getMessage() == "webhooks[0] is not told of job.StateChange: HTTP status 500 (after 5 tries)"
    assert warning.__dict__["job_id"] == job_id
    assert "hush" not in caplog.text


def test_a_slow_server_delays_neither_other_servers_nor_the_engine(hooking: RunningEngine, receiver: Receiver) -> None:
    opened = threading.Event()

    def slowly(received: Received) -> Reply:
        opened.wait(60)
        return Reply()

    with Receiver(slowly) as slow:
        hooking.start_worker()
        jobs = [hooking.submit(hooked(slow.url(f"/{number}"))) for number in range(3 * PER_TARGET)]
        wait_until(lambda: len(slow.received) >= PER_TARGET)
        quick = hooking.submit(hooked(receiver.url()))
        hooking.wait_for_all([*jobs, quick])
        receiver.wait_for(3)
        assert len(slow.received) == PER_TARGET
        opened.set()


@pytest.mark.usefixtures("quick_retries")
def test_servers_that_never_answer_leave_most_threads_to_the_others(
    datastore: PostgresDatastore, receiver: Receiver, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_turns, "SLOW_SECONDS", 0.1)
    opened = threading.Event()

    def never(received: Received) -> Reply:
        opened.wait(60)
        return Reply()

    with (
        ExitStack() as silent,
        psycopg.connect(dsn, autocommit=True) as connection,
        RunningEngine(datastore, sender=WebhookSender(try_seconds=0.5)) as engine,
    ):
        servers = [silent.enter_context(Receiver(never)) for _ in range(4)]
        for number in range(2 * PER_TARGET):
            for server in servers:
                engine.submit(hooked(server.url(f"/{number}")))
        wait_until(lambda: datastore.webhook_figures().failing >= 4 * PER_TARGET)
        told = [engine.submit(hooked(receiver.url(f"/{number}"))) for number in range(3)]
        claimed = []
        while not all(datastore.webhooks_of(job_id)[0].delivered for job_id in told):
            query = "SELECT count(*) FROM webhook_lanes l WHERE claimed_by IS NOT NULL AND l.job_id <> ALL(%s)"
            claimed += [count for (count,) in connection.execute(query, [told])]
        assert max(claimed, default=0) <= SLOW_TOGETHER
        opened.set()


def test_a_hundred_tasks_are_told_once_each_and_in_order(hooking: RunningEngine, receiver: Receiver) -> None:
    hooking.start_worker(slots=8)
    each = an_each("{{ sequence(0, 100) }}", a_task("t{{ item.index }}"))
    job = a_job(each, webhooks=[WebhookDefinition(url=receiver.url(), event="task.StateChange")])
    hooking.wait_for(hooking.submit(job))
    received = receiver.wait_for(303)
    assert len(received) == 303
    for number in range(100):
        states = [one.state for one in received if one.json["name"] == f"t{number}"]
        assert states == ["SCHEDULED", "RUNNING", "COMPLETED"]


def test_what_a_stopped_coordinator_has_not_sent_the_next_one_sends(
    datastore: PostgresDatastore, receiver: Receiver
) -> None:
    with RunningEngine(datastore) as silent:
        silent.start_worker()
        silent.wait_for(silent.submit(hooked(receiver.url())))
    assert receiver.received == []
    with RunningEngine(datastore, sender=WebhookSender()):
        receiver.wait_for(3)
    assert receiver.states_at("/hook") == ["PENDING", "RUNNING", "COMPLETED"]


def test_a_coordinator_that_ends_takes_back_what_was_on_its_way(
    datastore: PostgresDatastore, receiver: Receiver
) -> None:
    opened = threading.Event()

    def slowly(received: Received) -> Reply:
        opened.wait(60)
        return Reply()

    with Receiver(slowly) as stuck:
        engine = RunningEngine(datastore, sender=WebhookSender())
        job_id = engine.submit(hooked(stuck.url()))
        wait_until(lambda: stuck.received)
        engine.stop()
        told = datastore.webhooks_of(job_id)[0]
        assert (told.waiting, told.tries, told.next_try_at is not None) == (1, 0, True)
        opened.set()
        with RunningEngine(datastore, sender=WebhookSender()):
            wait_until(lambda: datastore.webhooks_of(job_id)[0].delivered)
    assert len({received.id for received in stuck.received}) == 1


def test_the_end_of_a_private_engine_waits_for_what_is_to_be_told(
    datastore: PostgresDatastore, receiver: Receiver
) -> None:
    engine = RunningEngine(datastore, sender=WebhookSender(), webhook_drain=20.0)
    engine.start_worker()
    engine.wait_for(engine.submit(hooked(receiver.url())))
    engine.stop()
    assert receiver.states_at("/hook") == ["PENDING", "RUNNING", "COMPLETED"]


def test_two_coordinators_send_each_request_once(datastore: PostgresDatastore, receiver: Receiver) -> None:
    loops = [WebhookLoop(datastore, WebhookSender(), node_id=f"n{number}", clock=utc_now) for number in range(2)]
    with RunningEngine(datastore) as engine:
        for loop in loops:
            loop.start()
        engine.start_worker()
        jobs = [engine.submit(hooked(receiver.url(f"/{number}"))) for number in range(20)]
        engine.wait_for_all(jobs)
        for loop in loops:
            loop.wake()
        for number in range(20):
            receiver.wait_for(3, f"/{number}")
        for loop in loops:
            loop.stop()
    assert [receiver.states_at(f"/{number}") for number in range(20)] == [["PENDING", "RUNNING", "COMPLETED"]] * 20
    assert len(receiver.received) == 60


def test_what_has_waited_for_a_day_is_given_up_unsent(
    datastore: PostgresDatastore, receiver: Receiver, dsn: str
) -> None:
    with RunningEngine(datastore) as silent:
        job_id = silent.submit(hooked(receiver.url()))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE webhook_deliveries SET created_at = now() - interval '25 hours'")
    with RunningEngine(datastore, sender=WebhookSender()):
        wait_until(lambda: datastore.webhooks_of(job_id)[0].given_up)
    assert datastore.webhooks_of(job_id)[0].last_error == "it has waited for more than 24 h behind others"
    assert receiver.received == []


def test_an_outage_of_the_database_loses_nothing(
    hooking: RunningEngine, receiver: Receiver, datastore: PostgresDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, failures = datastore.settle_webhooks, [DatastoreUnavailable("away")] * 2

    def unsteady(*arguments: Any) -> bool:
        if failures:
            raise failures.pop()
        return settle(*arguments)

    monkeypatch.setattr(datastore, "settle_webhooks", unsteady)
    hooking.start_worker()
    job_id = hooking.submit(hooked(receiver.url(), name=new_id()))
    receiver.wait_for(3)
    wait_until(lambda: datastore.webhooks_of(job_id)[0].waiting == 0)
    assert datastore.webhooks_of(job_id)[0].delivered == 3

"""Accepting twice is accepting once: what can't be seen through the port."""

from __future__ import annotations

import threading

import pytest

from tests.support.builders import a_job
from tests.support.datastore_play import DatastorePlay
from torkd.coordinator.handle import fold
from torkd.datastore.protocol import Accepted, Datastore
from torkd.engine.events import JobSubmitted
from torkd.testing.datastore_contract import a_key, accept


def test_a_submission_that_fails_frees_its_a_key(datastore: Datastore) -> None:
    def fail() -> None:
        with datastore.begin() as batch:
            raise ZeroDivisionError(batch.accept(a_key(), "j1"))

    with pytest.raises(ZeroDivisionError):
        fail()
    assert accept(datastore, a_key(), "j2") == Accepted(job_id="j2", repeated=False)


def test_what_was_sent_is_not_kept(play: DatastorePlay) -> None:
    accept(play.datastore, a_key(body=b"a secret"), "j1")
    assert b"a secret" not in bytes(play.row("SELECT digest FROM idempotency")["digest"])


def test_submissions_at_the_same_time_make_one_job(play: DatastorePlay) -> None:
    answers: list[Accepted] = []
    start = threading.Barrier(4)

    def submit(job_id: str) -> None:
        start.wait()
        event = JobSubmitted(job_id=job_id, definition=a_job(), created_by="ann")
        with play.datastore.begin() as batch:
            accepted = batch.accept(a_key(), job_id)
            if not accepted.repeated:
                fold(batch, batch.load([event]), [event], now=play.now, new_id=play.new_id)
        answers.append(accepted)

    threads = [threading.Thread(target=submit, args=[f"j{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(accepted.repeated for accepted in answers) == [False, True, True, True]
    assert {accepted.job_id for accepted in answers} == {play.row("SELECT id FROM jobs")["id"]}


def test_a_key_is_kept_seven_days_beyond_its_job(play: DatastorePlay) -> None:
    accept(play.datastore, a_key(), "job")
    play.submit(a_job())
    play.change("UPDATE idempotency SET created_at = now() - interval '30 days'")

    def delete_old() -> int:
        return play.datastore.delete_old(jobs_seconds=1, logs_seconds=1, limit=100)

    delete_old()
    assert play.count("idempotency") == play.count("jobs") == 1
    play.complete("only")
    delete_old()
    delete_old()
    assert (play.count("idempotency"), play.count("jobs")) == (1, 0)
    play.change("UPDATE idempotency SET expires_at = expires_at - interval '167 hours'")
    delete_old()
    assert accept(play.datastore, a_key(), "j2").repeated
    play.change("UPDATE idempotency SET expires_at = expires_at - interval '2 hours'")
    delete_old()
    assert not accept(play.datastore, a_key(), "j2").repeated

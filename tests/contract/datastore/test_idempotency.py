"""Accepting twice is accepting once."""

from __future__ import annotations

import threading

import pytest

from tests.support.builders import a_job
from tests.support.datastore_play import DatastorePlay
from tork.errors import IdempotencyConflict
from torkd.coordinator.handle import fold
from torkd.datastore.protocol import Accepted, Datastore, IdempotencyKey
from torkd.engine.events import JobSubmitted


def key(name: str = "k", *, owner: str = "ann", body: bytes = b"body") -> IdempotencyKey:
    return IdempotencyKey(owner=owner, key=name, body=body)


def accept(datastore: Datastore, name: IdempotencyKey, job_id: str) -> Accepted:
    with datastore.begin() as batch:
        return batch.accept(name, job_id)


def test_the_same_key_and_body_answer_with_the_first_job(datastore: Datastore) -> None:
    assert accept(datastore, key(), "j1") == Accepted(job_id="j1", repeated=False)
    assert accept(datastore, key(), "j2") == Accepted(job_id="j1", repeated=True)


def test_the_same_key_with_another_body_is_refused_by_name(datastore: Datastore) -> None:
    accept(datastore, key(), "j1")
    with pytest.raises(IdempotencyConflict, match="key 'k' was used for job j1 with another body"):
        accept(datastore, key(body=b"other"), "j2")


@pytest.mark.parametrize("other", [key("k2"), key(owner="bob")], ids=["another key", "another owner"])
def test_keys_are_told_apart(datastore: Datastore, other: IdempotencyKey) -> None:
    accept(datastore, key(), "j1")
    assert accept(datastore, other, "j2") == Accepted(job_id="j2", repeated=False)


def test_a_submission_that_fails_frees_its_key(datastore: Datastore) -> None:
    def fail() -> None:
        with datastore.begin() as batch:
            raise ZeroDivisionError(batch.accept(key(), "j1"))

    with pytest.raises(ZeroDivisionError):
        fail()
    assert accept(datastore, key(), "j2") == Accepted(job_id="j2", repeated=False)


def test_what_was_sent_is_not_kept(play: DatastorePlay) -> None:
    accept(play.datastore, key(body=b"a secret"), "j1")
    assert b"a secret" not in bytes(play.row("SELECT digest FROM idempotency")["digest"])


def test_submissions_at_the_same_time_make_one_job(play: DatastorePlay) -> None:
    answers: list[Accepted] = []
    start = threading.Barrier(4)

    def submit(job_id: str) -> None:
        start.wait()
        event = JobSubmitted(job_id=job_id, definition=a_job(), created_by="ann")
        with play.datastore.begin() as batch:
            accepted = batch.accept(key(), job_id)
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
    accept(play.datastore, key(), "job")
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
    assert accept(play.datastore, key(), "j2").repeated
    play.change("UPDATE idempotency SET expires_at = expires_at - interval '2 hours'")
    delete_old()
    assert not accept(play.datastore, key(), "j2").repeated

"""Jobs that are submitted at the same time: one transaction for them, and nobody pays for what another one did wrong."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import cast

import pytest

from tests.support.builders import START
from tests.support.waiting import wait_until
from tork.errors import BadData, DatastoreUnavailable
from tork.job import JobDefinition
from tork.task import TaskDefinition
from torkd.coordinator.handle import Handled
from torkd.coordinator.submissions import Submissions
from torkd.datastore.protocol import Accepted, Datastore, Dispatch, IdempotencyKey
from torkd.engine.events import EngineEvent, JobSubmitted
from torkd.engine.view import View


class Store:
    """Keeps jobs, if it may. Every transaction waits for the gate before it begins."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        """The names of the jobs of each, as they are begun."""
        self.stored: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.refused: dict[str, BaseException] = {}
        """By the name of a job, why no transaction with it succeeds."""
        self.keys: dict[str, str] = {}
        self._names: list[str] = []

    @contextmanager
    def begin(self) -> Iterator[Store]:
        keys = dict(self.keys)
        try:
            yield self
        except BaseException:
            self.keys = keys
            raise

    def accept(self, key: IdempotencyKey, job_id: str) -> Accepted:
        known = self.keys.setdefault(key.key, job_id)
        return Accepted(job_id=known, repeated=known != job_id)

    def load(self, events: Sequence[EngineEvent], *, wait: float = 0.0) -> View:
        self._names = [getattr(cast(JobSubmitted, event).definition, "name", "") for event in events]
        self.transactions.append(self._names)
        assert self.gate.wait(20)
        return View()

    def write(self, view: View, published: Collection[Dispatch] = ()) -> dict[str, int]:
        for name in self._names:
            if name in self.refused:
                raise self.refused[name]
        self.stored.extend(view.jobs[job_id].name for job_id in view.new_jobs)
        return {}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def published() -> list[Handled]:
    return []


@pytest.fixture
def submissions(store: Store, published: list[Handled]) -> Submissions:
    ids = itertools.count(1)
    return Submissions(
        cast(Datastore, store), published.append, clock=lambda: START, new_id=lambda: f"task-{next(ids)}"
    )


def a_submission(name: str) -> JobSubmitted:
    definition = JobDefinition(name=name, tasks=[TaskDefinition(name="one", run="true")])
    return JobSubmitted(job_id=f"id of {name}", definition=definition, created_by="0")


def a_key(name: str) -> IdempotencyKey:
    return IdempotencyKey(owner="0", key=name, body=b"")


def all_at_once(store: Store, submissions: Submissions, names: Sequence[str]) -> dict[str, Future[Accepted]]:
    """The first is held up in its transaction until all others wait, in this order."""
    store.gate.clear()
    answers: dict[str, Future[Accepted]] = {}
    with ThreadPoolExecutor(len(names)) as threads:
        for number, name in enumerate(names):
            answers[name] = threads.submit(submissions.submit, a_submission(name), None)
            wait_until(lambda: bool(store.transactions))
            wait_until(partial(_are_waiting, submissions, number))
        store.gate.set()
    return answers


def _are_waiting(submissions: Submissions, count: int) -> bool:
    return len(submissions._waiting) == count


def test_those_who_wait_share_a_transaction(store: Store, submissions: Submissions, published: list[Handled]) -> None:
    names = [f"job {number}" for number in range(9)]
    answers = all_at_once(store, submissions, names)
    assert {name: answer.result() for name, answer in answers.items()} == {
        name: Accepted(job_id=f"id of {name}", repeated=False, created_at=START) for name in names
    }
    assert [len(group) for group in store.transactions] == [1, 8]
    assert sorted(store.stored) == names
    assert sorted(task.job_id for handled in published for task in handled.view.sent_rows()) == [
        f"id of {name}" for name in names
    ]


def test_one_that_the_database_refuses_is_alone_in_that(store: Store, submissions: Submissions) -> None:
    store.refused["bad"] = BadData("the database refused a value: too large")
    answers = all_at_once(store, submissions, ["first", "good", "bad", "better"])
    assert sorted(store.stored) == ["better", "first", "good"]
    assert isinstance(answers["bad"].exception(), BadData)
    assert [name for name, answer in answers.items() if answer.exception() is None] == ["first", "good", "better"]


def test_a_database_that_is_away_is_not_asked_again_for_each(store: Store, submissions: Submissions) -> None:
    store.refused["second"] = DatastoreUnavailable("the database does not answer")
    answers = all_at_once(store, submissions, ["first", "second", "third", "fourth"])
    assert len(store.transactions) == 2
    errors = [answers[name].exception() for name in ("second", "third", "fourth")]
    assert [str(error) for error in errors] == ["the database does not answer"] * 3
    assert len({id(error) for error in errors}) == 3


def test_of_many_the_one_to_blame_is_found(store: Store, submissions: Submissions) -> None:
    store.refused["job 13"] = BadData("the database refused a value")
    names = [f"job {number}" for number in range(33)]
    answers = all_at_once(store, submissions, names)
    assert [name for name, answer in answers.items() if answer.exception() is not None] == ["job 13"]
    assert sorted(store.stored) == sorted(set(names) - {"job 13"})
    assert len(store.transactions) < 16


def test_a_database_that_goes_away_while_the_one_to_blame_is_sought_is_not_asked_again(
    store: Store, submissions: Submissions
) -> None:
    store.refused |= {"bad": BadData("refused"), "unlucky": DatastoreUnavailable("away")}
    answers = all_at_once(store, submissions, ["first", "bad", "b", "unlucky", "d", "e"])
    assert isinstance(answers["unlucky"].exception(), DatastoreUnavailable)
    assert isinstance(answers["e"].exception(), DatastoreUnavailable)
    assert "unlucky" in store.transactions[-1]
    assert len(store.transactions[-1]) > 1


def test_nobody_waits_for_ever_when_the_thread_that_leads_is_ended(store: Store, submissions: Submissions) -> None:
    store.refused["bad"] = SystemExit("the thread is ended")
    answers = all_at_once(store, submissions, ["first", "bad", "third"])
    ends = {name: type(answers[name].exception()) for name in ("bad", "third")}
    assert sorted(end.__name__ for end in ends.values()) == ["SystemExit", "TorkError"]
    assert submissions.submit(a_submission("later"), None).job_id == "id of later"


def test_what_can_not_be_published_is_nobodys_error(
    store: Store, published: list[Handled], caplog: pytest.LogCaptureFixture
) -> None:
    def publish(handled: Handled) -> None:
        if any(job.name == "second" for job in handled.view.jobs.values()):
            raise RuntimeError("it can't be sent")
        published.append(handled)

    submissions = Submissions(cast(Datastore, store), publish, clock=lambda: START, new_id=lambda: "task")
    store.refused["bad"] = BadData("refused")
    answers = all_at_once(store, submissions, ["first", "second", "bad", "fourth"])
    assert [name for name, answer in answers.items() if answer.exception() is not None] == ["bad"]
    assert "goes out later" in caplog.text


def test_whoever_is_answered_waits_for_no_other_transaction_and_no_publishing(store: Store) -> None:
    publishing, go_on = threading.Event(), threading.Event()

    def publish(handled: Handled) -> None:
        publishing.set()
        assert go_on.wait(20)

    submissions = Submissions(cast(Datastore, store), publish, clock=lambda: START, new_id=lambda: "task")
    with ThreadPoolExecutor(3) as threads:
        store.gate.clear()
        leader = threads.submit(submissions.submit, a_submission("leader"), None)
        wait_until(lambda: store.transactions)
        followers = [threads.submit(submissions.submit, a_submission(f"follower {n}"), None) for n in range(2)]
        wait_until(lambda: len(submissions._waiting) == 2)
        store.gate.set()
        assert publishing.wait(20)
        wait_until(lambda: sum(follower.done() for follower in followers) == 1)  # the other one publishes
        assert not leader.done()
        go_on.set()
        assert leader.result().job_id == "id of leader"


def test_a_known_key_is_answered_with_its_job(store: Store, submissions: Submissions, published: list[Handled]) -> None:
    first = submissions.submit(a_submission("first"), a_key("k"))
    again = submissions.submit(a_submission("again"), a_key("k"))
    assert (first.job_id, first.repeated, first.created_at) == ("id of first", False, START)
    assert again == Accepted(job_id="id of first", repeated=True)
    assert store.stored == ["first"]


def test_one_with_a_key_waits_for_nobody(store: Store, submissions: Submissions) -> None:
    store.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        threads.submit(submissions.submit, a_submission("first"), None)
        wait_until(lambda: store.transactions)
        keyed = threads.submit(submissions.submit, a_submission("keyed"), a_key("k"))
        wait_until(lambda: len(store.transactions) == 2)
        store.gate.set()
        assert keyed.result().job_id == "id of keyed"
    assert store.transactions == [["first"], ["keyed"]]


def test_a_job_that_can_not_be_decided_leaves_no_key_behind(store: Store, submissions: Submissions) -> None:
    broken = JobSubmitted(job_id="id of broken", definition=cast(JobDefinition, None), created_by="0")
    with pytest.raises(AttributeError):
        submissions.submit(broken, a_key("k"))
    assert store.keys == {}

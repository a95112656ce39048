"""Jobs that are submitted at the same time: one transaction for them, and nobody pays for what another one did wrong."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

import pytest

from tests.support.builders import START
from tests.support.waiting import wait_until
from tork.errors import BadData, DatastoreUnavailable, IdempotencyConflict
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
        self.conflicts: set[str] = set()
        """Keys that were used for something else."""
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
        if key.key in self.conflicts:
            raise IdempotencyConflict("it was used with another body")
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


def all_at_once(
    store: Store, submissions: Submissions, names: Sequence[str], keys: Mapping[str, IdempotencyKey] | None = None
) -> dict[str, Future[Accepted]]:
    """The first is held up in its transaction until all others wait."""
    keys = keys or {}
    store.gate.clear()
    with ThreadPoolExecutor(len(names)) as threads:
        first = {names[0]: threads.submit(submissions.submit, a_submission(names[0]), None)}
        wait_until(lambda: store.transactions)
        others = {name: threads.submit(submissions.submit, a_submission(name), keys.get(name)) for name in names[1:]}
        wait_until(lambda: len(submissions._waiting) == len(others))
        store.gate.set()
    return first | others


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


def test_after_the_end_of_one_that_leads_others_go_on(store: Store, submissions: Submissions) -> None:
    store.refused["bad"] = SystemExit("the thread is ended")
    answers = all_at_once(store, submissions, ["first", "bad", "third"])
    assert all(isinstance(answers[name].exception(), SystemExit) for name in ("bad", "third"))
    assert submissions.submit(a_submission("later"), None).job_id == "id of later"


def test_a_known_key_is_answered_with_its_job(store: Store, submissions: Submissions, published: list[Handled]) -> None:
    first = submissions.submit(a_submission("first"), a_key("k"))
    again = submissions.submit(a_submission("again"), a_key("k"))
    assert (first.job_id, first.repeated, first.created_at) == ("id of first", False, START)
    assert again == Accepted(job_id="id of first", repeated=True)
    assert store.stored == ["first"]


def test_one_key_of_two_who_wait_makes_one_job(store: Store, submissions: Submissions) -> None:
    keys = {"a": a_key("k"), "b": a_key("k"), "c": a_key("l")}
    answers = all_at_once(store, submissions, ["first", "a", "b", "c"], keys)
    assert sorted(store.stored) in (["a", "c", "first"], ["b", "c", "first"])
    ids = {answers[name].result().job_id for name in ("a", "b")}
    assert len(ids) == 1
    assert sorted(answers[name].result().repeated for name in ("a", "b", "c")) == [False, False, True]
    assert len(store.transactions) == 2


def test_a_key_that_was_used_for_something_else_is_refused_alone(store: Store, submissions: Submissions) -> None:
    store.conflicts.add("k")
    answers = all_at_once(store, submissions, ["first", "bad", "good"], {"bad": a_key("k"), "good": a_key("l")})
    assert isinstance(answers["bad"].exception(), IdempotencyConflict)
    assert answers["good"].result().job_id == "id of good"
    assert sorted(store.stored) == ["first", "good"]
    assert store.keys == {"l": "id of good"}


def test_a_job_that_can_not_be_decided_leaves_no_key_behind(store: Store, submissions: Submissions) -> None:
    broken = JobSubmitted(job_id="id of broken", definition=cast(JobDefinition, None), created_by="0")
    with pytest.raises(AttributeError):
        submissions.submit(broken, a_key("k"))
    assert store.keys == {}

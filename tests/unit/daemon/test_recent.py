"""Asking once for all, and waiting no longer than is bearable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tork.errors import DatastoreUnavailable, Unavailable
from torkd.recent import Recent


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Question:
    """Answers with the number of times it was asked, when it may."""

    def __init__(self) -> None:
        self.times = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.failure: Exception | None = None

    def __call__(self) -> int:
        self.times += 1
        assert self.may_answer.wait(30)
        if self.failure is not None:
            raise self.failure
        return self.times


def recent(question: Callable[[], int], clock: Clock, *, patience: float = 30.0) -> Recent[int]:
    return Recent(question, fresh_seconds=1.0, patience_seconds=patience, clock=clock)


def test_an_answer_serves_all_while_it_is_fresh() -> None:
    clock, question = Clock(), Question()
    latest = recent(question, clock)
    assert [latest.get(), latest.get()] == [1, 1]
    clock.now += 0.9
    assert latest.get() == 1
    clock.now += 0.1
    assert latest.get() == 2


def test_those_who_ask_meanwhile_share_an_answer() -> None:
    clock, question = Clock(), Question()
    question.may_answer.clear()
    latest = recent(question, clock)
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(latest.get) for _ in range(8)]
        question.may_answer.set()
        assert {answer.result(30) for answer in answers} == {1}
    assert question.times == 1


def test_nobody_waits_for_what_hangs_and_it_is_not_asked_again_meanwhile() -> None:
    clock, question = Clock(), Question()
    question.may_answer.clear()
    latest = recent(question, clock, patience=0.05)
    with pytest.raises(Unavailable, match=r"^no answer within 0\.05 s$"):
        latest.get()
    clock.now += 60
    with pytest.raises(Unavailable):
        latest.get()
    assert question.times == 1
    question.may_answer.set()


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (DatastoreUnavailable("it is away"), "it is away"),
        (DatastoreUnavailable(), "DatastoreUnavailable"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
    ids=["ours", "ours without words", "unexpected"],
)
def test_a_failure_is_an_answer_too(failure: Exception, text: str) -> None:
    clock, question = Clock(), Question()
    question.failure = failure
    latest = recent(question, clock)
    for _ in range(2):
        with pytest.raises(Unavailable) as raised:
            latest.get()
        assert str(raised.value) == text
    assert question.times == 1


def test_a_machine_that_had_no_thread_left_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    latest = recent(Question(), Clock(), patience=0.05)

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            latest.get()
    assert latest.get() == 1

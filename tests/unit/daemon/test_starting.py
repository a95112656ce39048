"""A start that has to wait for a server: what is done once, what again, and what is told meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.waiting import wait_until
from tork.errors import BrokerUnavailable, StartError, Unavailable
from torkd import starting
from torkd.starting import Starter


class Step:
    """Fails as often as it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.done = 0

    def __call__(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.done += 1


Begin = Callable[..., Starter]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    monkeypatch.setattr(starting, "FIRST_PAUSE", 0.01)
    starters: list[Starter] = []

    def make(*steps: Callable[[], object]) -> Starter:
        starters.append(Starter(*steps))
        return starters[-1]

    yield make
    for starter in starters:
        starter.stop()


def test_a_start_with_everything_there_is_over_at_once(begin: Begin) -> None:
    first, second = Step(), Step()
    starter = begin(first, second)
    assert starter.start()
    starter.check()
    assert (first.done, second.done) == (1, 1)


def test_a_step_is_tried_again_and_those_before_it_are_not(begin: Begin) -> None:
    first, second, third = Step(), Step(BrokerUnavailable("away"), BrokerUnavailable("away")), Step()
    starter = begin(first, second, third)
    assert not starter.start()
    wait_until(lambda: third.done)
    starter.check()
    assert (first.done, second.done, third.done) == (1, 1, 1)


def test_what_it_waits_for_is_told(begin: Begin) -> None:
    there = threading.Event()

    def wait() -> None:
        if not there.is_set():
            raise BrokerUnavailable("RabbitMQ at rabbit:5672 does not answer")

    starter = begin(wait)
    starter.start()
    with pytest.raises(Unavailable, match="not started yet: RabbitMQ at rabbit:5672 does not answer"):
        starter.check()
    there.set()
    starter.stop()


def test_what_no_waiting_helps_ends_the_start(begin: Begin) -> None:
    with pytest.raises(StartError, match="too new"):
        begin(Step(StartError("the schema is too new"))).start()


@pytest.mark.parametrize("failure", [StartError("the schema is too new"), KeyError("a bug")], ids=["refused", "a bug"])
def test_whatever_goes_wrong_later_ends_no_serving_process(begin: Begin, failure: Exception) -> None:
    step = Step(BrokerUnavailable("away"), failure)
    begin(step).start()
    wait_until(lambda: step.done)


def test_a_stopped_start_goes_no_further(begin: Begin) -> None:
    step = Step(*[BrokerUnavailable("away")] * 1000)
    starter = begin(step)
    starter.start()
    starter.stop()
    left = len(step.failures)
    assert not starter.start()
    assert (len(step.failures), step.done) == (left, 0)

"""A runtime that is made when it is needed, once, and again only when that failed."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.runs import RecordedRun
from tork.errors import RuntimeFailure
from tork.task import TaskDefinition
from torkd.runtime.lazy import LazyRuntime
from torkd.runtime.protocol import TaskRun


class Made:
    """What is made."""

    closed = 0

    def run(self, run: TaskRun) -> str:
        return run.run_id

    def resumable(self) -> Collection[str]:
        return {"r1"}

    def check_health(self) -> None:
        """It is well."""

    def close(self) -> None:
        self.closed += 1


class Maker:
    """Makes it, and fails first as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.calls, self.made = failures, 0, Made()

    def __call__(self) -> Made:
        self.calls += 1
        if self.calls <= self.failures:
            raise RuntimeFailure("no engine")
        return self.made


def test_nothing_is_made_before_it_is_needed_not_even_for_runs_of_before() -> None:
    maker = Maker()
    lazy = LazyRuntime(maker, is_wanted=lambda: False)
    assert set(lazy.resumable()) == set()
    lazy.close()
    assert maker.calls == 0


def test_runs_of_before_are_asked_for_when_there_may_be_any() -> None:
    assert set(LazyRuntime(Maker(), is_wanted=lambda: True).resumable()) == {"r1"}


def test_it_is_made_once_for_many_threads() -> None:
    maker = Maker()
    lazy = LazyRuntime(maker, is_wanted=lambda: False)
    run = RecordedRun(TaskDefinition(image="bb")).run
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: lazy.run(run), range(50))) == {"r1"}
    assert maker.calls == 1


def test_a_failure_is_tried_again_by_the_next() -> None:
    maker = Maker(failures=1)
    lazy = LazyRuntime(maker, is_wanted=lambda: False)
    with pytest.raises(RuntimeFailure, match="no engine"):
        lazy.check_health()
    lazy.check_health()
    lazy.check_health()
    assert maker.calls == 2


def test_what_was_made_is_closed() -> None:
    maker = Maker()
    lazy = LazyRuntime(maker, is_wanted=lambda: False)
    lazy.check_health()
    lazy.close()
    assert maker.made.closed == 1

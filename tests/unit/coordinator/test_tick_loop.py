"""The loop of schedules looks when the database says that one is due, and survives whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tests.support.waiting import wait_until
from tork.errors import DatastoreUnavailable, StateConflict
from torkd.coordinator import tick_loop
from torkd.coordinator.tick_loop import AGAIN_SECONDS, CLEAR_EVERY, LOOK_SECONDS, TickLoop
from torkd.coordinator.ticks import Fired
from torkd.datastore.protocol import Datastore
from torkd.datastore.scheduling import Cleared, Instance


class Schedules:
    """What a loop asks of a datastore about schedules."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.cleared: list[Cleared] = []
        self.clearings = 0

    def seconds_to_next_tick(self) -> float | None:
        return self.seconds

    def clear_schedules(self, *, limit: int) -> Cleared:
        self.clearings += 1
        return self.cleared.pop(0) if self.cleared else Cleared()


class Play:
    """A loop, and what it did. `answers` are what looking comes to, one after the other; then nothing is due."""

    def __init__(self) -> None:
        self.schedules = Schedules()
        self.answers: list[Fired | Exception] = []
        self.looks: list[dict[str, Any]] = []
        self.published: list[object] = []
        self.cancelled: list[str] = []
        self.tidied = 0
        self.loop = TickLoop(
            cast(Datastore, self.schedules),
            new_id=lambda: "id",
            publish=self.published.append,
            cancel=self._cancel,
            tidy_soon=self._tidy,
        )

    def fire_due(self, datastore: Datastore, *, new_id: Callable[[], str], **options: Any) -> Fired:
        self.looks.append(options)
        answer = self.answers.pop(0) if self.answers else Fired()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)
        if job_id == "ended":
            raise StateConflict("job is not running")
        if job_id == "broken":
            raise RuntimeError("a fault of ours")

    def _tidy(self) -> None:
        self.tidied += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.loop.run)
        thread.start()
        try:
            yield
        finally:
            self.loop.stop()
            thread.join(timeout=20)
            assert not thread.is_alive()


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    play = Play()
    monkeypatch.setattr(tick_loop, "fire_due", play.fire_due)
    return play


@pytest.mark.parametrize(
    ("seconds", "pause"),
    [(None, LOOK_SECONDS), (3600.0, LOOK_SECONDS), (1.5, 1.502), (0.0, AGAIN_SECONDS), (-100.0, AGAIN_SECONDS)],
    ids=["nothing", "later", "soon", "now", "somebody-else-is-at-it"],
)
def test_it_waits_until_something_is_due(play: Play, seconds: float | None, pause: float) -> None:
    play.schedules.seconds = seconds
    assert play.loop.round() == pause


def test_it_looks_again_at_once_when_there_were_more_than_it_takes_at_once(play: Play) -> None:
    play.answers = [Fired(looked_at=["s"] * tick_loop.LIMIT)]
    play.schedules.seconds = 1000.0
    assert play.loop.round() == AGAIN_SECONDS
    assert play.loop.round() == LOOK_SECONDS


def test_it_looks_when_it_is_told_to(play: Play) -> None:
    with play.running():
        wait_until(lambda: len(play.looks) == 1)
        play.loop.look()
        wait_until(lambda: len(play.looks) == 2)


def test_it_goes_on_after_any_failure(play: Play) -> None:
    play.answers = [DatastoreUnavailable("away"), RuntimeError("a fault of ours")]
    with play.running():
        for looks in (1, 2, 3):
            wait_until(lambda looks=looks: len(play.looks) == looks)  # type: ignore[misc] # mypy infers no lambda with a default
            play.loop.look()


def test_a_job_that_was_locked_too_often_is_waited_for(play: Play) -> None:
    play.answers = [Fired(looked_at=["busy"], skipped={"busy"}) for _ in range(tick_loop.MAX_SKIPS)]
    for _ in range(tick_loop.MAX_SKIPS):
        play.loop.round()
    assert play.looks[-1] == {"limit": 1, "only": ["busy"], "wait": tick_loop.WAIT_SECONDS}
    assert [look["wait"] for look in play.looks[:-1]] == [0.0] * tick_loop.MAX_SKIPS


def test_jobs_of_deleted_schedules_are_cancelled_and_removed_soon(play: Play) -> None:
    instances = [Instance(job_id=job_id, root_id=job_id) for job_id in ("ended", "broken", "active")]
    play.schedules.cleared = [Cleared(instances=instances), Cleared(remaining=1)]
    play.loop.round()
    assert (play.cancelled, play.tidied, play.schedules.clearings) == (["ended", "broken", "active"], 1, 2)
    play.loop.round()
    assert (play.schedules.clearings, play.tidied) == (2, 1), f"not again within {CLEAR_EVERY} s"


def test_what_is_to_be_cleared_is_cleared_without_a_pause(play: Play) -> None:
    """Else more ticks than `CLEAR_CHUNK` in `CLEAR_EVERY` would be kept for good."""
    play.schedules.cleared = [Cleared(more=True), Cleared(more=True, remaining=1), Cleared()]
    assert [play.loop.round() for _ in range(3)] == [AGAIN_SECONDS, AGAIN_SECONDS, LOOK_SECONDS]
    assert play.schedules.clearings == 3

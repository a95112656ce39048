"""Removing what may be in use for a moment longer."""

from __future__ import annotations

import logging

import pytest

from torkd.runtime.containers.engine import EngineError, EngineUnavailable, ResourceBusy
from torkd.runtime.containers.removal import remove_patiently


class Removal:
    """Fails as often as it was told, and knows how long it was waited in between."""

    def __init__(self, failures: int, error: EngineError, *, seconds: float = 0.0) -> None:
        self.failures, self.error, self.seconds = failures, error, seconds
        self.tries = 0
        self.pauses: list[float] = []
        self.now = 0.0

    def __call__(self) -> None:
        self.tries += 1
        self.now += self.seconds
        if self.tries <= self.failures:
            raise self.error

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def carry_out(self) -> bool:
        return remove_patiently("volume v", self, pause=self.pause, clock=lambda: self.now)


def test_what_can_be_removed_is_removed_at_once() -> None:
    removal = Removal(0, ResourceBusy("in use"))
    assert removal.carry_out()
    assert (removal.tries, removal.pauses) == (1, [])


@pytest.mark.parametrize("error", [ResourceBusy("in use"), EngineUnavailable("away")], ids=["busy", "away"])
def test_a_failed_removal_is_tried_again_after_pauses_that_double(error: EngineError) -> None:
    removal = Removal(4, error)
    assert removal.carry_out()
    assert (removal.tries, removal.pauses) == (5, [0.2, 0.4, 0.8, 1.6])


def test_what_stays_in_use_is_left_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    removal = Removal(100, ResourceBusy("in use by c"))
    with caplog.at_level(logging.WARNING):
        assert not removal.carry_out()
    assert removal.tries == 5
    assert caplog.messages == ["volume v could not be removed and is left to the reaper: in use by c"]


def test_an_engine_that_takes_long_is_not_asked_for_ever() -> None:
    removal = Removal(100, EngineUnavailable("timed out"), seconds=4.0)
    assert not removal.carry_out()
    assert removal.tries == 3

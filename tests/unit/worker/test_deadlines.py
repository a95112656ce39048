from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_until
from torkd.worker.deadlines import Deadlines


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    made = Deadlines()
    made.start()
    yield made
    made.close()


def test_what_is_due_is_called_in_time_even_when_something_later_was_added_first(deadlines: Deadlines) -> None:
    called: list[str] = []
    deadlines.add(300, lambda: called.append("later"))
    deadlines.add(0.01, lambda: called.append("soon"))
    wait_until(lambda: called == ["soon"])


def test_what_was_cancelled_is_not_called(deadlines: Deadlines) -> None:
    called: list[str] = []
    deadlines.cancel(deadlines.add(0.02, lambda: called.append("cancelled")))
    deadlines.add(0.05, lambda: called.append("other"))
    wait_until(lambda: called)
    assert called == ["other"]


def test_a_callback_that_fails_does_not_stop_the_others(deadlines: Deadlines, caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []

    def fail() -> None:
        raise ValueError("no")

    deadlines.add(0, fail)
    deadlines.add(0.01, lambda: called.append("called"))
    wait_until(lambda: called)
    assert "ValueError" in caplog.text

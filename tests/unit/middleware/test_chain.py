"""Calling what operators registered, whatever it does."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tork.errors import Refused
from torkd.middleware import Chain, LogMiddleware


class Adds(LogMiddleware):
    """Appends a word; or raises, or returns what it should not."""

    def __init__(self, word: str, *, error: Exception | None = None, instead: Any = None) -> None:
        self.word, self.error, self.instead = word, error, instead

    def printed(self, text: str) -> str:
        if self.error is not None:
            raise self.error
        return text + self.word if self.instead is None else self.instead


class SeesNothing(LogMiddleware):
    """Overrides the other method."""

    def shown(self, part: dict[str, Any]) -> dict[str, Any]:
        return part


class OfNoClass:
    """Needs no base class of ours."""

    def printed(self, text: str) -> str:
        return text.upper()


def chain(*middleware: object, **options: Any) -> Chain:
    return Chain(middleware, "printed", LogMiddleware, **options)


def test_each_gets_what_the_one_registered_before_it_has_made() -> None:
    assert chain(Adds("1"), OfNoClass(), Adds("b")).change("a") == "A1b"


def test_what_is_not_overridden_is_not_there() -> None:
    assert not chain(SeesNothing(), SeesNothing())
    assert not chain()
    assert chain(SeesNothing(), OfNoClass())


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Adds("", error=ValueError("no")), "no"),
        (Adds("", error=Refused("not mine to refuse")), "not mine to refuse"),
        (Adds("", instead=7), "it returned int (right would be str)"),
    ],
    ids=["raises", "refuses where it may not", "returns something else"],
)
def test_one_that_fails_is_named_and_passed_over(broken: Adds, told: str, caplog: pytest.LogCaptureFixture) -> None:
    assert chain(Adds("1"), broken, Adds("2")).change("a") == "a12"
    assert [record.getMessage() for record in caplog.records] == [f"the middleware Adds failed in printed: {told}"]


def test_a_failure_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    failing = chain(Adds("", error=ValueError("no")), clock=lambda: now[0])
    with caplog.at_level(logging.ERROR):
        for moment in (0.0, 1.0, 59.0, 60.0, 61.0):
            now[0] = moment
            failing.change("a")
    assert len(caplog.records) == 2


def test_a_refusal_goes_through_where_it_may() -> None:
    with pytest.raises(Refused, match=r"^not today$"):
        chain(Adds("", error=Refused("not today"))).change("a", may_refuse=True)


def test_where_it_must_work_a_failure_is_a_refusal_that_names_it() -> None:
    with pytest.raises(Refused, match=r"^Adds\.printed failed: no$"):
        chain(Adds("", error=ValueError("no"))).change("a", may_refuse=True, must_work=True)


def test_all_are_told_though_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    class Hears(LogMiddleware):
        def printed(self, text: str) -> str:
            heard.append(text)
            return text

    chain(Adds("", error=ValueError("no")), Hears()).tell("a")
    assert heard == ["a"]
    assert "the middleware Adds failed in printed: no" in caplog.text

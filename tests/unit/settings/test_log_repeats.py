"""What an outage leaves in the log."""

from __future__ import annotations

import logging

import pytest

from tork.errors import BrokerUnavailable, DatastoreUnavailable
from torkd.log_repeats import Repeats


def record(
    message: str, *args: object, at: float, name: str = "torkd.loop", level: int = logging.WARNING
) -> logging.LogRecord:
    made = logging.LogRecord(name, level, "", 0, message, args, None)
    made.created = at
    return made


AWAY = DatastoreUnavailable("it is away")


def test_an_outage_is_told_at_first_and_once_a_minute() -> None:
    repeats = Repeats()
    lines = [record("%s; trying again in %.1f s", AWAY, float(second), at=float(second)) for second in range(121)]
    told = [line for line in lines if repeats.filter(line)]
    assert [line.created for line in told] == [0.0, 60.0, 120.0]
    assert [getattr(line, "repeated", 0) for line in told] == [0, 59, 59]


@pytest.mark.parametrize(
    "other",
    [
        record("%s; stored later", AWAY, at=1.0),
        record("%s; trying again", AWAY, at=1.0, name="torkd.other"),
        record("%s; trying again", BrokerUnavailable("it is away"), at=1.0),
        record("%s; trying again", AWAY, at=1.0, level=logging.ERROR),
        record("%s; trying again", "a text", at=1.0),
        record("no arguments", at=1.0),
    ],
    ids=["other words", "other place", "other server", "error", "no outage", "plain"],
)
def test_what_is_not_the_same_is_told(other: logging.LogRecord) -> None:
    repeats = Repeats()
    assert repeats.filter(record("%s; trying again", AWAY, at=0.0))
    assert repeats.filter(other)


def test_everybody_says_once_what_an_outage_means_and_then_one_speaks_for_all() -> None:
    repeats = Repeats()
    lines = [
        record(f"%s; place {place} waits", AWAY, at=float(second), name=f"torkd.{place}")
        for second in range(181)
        for place in range(8)
    ]
    told = [line for line in lines if repeats.filter(line)]
    assert [line.created for line in told] == [0.0] * 8 + [60.0, 120.0, 180.0]
    assert [getattr(line, "repeated", 0) for line in told[8:]] == [59 * 8, 60 * 8 - 1, 60 * 8 - 1]


def test_another_outage_is_told_again() -> None:
    repeats = Repeats()
    assert repeats.filter(record("%s; trying again", AWAY, at=0.0))
    assert not repeats.filter(record("%s; trying again", AWAY, at=5.0))
    again = record("%s; trying again", AWAY, at=40.0)
    assert repeats.filter(again)
    assert not hasattr(again, "repeated")


def test_the_pool_leaves_it_to_those_who_want_a_connection() -> None:
    repeats = Repeats()
    words = ("error connecting in %r: %s", "pool-1", "refused")
    assert not repeats.filter(record(*words, at=0.0, name="psycopg.pool"))
    assert repeats.filter(record(*words, at=0.0, name="psycopg.pool", level=logging.ERROR))


def test_a_collector_that_is_away_is_told_once_a_minute() -> None:
    repeats = Repeats()
    levels = [logging.WARNING, logging.ERROR] * 15
    lines = [
        record(f"try {n}: %s", "refused", at=float(n), name="opentelemetry.exporter.otlp", level=level)
        for n, level in enumerate(levels)
    ]
    assert sum(repeats.filter(line) for line in lines) == 1

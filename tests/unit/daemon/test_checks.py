"""What is told of a part that does not work, and how often."""

from __future__ import annotations

import threading

import pytest

from tork.errors import BrokerUnavailable
from torkd.checks import Checks, without_credentials


class Part:
    def __init__(self) -> None:
        self.trouble: Exception | None = None

    def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble


def test_every_part_is_told_with_what_is_wrong() -> None:
    broken = Part()
    broken.trouble = BrokerUnavailable("nobody listens")
    checks = Checks({"datastore": Part().check, "broker": broken.check})
    assert checks.look() == {"datastore": "", "broker": "nobody listens"}


def test_a_part_that_hangs_is_down_and_the_others_are_told() -> None:
    going = threading.Event()
    checks = Checks({"broker": Part().check, "runtime": lambda: going.wait(30)}, patience_seconds=0.2)
    assert checks.look() == {"runtime": "no answer within 0.2 s", "broker": ""}
    going.set()


def test_the_log_tells_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    part = Part()
    checks = Checks({"broker": part.check}, fresh_seconds=0.0)
    checks.look()
    part.trouble = BrokerUnavailable("nobody listens")
    with caplog.at_level("INFO"):
        for _ in range(3):
            checks.look()
        part.trouble = None
        for _ in range(3):
            checks.look()
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [("WARNING", "health: broker is down: nobody listens"), ("INFO", "health: broker is up again")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("can't reach amqp://ann:pa:ss@host:5672/x", "can't reach amqp://host:5672/x"),
        ("can't reach amqp://ann:p@ss@host:5672/x", "can't reach amqp://host:5672/x"),
        ("bad dsn: host=h password=geheim dbname=d", "bad dsn: host=h password=*** dbname=d"),
        ("bad dsn: password = 'with a space' host=h", "bad dsn: password = *** host=h"),
        ('password authentication failed for user "tork"', 'password authentication failed for user "tork"'),
        ("first line\nsecond line", "first line"),
        ("x" * 1000, "x" * 500),
    ],
    ids=["url", "url with @", "dsn", "quoted", "words", "lines", "long"],
)
def test_no_credentials_are_shown(text: str, shown: str) -> None:
    assert without_credentials(text) == shown

"""Claims that wait a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.support.waiting import wait_until
from tests.support.workers import UnreliableBroker
from torkd.broker.messages import RunClaimed
from torkd.broker.queues import TASK_EVENT_QUEUES
from torkd.worker.claims import Claims

Make = Callable[[float], Claims]


class Listener:
    """An in-memory broker, and the runs whose claims it got."""

    def __init__(self) -> None:
        self.broker = UnreliableBroker()
        self.broker.open()
        self._reader = self.broker.consume_events(TASK_EVENT_QUEUES)
        self._heard: list[str] = []

    def runs(self) -> list[str]:
        """All that were claimed until now."""
        for delivery in self._reader.receive(100, 0.0):
            assert isinstance(delivery.message, RunClaimed)
            self._heard.append(delivery.message.run_id)
        return self._heard


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def make(listener: Listener) -> Iterator[Make]:
    made: list[Claims] = []

    def make_claims(delay_seconds: float) -> Claims:
        claims = Claims(listener.broker, delay_seconds)
        claims.start()
        made.append(claims)
        return claims

    yield make_claims
    for claims in made:
        claims.close()


def a_claim(run_id: str) -> RunClaimed:
    return RunClaimed(
        task_id="t1",
        job_id="j1",
        root_id="j1",
        dispatch=1,
        run_id=run_id,
        node_id="n1",
        lease_id="l1",
        started_at=datetime.now(UTC),
    )


def test_claims_are_sent_by_themselves_each_once(make: Make, listener: Listener) -> None:
    claims = make(0.001)
    for number in range(5):
        claims.add(a_claim(f"r{number}"))
    wait_until(lambda: len(listener.runs()) == 5)
    claims.add(a_claim("after a pause"))
    wait_until(lambda: len(listener.runs()) == 6)
    assert listener.runs() == ["r0", "r1", "r2", "r3", "r4", "after a pause"]


def test_a_claim_that_is_dropped_is_not_sent_and_holds_up_no_other(make: Make, listener: Listener) -> None:
    claims = make(0.2)
    claims.add(a_claim("short"))
    claims.add(a_claim("long"))
    claims.drop("short")
    claims.drop("unknown")
    wait_until(listener.runs)
    assert listener.runs() == ["long"]


def test_a_claim_that_is_needed_is_sent_at_once_and_only_once(make: Make, listener: Listener) -> None:
    claims = make(60.0)
    claims.add(a_claim("r1"))
    claims.hurry("r1")
    claims.hurry("r1")
    assert listener.runs() == ["r1"]


def test_claims_go_on_after_a_broker_that_was_away(
    make: Make, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    claims = make(0.0)
    listener.broker.is_away = True
    claims.add(a_claim("lost"))
    wait_until(lambda: "claims could not be sent" in caplog.text)
    listener.broker.is_away = False
    claims.add(a_claim("sent"))
    wait_until(listener.runs)
    assert listener.runs() == ["sent"]


def test_closing_does_not_wait_for_claims_that_are_not_due(make: Make, listener: Listener) -> None:
    claims = make(60.0)
    claims.add(a_claim("r1"))
    claims.close()
    assert listener.runs() == []

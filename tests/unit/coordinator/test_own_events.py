from __future__ import annotations

from torkd.coordinator.own_events import OwnEvents
from torkd.engine.events import ChildrenDue, RetryDue

RETRY = RetryDue(task_id="t", job_id="j", root_id="j")
CHILDREN = ChildrenDue(task_id="t", job_id="j", root_id="j")


def test_events_come_in_the_order_of_their_finding_and_no_more_than_asked_for() -> None:
    own = OwnEvents()
    own.add([RETRY, CHILDREN])
    assert own.take(1) == [RETRY]
    assert own.take(5) == [CHILDREN]
    assert own.take(5) == []


def test_an_event_that_is_found_again_waits_once() -> None:
    own = OwnEvents()
    own.add([RETRY, RETRY])
    own.add([RETRY])
    assert own.take(5) == [RETRY]
    own.add([RETRY])
    assert own.take(5) == [RETRY], "it was taken, so it may be due again"


def test_cleared_events_are_gone() -> None:
    own = OwnEvents()
    own.add([RETRY])
    own.clear()
    assert own.take(5) == []

"""When files are due, and how long a server that is away is left alone."""

from __future__ import annotations

import pytest

from torkctl.inbox.identity import Writing, key_of
from torkctl.inbox.outage import Outage
from torkctl.inbox.tracker import Signature, Tracker, delay_seconds


def a_signature(mtime_ns: int = 1) -> Signature:
    return Signature(inode=1, size=10, mtime_ns=mtime_ns, ctime_ns=mtime_ns)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(settle_seconds=1.0)


def test_a_file_is_due_when_it_has_not_changed_for_a_while(tracker: Tracker) -> None:
    tracker.saw("a", a_signature(1), now=0.0)
    tracker.saw("a", a_signature(2), now=0.9)
    tracker.saw("a", a_signature(2), now=1.5)
    assert tracker.due(1.8) == []
    assert tracker.due(1.9) == ["a"]
    assert tracker.next_due_at() == 1.9


def test_a_file_that_is_done_is_due_again_only_when_it_changes(tracker: Tracker) -> None:
    tracker.saw("a", a_signature(1), now=0.0)
    tracker.done("a", a_signature(1), key="k")
    tracker.scanned({"a": a_signature(1)}, now=5.0)
    assert tracker.due(10.0) == []
    assert list(tracker.keys()) == ["k"]
    tracker.scanned({"a": a_signature(2)}, now=10.0)
    assert tracker.due(11.0) == ["a"]


def test_a_file_that_changed_while_it_was_handled_is_due_again(tracker: Tracker) -> None:
    tracker.saw("a", a_signature(1), now=0.0)
    tracker.saw("a", a_signature(2), now=1.0)
    tracker.done("a", a_signature(1))
    tracker.saw("a", a_signature(2), now=1.1)
    assert tracker.due(2.2) == ["a"]


def test_the_one_that_waits_longest_comes_first(tracker: Tracker) -> None:
    for now, name in enumerate("cab"):
        tracker.saw(name, a_signature(), now=float(now))
    assert tracker.due(10.0) == ["c", "a", "b"]


def test_a_file_that_is_gone_is_forgotten_and_new_when_it_comes_back(tracker: Tracker) -> None:
    tracker.saw("a", a_signature(), now=0.0)
    tracker.done("a", a_signature())
    tracker.scanned({}, now=1.0)
    tracker.saw("a", a_signature(), now=2.0)
    assert tracker.due(3.0) == ["a"]


def test_new_names_do_not_count_once_that_is_said(tracker: Tracker) -> None:
    tracker.saw("a", a_signature(1), now=0.0)
    tracker.takes_new = False
    tracker.saw("b", a_signature(1), now=0.0)
    tracker.saw("a", a_signature(2), now=0.5)
    assert tracker.due(9.0) == ["a"]


def test_pauses_grow_up_to_a_minute_and_end_when_the_file_changes(tracker: Tracker) -> None:
    tracker.saw("a", a_signature(1), now=0.0)
    for _ in range(20):
        tracker.failed("a", now=100.0)
    assert tracker.next_due_at() == 160.0
    tracker.saw("a", a_signature(2), now=101.0)
    assert tracker.next_due_at() == 102.0
    assert [delay_seconds(failures) for failures in (0, 1, 2, 10_000)] == [0.5, 1.0, 2.0, 60.0]


def test_an_outage_begins_and_ends_once_and_pauses_grow() -> None:
    outage = Outage()
    assert outage.failed(0.0, None)
    assert not outage.failed(1.0, None)
    assert outage.retry_at == 2.0
    assert outage.is_on(1.9)
    assert outage.wants_a_try(2.0)
    assert not outage.failed(2.0, 30.0), "the server asked for half a minute"
    assert outage.retry_at == 32.0
    assert not outage.is_hopeless(10_000.0), "without a limit"
    assert outage.answered()
    assert not outage.answered()
    assert not outage.is_on(3.0)


def test_an_outage_is_hopeless_after_the_time_given_without_any_answer() -> None:
    outage = Outage(give_up_seconds=5.0)
    outage.failed(0.0, None)
    outage.answered()
    outage.failed(3.0, None)
    assert not outage.is_hopeless(7.9)
    assert outage.is_hopeless(8.1)


def test_the_content_alone_decides_and_with_reruns_the_name_and_time_too() -> None:
    first, later, other = (
        Writing(name="a.yaml", mtime_ns=1),
        Writing(name="a.yaml", mtime_ns=2),
        Writing(name="\udcff", mtime_ns=1),
    )
    assert key_of(b"x") == key_of(b"x") != key_of(b"y")
    assert len({key_of(b"x"), key_of(b"x", first), key_of(b"x", later), key_of(b"x", other)}) == 4
    assert key_of(b"x", first) == key_of(b"x", Writing(name="a.yaml", mtime_ns=1))
    assert len(key_of(b"x", Writing(name="a" * 5000, mtime_ns=-(2**62)))) < 100

"""Storing what tasks print: everything once, in the order of commits, and never a reason to lose the rest."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.datastore_play import DatastorePlay
from tests.support.messages import A_TIME
from torkd.broker.messages import LogPrinted

PARTS = "SELECT * FROM task_log_parts ORDER BY seq"


def part(contents: str = "line\n", *, number: int = 1, **fields: Any) -> LogPrinted:
    ids: dict[str, Any] = {"task_id": "t1", "job_id": "j1", "run_id": "r1", "dispatch": 1} | fields
    return LogPrinted(number=number, contents=contents, printed_at=A_TIME, **ids)


def contents(play: DatastorePlay) -> list[str]:
    return [row["contents"] for row in play.rows(PARTS)]


def test_a_part_that_comes_twice_is_stored_once(play: DatastorePlay) -> None:
    play.datastore.add_log_parts([part("first"), part("first")])
    play.datastore.add_log_parts([part("again"), part("second", number=2)])
    assert contents(play) == ["first", "second"]


def test_parts_of_two_runs_with_the_same_numbers_are_both_kept(play: DatastorePlay) -> None:
    play.datastore.add_log_parts([part("of the first"), part("of the second", run_id="r2", dispatch=2)])
    assert contents(play) == ["of the first", "of the second"]


@pytest.mark.parametrize(
    ("printed", "stored"),
    [
        pytest.param("a\0b", "a\ufffdb", id="NUL"),
        pytest.param("a\ud800b", "a?b", id="half of a surrogate pair"),
        pytest.param("\u20ac\U0001f600\n", "\u20ac\U0001f600\n", id="anything else"),
    ],
)
def test_what_no_database_can_hold_costs_a_character_and_not_the_part(
    play: DatastorePlay, printed: str, stored: str
) -> None:
    play.datastore.add_log_parts([part(printed)])
    assert contents(play) == [stored]


def test_a_part_with_more_words_than_a_search_index_takes_is_stored(play: DatastorePlay) -> None:
    long = " ".join(f"word{number}" for number in range(300_000))
    play.datastore.add_log_parts([part(long)])
    assert contents(play) == [long]


def test_a_part_that_is_refused_costs_none_of_the_others(play: DatastorePlay) -> None:
    refused = part(task_id="t\0", number=2)
    play.datastore.add_log_parts([part("before"), refused, part("after", number=3)])
    assert contents(play) == ["before", "after"]


def test_a_part_that_the_database_refuses_leaves_a_notice_in_its_place(play: DatastorePlay) -> None:
    play.change("ALTER TABLE task_log_parts ADD CHECK (contents <> 'refused')")
    play.datastore.add_log_parts([part("refused"), part("after", number=2)])
    assert len(contents(play)) == 2
    assert contents(play)[0].startswith("[this part of the log could not be stored: ")


def test_whoever_reads_after_a_place_misses_no_part_of_a_slower_writer(play: DatastorePlay) -> None:
    """Numbers are given in the order of commits, so a part with a smaller one never turns up later."""
    stop = threading.Event()
    seen: list[int] = []

    def write(run: str) -> None:
        for number in range(1, 41):
            play.datastore.add_log_parts([part(number=number, run_id=run)])

    def read() -> None:
        while not stop.is_set() or len(seen) < 120:
            seen.extend(
                position.seq
                for position in play.datastore.log_after(job_id="j1", seq=seen[-1] if seen else 0, limit=1000)
            )

    writers = [threading.Thread(target=write, args=[run]) for run in ("r1", "r2", "r3")]
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=30)
    stop.set()
    reader.join(timeout=30)
    assert seen == [row["seq"] for row in play.rows(PARTS)]

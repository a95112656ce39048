from __future__ import annotations

from typing import Any

import msgspec
import psycopg
import pytest

from tests.support.stored_rows import NOON, StoredRows
from tork.errors import NotFound
from tork.node import NodeStatus
from torkd.datastore.postgres.reading import PostgresReading
from torkd.datastore.protocol import LogState

pytestmark = pytest.mark.postgres


def test_an_execution_in_parts_is_the_same_as_in_one_piece(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1")
    for number in range(25):
        stored.task(f"t{number}", "j1", position=number % 7)
    parts = list(reading.execution_in_parts("j1", size=10))
    assert [len(part) for part in parts] == [10, 10, 5]
    assert [task for part in parts for task in part] == reading.get_job("j1").execution
    assert list(reading.execution_in_parts("nope", size=10)) == []


def test_a_part_tells_of_its_tasks_as_they_are_then_and_leaves_out_none_that_went_on(
    reading: PostgresReading, stored: StoredRows, connection: psycopg.Connection[Any]
) -> None:
    stored.job("j1")
    for number in range(4):
        stored.task(f"t{number}", "j1")
    parts = reading.execution_in_parts("j1", size=2)
    first = next(parts)
    connection.execute("UPDATE tasks SET started_at = %s, node_id = 'n1' WHERE id = 't3'", [NOON])
    second = next(parts)
    assert second[1].node_id == "n1"
    assert [task.id for part in (first, second, *parts) for task in part] == ["t0", "t1", "t2", "t3"]


def test_a_task_is_its_spec_with_what_became_of_it(reading: PostgresReading, stored: StoredRows) -> None:
    stored.task(
        "t1",
        "j1",
        spec='{"name":"one","run":"true","queue":"q","retry":{"limit":3},"newField":1,"subjob":{"name":"s","tasks":[]}}',
        name="one",
        queue="slow",
        attempts=1,
        started_at=NOON,
        node_id="n1",
        error="e",
        subjob_id="j2",
    )
    assert msgspec.to_builtins(reading.get_task("t1")) == {
        "id": "t1",
        "jobId": "j1",
        "position": 1,
        "name": "one",
        "run": "true",
        "state": "RUNNING",
        "queue": "slow",
        "createdAt": "2026-01-02T12:00:00.123400Z",
        "startedAt": "2026-01-02T12:00:00.123400Z",
        "retry": {"limit": 3, "attempts": 1},
        "nodeId": "n1",
        "error": "e",
        "subjob": {"id": "j2", "name": "s"},
    }


def test_composites_tell_how_far_they_are(reading: PostgresReading, stored: StoredRows) -> None:
    each = '{"name":"e","each":{"list":"{{ x }}","task":{"run":"true"}}}'
    stored.task("e", "j1", kind="each", size=5, created=3, completions=2, spec=each)
    stored.task("p", "j1", kind="parallel", completions=1, spec='{"name":"p","parallel":{"tasks":[{"run":"x"}]}}')
    assert msgspec.to_builtins(reading.get_task("e"))["each"] == {
        "list": "{{ x }}",
        "task": {"run": "true"},
        "size": 5,
        "completions": 2,
        "index": 3,
    }
    assert msgspec.to_builtins(reading.get_task("p"))["parallel"] == {"tasks": [{"run": "x"}], "completions": 1}


def test_an_unknown_task_is_not_found(reading: PostgresReading) -> None:
    for ask in (reading.get_task, reading.get_task_summary):
        with pytest.raises(NotFound, match=r"^task not found$"):
            ask("no\0pe")


def test_a_job_log_starts_with_the_newest_part_of_the_last_task(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1")
    stored.task("t1", "j1", position=1)
    stored.task("t2", "j1", position=2)
    stored.part("t1", "j1", 1, "one")
    stored.part("t2", "j1", 1, "three")
    stored.part("t1", "j1", 2, "two")
    page = reading.job_log("j1", text="", page=1, size=2)
    assert [part.contents for part in page.items] == ["three", "two"]
    assert (page.total_items, page.total_pages) == (3, 2)
    assert (page.items[1].run, page.items[1].number) == ("r1", 2)
    assert len({part.id for part in page.items} | {page.items[0].id}) == 2
    assert all(len(part.id) == 32 for part in page.items)


def test_a_task_log_keeps_runs_apart(reading: PostgresReading, stored: StoredRows) -> None:
    stored.task("t1", "j1")
    stored.part("t1", "j1", 1, "first run 1")
    stored.part("t1", "j1", 1, "second run 1", run="r2", dispatch=2)
    stored.part("t1", "j1", 2, "first run 2")
    contents = [part.contents for part in reading.task_log("t1", text="", page=1, size=9).items]
    assert contents == ["second run 1", "first run 2", "first run 1"]


def test_a_searched_log_counts_what_matches(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1")
    stored.task("t1", "j1")
    for number, contents in enumerate(["warming up", "an error happened", "errors again", "x" * 3_000_000], start=1):
        stored.part("t1", "j1", number, contents)
    for page in (
        reading.job_log("j1", text="error", page=1, size=1),
        reading.task_log("t1", text="tag:no ERRORS", page=1, size=1),
    ):
        assert [part.contents for part in page.items] == ["errors again"]
        assert (page.total_items, page.total_pages) == (2, 2)
    assert reading.job_log("j1", text="the", page=1, size=5).items == []


def test_a_log_of_nothing_is_empty_but_an_unknown_one_is_not_found(
    reading: PostgresReading, stored: StoredRows
) -> None:
    stored.job("j1")
    stored.task("t1", "j1")
    assert (
        reading.job_log("j1", text="", page=1, size=5).total_items,
        reading.task_log("t1", text="x", page=1, size=5).total_pages,
    ) == (0, 0)
    with pytest.raises(NotFound, match="job not found"):
        reading.job_log("j2", text="", page=1, size=5)
    with pytest.raises(NotFound, match="task not found"):
        reading.task_log("t2", text="x", page=1, size=5)


def test_a_log_is_followed_from_a_place(reading: PostgresReading, stored: StoredRows) -> None:
    for number in (1, 2, 3):
        stored.part("t1", "j1", number, str(number))
    stored.part("t2", "j1", 1, "other", run="r2")
    start = reading.log_place("r1", 1, job_id="j1")
    assert start > 0
    assert [p.part.contents for p in reading.log_after(job_id="j1", seq=start, limit=10)] == ["2", "3", "other"]
    assert [p.part.contents for p in reading.log_after(task_id="t1", seq=start, limit=1)] == ["2"]
    assert reading.log_place("r2", 1, task_id="t1") == 0
    assert reading.log_after(task_id="t1", seq=0, limit=1)[0].job_id == "j1"


def test_a_log_is_complete_when_all_announced_parts_are_stored(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1", state="COMPLETED")
    stored.job("j2", state="RUNNING")
    stored.task("t1", "j1", state="COMPLETED", log_parts=2, run_id="r1")
    stored.part("t1", "j1", 1, "one")
    stored.part("t1", "j1", 1, "of an older run", run="r0", dispatch=0)
    missing = LogState(ended=True, complete=False, state="COMPLETED")
    assert reading.log_state(job_id="j1") == reading.log_state(task_id="t1") == missing
    stored.part("t1", "j1", 2, "two")
    complete = LogState(ended=True, complete=True, state="COMPLETED")
    assert reading.log_state(job_id="j1") == reading.log_state(task_id="t1") == complete
    assert reading.log_state(job_id="j2") == LogState(ended=False, complete=False, state="RUNNING")
    with pytest.raises(NotFound, match="task not found"):
        reading.log_state(task_id="t9")


def test_nodes_are_those_heard_of_lately(reading: PostgresReading, stored: StoredRows) -> None:
    stored.node("up", name="b", task_count=0)
    stored.node("silent", name="a", silent_seconds=90)
    stored.node("ill", name="c", silent_seconds=90, status="DOWN")
    stored.node("gone", silent_seconds=400)
    assert [(node.id, node.status) for node in reading.nodes()] == [
        ("silent", NodeStatus.OFFLINE),
        ("up", NodeStatus.UP),
        ("ill", NodeStatus.DOWN),
    ]
    assert {"cpuPercent", "taskCount"} <= set(msgspec.to_builtins(reading.nodes()[0]))


def test_metrics_count_what_runs(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1", state="RUNNING")
    stored.job("j2", state="CANCELLED")
    stored.task("t1", "j1")
    stored.task("t2", "j1", state="COMPLETED")
    stored.task("t3", "j2")
    stored.node("a", cpu_percent=10)
    stored.node("b", cpu_percent=25)
    stored.node("gone", cpu_percent=90, silent_seconds=400)
    assert msgspec.to_builtins(reading.metrics()) == {
        "jobs": {"running": 1},
        "tasks": {"running": 1},
        "nodes": {"online": 2, "cpuPercent": 17.5},
    }

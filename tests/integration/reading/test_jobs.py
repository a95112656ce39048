from __future__ import annotations

import msgspec
import pytest

from tests.support.stored_rows import NOON, StoredRows
from tork.errors import NotFound
from tork.job import JobState
from tork.wire import encode_text
from torkd.datastore.account_protocol import Viewer
from torkd.datastore.postgres import job_reading
from torkd.datastore.postgres.pages import COUNTED_AT_MOST
from torkd.datastore.postgres.reading import PostgresReading
from torkd.datastore.protocol import ExecutionPage, JobQuery, Reading

pytestmark = pytest.mark.postgres


def found(reading: PostgresReading, **query: object) -> list[str]:
    page = reading.list_jobs(JobQuery(**query), page=1, size=20)  # type: ignore[arg-type] # rows of a table
    assert page.total_items == len(page.items)
    return [job.id for job in page.items]


def test_it_is_a_reading(reading: PostgresReading) -> None:
    port: Reading = reading
    assert port.metrics().jobs.running == 0


def test_a_job_has_everything_that_was_stored(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job(
        "j1",
        name="Etl",
        description="moves things",
        tags=["a", "b"],
        task_count=2,
        position=1,
        output="{{ tasks.x }}",
        defaults='{"queue":"slow","retry":{"limit":2}}',
        auto_delete="24h",
        progress=50.0,
        schedule_id="s1",
        schedule_cron="@daily",
        parent_task_id="t9",
        error="broken",
    )
    stored.step("j1", 1, '{"name":"one","run":"true"}')
    stored.step("j1", 2, '{"name":"two","env":{"A":"{{ inputs.size }}"}}')
    stored.step("j1", 3, "{{ tasks.x }}")
    for key, value in {"inputs.size": "3", "inputs.a.b": "dotted", "secrets.key": "hush", "tasks.x": "9"}.items():
        stored.value("j1", key, value)
    job = reading.get_job("j1")
    assert msgspec.to_builtins(job) == {
        "id": "j1",
        "parentId": "t9",
        "name": "Etl",
        "description": "moves things",
        "tags": ["a", "b"],
        "state": "RUNNING",
        "createdAt": "2026-01-02T12:00:00.123400Z",
        "createdBy": {
            "id": "0" * 32,
            "name": "Guest",
            "username": "guest",
            "disabled": True,
            "createdAt": msgspec.to_builtins(job.created_by)["createdAt"],
        },
        "tasks": [{"name": "one", "run": "true"}, {"name": "two", "env": {"A": "{{ inputs.size }}"}}],
        "execution": [],
        "position": 1,
        "inputs": {"size": "3", "a.b": "dotted"},
        "context": {
            "job": {"id": "j1", "name": "Etl"},
            "inputs": {"size": "3", "a.b": "dotted"},
            "secrets": {"key": "hush"},
            "tasks": {"x": "9"},
        },
        "taskCount": 2,
        "output": "{{ tasks.x }}",
        "error": "broken",
        "defaults": {"queue": "slow", "retry": {"limit": 2}},
        "autoDelete": {"after": "24h"},
        "secrets": {"key": "hush"},
        "progress": 50,
        "schedule": {"id": "s1", "cron": "@daily"},
    }


def test_a_bare_job_leaves_out_what_is_empty(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1")
    assert set(msgspec.to_builtins(reading.get_job("j1"))) == {
        *("id", "name", "state", "createdAt", "createdBy", "tasks", "execution", "position", "context", "taskCount")
    }
    assert '"progress"' not in encode_text(reading.get_summary("j1"))


def test_the_execution_is_in_the_order_of_the_run(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1")
    stored.task("waiting", "j1", position=2)
    stored.task("late", "j1", position=2, started_at=NOON, at=3)
    stored.task("second", "j1", position=1, started_at=NOON.replace(minute=2))
    stored.task("first", "j1", position=1, started_at=NOON.replace(minute=1), at=9)
    assert [task.id for task in reading.get_job("j1").execution] == ["first", "second", "late", "waiting"]
    page = reading.get_job("j1", ExecutionPage(number=2, size=3)).execution
    assert [task.id for task in page] == ["waiting"]
    assert reading.get_job("j1", ExecutionPage(size=0)).execution == []


@pytest.mark.parametrize(
    "job_id", ["nope", "", "nul\0byte", "half\udc80"], ids=["unknown", "empty", "nul", "surrogate"]
)
def test_an_unknown_job_is_not_found(reading: PostgresReading, job_id: str) -> None:
    for ask in (reading.get_job, reading.get_summary):
        with pytest.raises(NotFound, match=r"^job not found$"):
            ask(job_id)
    with pytest.raises(NotFound, match=r"^job not found$"):
        reading.job_changes(job_id, 0)
    assert reading.versions_of([job_id]) == {}


def test_lists_show_the_newest_first_in_pages(reading: PostgresReading, stored: StoredRows) -> None:
    for at in range(5):
        stored.job(f"j{at}", at=at)
    stored.value("j4", "inputs.size", "3")
    page = reading.list_jobs(JobQuery(), page=1, size=2)
    assert [job.id for job in page.items] == ["j4", "j3"]
    assert page.items[0].inputs == {"size": "3"}
    assert (page.number, page.size, page.total_pages, page.total_items) == (1, 2, 3, 5)
    assert not page.total_is_lower_bound
    beyond = reading.list_jobs(JobQuery(), page=10**30, size=2)
    assert (beyond.items, beyond.number, beyond.size, beyond.total_items) == ([], 10**30, 0, 5)


def test_totals_of_a_search_stop_at_ten_thousand_and_that_of_all_does_not(
    reading: PostgresReading, stored: StoredRows
) -> None:
    stored.job("j1", state="FAILED")
    stored.execute(
        "INSERT INTO jobs (id, root_id, name, state, task_count, created_by, created_at)"
        " SELECT 'x' || n, 'x', 'x', 'COMPLETED', 1, 'x', now() FROM generate_series(1, %s) n",
        (COUNTED_AT_MOST + 1,),
    )
    stored.execute(
        "INSERT INTO job_details (job_id, tags, search) SELECT id, '{many}', to_tsvector('film') FROM jobs WHERE name = 'x'",
    )
    page = reading.list_jobs(JobQuery(), page=1, size=10)
    assert (page.total_items, page.total_pages, page.total_is_lower_bound) == (10_002, 1001, False)
    for query in (JobQuery(states=(JobState.COMPLETED,)), JobQuery(tags=("many",)), JobQuery(text="film completed")):
        capped = reading.list_jobs(query, page=1, size=10)
        assert (capped.total_items, capped.total_pages, capped.total_is_lower_bound) == (10_000, 1000, True)
    stored.execute("DELETE FROM jobs WHERE id IN ('x1', 'j1')")
    for query in (JobQuery(states=(JobState.COMPLETED,)), JobQuery(id_prefix="x")):
        exact = reading.list_jobs(query, page=1, size=10)
        assert (exact.total_items, exact.total_is_lower_bound) == (10_000, False)
    assert reading.list_jobs(JobQuery(), page=1, size=10).total_items == 10_000
    stored.execute("TRUNCATE jobs")
    assert reading.list_jobs(JobQuery(), page=1, size=10).total_items == 0


def test_all_jobs_are_on_one_page_each_from_whichever_end_it_is_read(
    reading: PostgresReading, stored: StoredRows
) -> None:
    for at in range(11):
        stored.job(f"j{at:02}", at=at // 2)  # two of a moment: the id decides
    newest_first = [f"j{at:02}" for at in reversed(range(11))]
    for size in (1, 2, 3, 5, 20):
        pages = [reading.list_jobs(JobQuery(), page=number, size=size) for number in range(1, 13)]
        assert [job.id for page in pages for job in page.items] == newest_first
        assert {(page.total_items, page.total_is_lower_bound) for page in pages} == {(11, False)}


COMBINED = [
    pytest.param({"states": (JobState.FAILED,), "tags": ("odd",)}, {5, 15, 25, 35}, id="state-and-tag"),
    pytest.param(
        {"states": (JobState.COMPLETED,), "tags": ("odd",)},
        {*range(1, 40, 2)} - {5, 15, 25, 35},
        id="completed-and-tag",
    ),
    pytest.param(
        {"states": (JobState.COMPLETED, JobState.FAILED), "tags": ("odd",)}, {*range(1, 40, 2)}, id="states-and-tag"
    ),
    pytest.param({"states": (JobState.COMPLETED,), "text": "seventh"}, {7, 14, 21, 28}, id="completed-and-word"),
    pytest.param({"text": "seventh failed"}, {0, 35}, id="word-and-state-word"),
    pytest.param({"text": "completed", "id_prefix": "j1", "tags": ("odd",)}, {11, 13, 17, 19}, id="prefix-and-all"),
    pytest.param(
        {"tags": ("odd",), "viewer": Viewer(user_id="ann")},
        {*range(1, 40, 2)} - {3, 9, 15, 21, 27, 33, 39} | {9, 27},
        id="viewer-and-tag",
    ),
    pytest.param(
        {"states": (JobState.FAILED,), "tags": ("odd",), "viewer": Viewer(user_id="bob")},
        {5, 15, 25, 35},
        id="viewer-state-and-tag",
    ),
    pytest.param({"tags": ("odd",), "schedule_id": "s"}, {11, 33}, id="schedule-and-tag"),
]


@pytest.mark.parametrize("counted", [10_001, 3], ids=["through the matches", "through the jobs"])
@pytest.mark.parametrize(("query", "expected"), COMBINED)
def test_conditions_hold_together_however_many_match(
    reading: PostgresReading,
    stored: StoredRows,
    monkeypatch: pytest.MonkeyPatch,
    query: dict[str, object],
    expected: set[int],
    counted: int,
) -> None:
    """Jobs 0 to 39: every fifth FAILED; every third is restricted, to ann if it is a ninth and to bob otherwise."""
    monkeypatch.setattr(job_reading, "COUNT_LIMIT", counted)
    for number in range(40):
        stored.job(
            f"j{number:02}",
            at=number,
            name="seventh" if number % 7 == 0 else "other",
            tags=["odd"] if number % 2 else [],
            state="FAILED" if number % 5 == 0 else "COMPLETED",
            viewers=None if number % 3 else ["ann" if number % 9 == 0 else "bob"],
            **({"schedule_id": "s"} if number % 11 == 0 else {}),
        )
    pages = [reading.list_jobs(JobQuery(**query), page=page, size=3) for page in range(1, 9)]  # type: ignore[arg-type] # rows of a table
    assert [job.id for page in pages for job in page.items] == [
        f"j{number:02}" for number in sorted(expected, reverse=True)
    ]
    assert {page.total_items for page in pages} == {min(len(expected), counted)}


SEARCHES = [
    pytest.param("encode", ["j1"], id="stem"),
    pytest.param("ENCODED videos", ["j1"], id="all-words-any-case"),
    pytest.param("trans", [], id="no-prefix"),
    pytest.param("run", ["j3", "j1"], id="state-word"),
    pytest.param("failed encoding", [], id="state-and-word-must-both-match"),
    pytest.param("failed", ["j2"], id="failed"),
    pytest.param("the", [], id="only-stop-words"),
    pytest.param("the build", ["j2"], id="stop-words-do-not-count"),
    pytest.param("tag:a", ["j3", "j1"], id="tag"),
    pytest.param("tags:b,c", ["j3", "j2"], id="any-of-the-tags"),
    pytest.param("tags:a,b running", ["j3", "j1"], id="tags-and-text"),
    pytest.param("tag:a failed", [], id="tags-and-text-are-anded"),
    pytest.param("tag:", ["j3", "j2", "j1"], id="an-empty-tag-filters-nothing"),
    pytest.param("blue-green", ["j3"], id="hyphenated-whole"),
    pytest.param("green", ["j3"], id="hyphenated-part"),
    pytest.param("ru'n | !encode & (", [], id="query-syntax-is-text"),
    pytest.param("nul\0byte", [], id="nul"),
    pytest.param("run run running", ["j3", "j1"], id="repeated"),
    pytest.param("cancelled", ["j4"], id="a-state-word-in-the-name"),
]


@pytest.mark.parametrize(("text", "expected"), SEARCHES)
def test_search(reading: PostgresReading, stored: StoredRows, text: str, expected: list[str]) -> None:
    stored.job("j1", at=1, name="encoding", description="of a video", tags=["a"])
    stored.job("j2", at=2, name="builds", tags=["c"], state="FAILED")
    stored.job("j3", at=3, name="blue-green deploy", tags=["b", "a"])
    if "cancelled" in text:
        stored.job("j4", at=4, name="mops up cancelled orders", state="COMPLETED")
    assert found(reading, text=text) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({"states": (JobState.FAILED, JobState.COMPLETED)}, ["b2", "a2"], id="states"),
        pytest.param({"tags": ("x", "y")}, ["b1", "a1"], id="tags"),
        pytest.param({"tags": ("x",), "text": "tag:y"}, ["b1"], id="tags-beside-text-tags"),
        pytest.param({"id_prefix": "a"}, ["a2", "a1"], id="prefix"),
        pytest.param({"id_prefix": "%"}, [], id="prefix-is-no-pattern"),
        pytest.param({"id_prefix": "a", "states": (JobState.RUNNING,)}, ["a1"], id="prefix-and-state"),
    ],
)
def test_filters(reading: PostgresReading, stored: StoredRows, query: dict[str, object], expected: list[str]) -> None:
    stored.job("a1", at=1, tags=["x"])
    stored.job("a2", at=2, state="FAILED")
    stored.job("b1", at=3, tags=["y", "x"])
    stored.job("b2", at=4, state="COMPLETED")
    assert found(reading, **query) == expected


def test_secrets_of_the_jobs_above_are_included(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("top", has_secrets=True)
    stored.job("middle", parent_job_id="top")
    stored.job("low", parent_job_id="middle", has_secrets=True)
    stored.job("other")
    stored.value("top", "secrets.key", "of top")
    stored.value("top", "secrets.other", "too")
    stored.value("low", "secrets.key", "of low")
    assert reading.secrets_of("low") == {"key": "of low", "top.key": "of top", "other": "too"}
    assert reading.secrets_of_each(["middle", "other", "top"]) == {
        "middle": {"key": "of top", "other": "too"},
        "top": {"key": "of top", "other": "too"},
    }
    assert reading.secrets_of("other") == {}


def test_changes_are_those_after_the_version(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1", version=7)
    stored.task("old", "j1", version=3)
    stored.task("new", "j1", version=7, spec='{"description":"d","tags":["x"],"run":"\\u0000"}', attempts=2)
    changes = reading.job_changes("j1", 3)
    assert (changes.version, changes.job.id, changes.more) == (7, "j1", False)
    assert [(task.id, task.description, task.tags, task.attempts) for task in changes.tasks] == [("new", "d", ["x"], 2)]
    assert len(reading.job_changes("j1", 0).tasks) == 2
    assert reading.versions_of(["j1", "nope"]) == {"j1": 7}


def test_many_changes_come_in_several_answers(
    reading: PostgresReading, stored: StoredRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torkd.datastore.postgres.job_reading.CHANGED_AT_ONCE", 2)
    stored.job("j1", version=9)
    for task_id, version in {"a": 3, "b": 5, "c": 5, "d": 5, "e": 8}.items():
        stored.task(task_id, "j1", version=version)
    first = reading.job_changes("j1", 0)
    assert ({task.id for task in first.tasks}, first.version, first.more) == ({"a", "b", "c", "d"}, 5, True)
    stored.execute("UPDATE jobs SET version = 4 WHERE id = 'j1'")
    assert reading.job_changes("j1", 0).version == 4, (
        "a task that changed after the job was read does not hide the job's change"
    )
    stored.execute("UPDATE jobs SET version = 9 WHERE id = 'j1'")
    second = reading.job_changes("j1", first.version)
    assert ([task.id for task in second.tasks], second.version, second.more) == (["e"], 9, False)


def test_changed_jobs_are_told_as_they_are_now(reading: PostgresReading, stored: StoredRows) -> None:
    stored.job("j1", at=1)
    stored.job("j2", at=2, state="FAILED")
    assert {job.id: job.state for job in reading.changed_jobs(["j1", "j2", "gone"])} == {
        "j1": JobState.RUNNING,
        "j2": JobState.FAILED,
    }

"""A job as a tree: where its tasks run, what is below them, live until it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl, meanwhile
from tests.support.waiting import wait_until
from tork.node import Node
from tork.task import TaskState
from torkctl.attempts import runs
from torkctl.client.documents import TaskReport
from torkctl.places import names_of
from torkctl.references import remember_last

JOB = "a" * 32
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def running_job(fake_api: FakeApi) -> str:
    fake_api.add_job(JOB)
    ended = {"state": "COMPLETED", "completedAt": "2026-01-02T03:04:07Z"}
    fake_api.add_task(JOB, "t1", name="build", state="FAILED", nodeId="n" * 32, error="boom")
    fake_api.add_task(JOB, "t2", name="build", nodeId="n" * 32, **ended)
    fake_api.add_task(JOB, "p", name="all", position=2, parallel={"tasks": [{"name": "x"}, {"name": "y"}]})
    fake_api.add_task(JOB, "y", name="y", position=2, parentId="p", state="SCHEDULED", queue="gpu", startedAt=None)
    fake_api.add_task(JOB, "x", name="x", position=2, parentId="p", nodeId="m" * 32, **ended)
    return JOB


def test_the_tree_says_where_tasks_run_or_wait(torkctl: Torkctl, running_job: str) -> None:
    assert torkctl("tree", JOB).out.splitlines()[1:3] == [
        "├── build  FAILED  on nnnnnnnn  (attempt 1 of 2)  boom",
        "├── build  COMPLETED  1.0s  on nnnnnnnn  (attempt 2 of 2)",
    ]
    lines = torkctl("tree", JOB).out.splitlines()
    assert lines[3].startswith("└── all  [parallel]  RUNNING")
    assert lines[4:] == ["    ├── x  COMPLETED  1.0s  on mmmmmmmm", "    └── y  SCHEDULED  in queue gpu"]
    assert f"├── build  t2  COMPLETED  1.0s  on {'n' * 32}" in torkctl("tree", JOB, "-o", "wide").out


def test_as_a_document_every_task_has_its_children(torkctl: Torkctl, running_job: str) -> None:
    document = json.loads(torkctl("tree", JOB, "-o", "json").out)
    assert [(child["id"], child.get("attempt")) for child in document["children"]] == [("t1", 1), ("t2", 2), ("p", 1)]
    assert [(child["kind"], child["name"]) for child in document["children"][2]["children"]] == [
        ("task", "x"), ("task", "y"),
    ]  # fmt: skip
    assert torkctl("tree", JOB, "-o", "name").out.split() == [JOB, "t1", "t2", "p", "x", "y"]
    assert len(torkctl("tree", JOB, "-o", "jsonl").out.splitlines()) == 1


def test_a_watch_stays_with_its_job_and_ends_with_it(fake_api: FakeApi, torkctl: Torkctl, running_job: str) -> None:
    def end() -> None:
        wait_until(lambda: len(fake_api.requests_to(f"/jobs/{JOB}")) > 1)
        remember_last(fake_api.add_job("b" * 32))
        fake_api.end(JOB)

    remember_last(JOB)
    with meanwhile(end):
        ran = torkctl("tree", "@last", "--interval", "100ms", "-o", "jsonl")
    states = [json.loads(line)["data"]["state"] for line in ran.out.splitlines()]
    assert (ran.code, states[0], states[-1], states.count("COMPLETED")) == (0, "RUNNING", "COMPLETED", 1)


def test_an_unknown_job_is_4(fake_api: FakeApi, torkctl: Torkctl) -> None:
    ran = torkctl("tree", "b" * 32, "--watch")
    assert (ran.code, ran.out, ran.err) == (4, "", f"error: there is no job {'b' * 32}\n")


def _node(node_id: str, hostname: str, queue: str = "x-1") -> Node:
    figures: dict[str, Any] = {"cpu_percent": 0, "task_count": 0, "version": "1"}
    return Node(id=node_id, hostname=hostname, queue=queue, started_at=NOW, last_heartbeat_at=NOW, **figures)


def test_a_worker_is_called_by_its_host_and_told_from_others_there() -> None:
    nodes = [_node("a" * 32, "web-1"), _node("b" * 32, "web-2"), _node("c" * 32, "web-2"), _node("d" * 32, "web-1", "")]
    assert names_of(nodes) == {"a" * 32: "web-1", "b" * 32: "web-2/bbbbbbbb", "c" * 32: "web-2/cccccccc"}


def test_the_runs_of_many_thousand_children_are_found_in_one_go() -> None:
    """It would take minutes if each were compared with all before it."""
    first = [
        TaskReport(id=f"a{n}", name=f"n{n}", parent_id="p", position=1, state=TaskState.FAILED, failed_at=NOW)
        for n in range(30_000)
    ]
    again = [TaskReport(id=f"b{n}", name=f"n{n}", parent_id="p", position=1, created_at=NOW) for n in range(30_000)]
    assert [len(chain) for chain in runs([*first, *again])] == [1] * 60_000

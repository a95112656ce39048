from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tork.task import TaskDefinition
from torkd.broker.messages import RunTask

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api


def a_run(queue: str) -> RunTask:
    return RunTask(
        task_id="t1", job_id="j1", root_id="j1", dispatch=1, queue=queue, definition=TaskDefinition(run="true")
    )


def test_nodes_always_tell_their_figures(api: Api) -> None:
    assert api.get("/nodes").json == [
        {
            "id": "n1",
            "name": "a",
            "startedAt": "2026-01-02T12:00:00.1234Z",
            "cpuPercent": 0,
            "lastHeartbeatAt": "2026-01-02T12:00:00.1234Z",
            "taskCount": 0,
            "version": "1",
        }
    ]


def test_metrics_are_always_complete(api: Api) -> None:
    assert api.get("/metrics").json == {
        "jobs": {"running": 0},
        "tasks": {"running": 2},
        "nodes": {"online": 1, "cpuPercent": 2.5},
    }


def test_queues_are_listed_shown_and_emptied(api: Api) -> None:
    api.broker.publish_tasks([a_run("slow")])
    queue = {"name": "slow", "size": 1, "subscribers": 0, "unacked": 0}
    assert queue in api.get("/queues").json
    assert api.get("/queues/slow").json == queue
    answer = api.client.simulate_delete("/queues/slow")
    assert (answer.status_code, answer.content) == (200, b"")
    assert api.get("/queues/slow").json["size"] == 0


def test_an_unknown_queue_is_not_found(api: Api) -> None:
    for answer in (api.get("/queues/nope"), api.client.simulate_delete("/queues/nope")):
        assert (answer.status_code, answer.json) == (404, {"message": "queue nope not found"})


@pytest.mark.parametrize("name", ["completed", "x-node1"])
def test_only_task_queues_can_be_emptied(api: Api, name: str) -> None:
    answer = api.client.simulate_delete(f"/queues/{name}")
    assert (answer.status_code, answer.json) == (400, {"message": f"queue {name} is not a task queue"})

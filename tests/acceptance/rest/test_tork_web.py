"""What the web UI of Tork does, posted and read exactly as it does it: its pages must find all that they read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import yaml

from tests.acceptance.rest.stored import DONE, as_json
from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.http_cases import Answer, call
from tests.support.waiting import wait_until

pytestmark = pytest.mark.postgres

ORIGIN = {"Origin": "http://localhost:8100"}
JOB_FIELDS = {"id", "name", "createdAt", "state", "position", "taskCount"}
BADGES = {"pending", "scheduled", "running", "cancelled", "completed", "failed"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon({"TORK_WORKER_QUEUES_DEFAULT": "4", "TORK_MIDDLEWARE_WEB_CORS_ENABLED": "true"}) as running:
        yield running


@pytest.fixture(scope="module")
def job_id(daemon: Daemon) -> str:
    """A finished job with everything in it."""
    created = post(daemon, yaml.safe_dump(DONE))
    wait_until(lambda: {"alpha", "beta"} <= set(daemon.log_text(created["id"]).split()))
    return str(daemon.wait(created["id"])["id"])


def post(daemon: Daemon, text: str) -> Any:
    """The page Create: text with `cron` anywhere after its first character goes to the schedules."""
    path = "/scheduled-jobs" if text.find("cron") > 0 else "/jobs"
    return call(daemon.endpoint, "POST", path, text.encode(), {"Content-Type": "text/yaml"}).json


def get(daemon: Daemon, path: str) -> Any:
    answer = call(daemon.endpoint, "GET", path)
    assert answer.status == 200
    assert "message" not in answer.json, "the UI takes that for a failure"
    return answer.json


def put(daemon: Daemon, path: str) -> Answer:
    return call(daemon.endpoint, "PUT", path)


def is_a_time(text: str) -> bool:
    """As JavaScript's Date reads it: with a zone."""
    return datetime.fromisoformat(text).tzinfo is not None


def test_the_page_of_jobs_has_what_it_reads(daemon: Daemon, job_id: str) -> None:
    jobs = get(daemon, "/jobs?page=1&q=")
    assert all(isinstance(jobs[name], int) for name in ("number", "size", "totalPages", "totalItems"))
    (job,) = [job for job in jobs["items"] if job["id"] == job_id]
    assert job.keys() >= JOB_FIELDS
    assert job["state"].lower() in BADGES
    assert all(is_a_time(job[name]) for name in ("createdAt", "startedAt", "completedAt"))
    assert 0 <= (job["position"] - 1) / job["taskCount"] <= 1
    figures = get(daemon, "/metrics")
    read = [figures["jobs"]["running"], figures["tasks"]["running"]]
    read += [figures["nodes"]["online"], figures["nodes"]["cpuPercent"]]
    assert all(isinstance(figure, int | float) for figure in read)


def test_the_page_of_a_job_can_reverse_its_execution(daemon: Daemon, job_id: str) -> None:
    job = get(daemon, f"/jobs/{job_id}")
    shown = list(reversed(job["execution"]))
    assert [task["position"] for task in shown] == [2, 2, 2, 1]
    assert shown[-1]["name"] == "first"
    assert shown[-1]["result"] == "done it"
    assert all(task.keys() >= {"id", "name", "startedAt", "completedAt", "state"} for task in shown)
    assert yaml.safe_load(yaml.safe_dump(shown[0])) == shown[0]


def test_unstarted_tasks_come_first_when_the_execution_is_reversed(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-reversed")
    tasks = [{"name": f"child {number}", **gate.task()} | {"name": f"child {number}"} for number in range(8)]
    created = post(daemon, yaml.safe_dump({"name": "wide", "tasks": [{"name": "all", "parallel": {"tasks": tasks}}]}))
    wait_until(lambda: sum(task["state"] == "RUNNING" for task in daemon.job(created["id"])["execution"]) == 5)
    shown = list(reversed(get(daemon, f"/jobs/{created['id']}")["execution"]))
    assert [("startedAt" in task) for task in shown] == [False] * 4 + [True] * 5
    gate.open()
    assert daemon.wait(created["id"])["state"] == "COMPLETED"


def test_a_log_is_read_from_its_newest_page_backwards(daemon: Daemon) -> None:
    script = "; ".join(f"echo part {number}; sleep 0.3" for number in range(1, 4))
    created = post(daemon, yaml.safe_dump({"name": "talks", "tasks": [{"name": "one", "run": script}]}))
    task_id = daemon.wait(created["id"])["execution"][0]["id"]
    wait_until(lambda: "part 3" in daemon.log_text(created["id"]))
    for path in (f"/jobs/{created['id']}/log", f"/tasks/{task_id}/log"):
        newest = get(daemon, f"{path}?page=1&size=50")
        assert newest["totalPages"] == 1
        assert all(isinstance(part["contents"], str) for part in newest["items"])
        # The UI joins the parts as they come and reverses the lines.
        lines = "".join(part["contents"] for part in reversed(newest["items"])).splitlines()
        assert lines == ["part 1", "part 2", "part 3"]
        numbers = [part["number"] for part in newest["items"]]
        assert numbers == sorted(numbers, reverse=True)
        last = get(daemon, f"{path}?page={len(numbers)}&size=1")
        assert (last["items"][0]["number"], last["totalPages"]) == (1, len(numbers))


def test_creating_a_job_answers_with_its_id_or_with_a_message(daemon: Daemon) -> None:
    created = post(daemon, "name: created\ntasks:\n  - name: one\n    run: 'true'\n")
    assert "message" not in created
    assert daemon.wait(created["id"])["state"] == "COMPLETED"
    assert "unknown key 'rum'" in post(daemon, "name: wrong\ntasks:\n  - name: one\n    rum: 'true'\n")["message"]


def test_cron_in_a_script_is_not_taken_for_a_schedule_silently(daemon: Daemon) -> None:
    refused = post(daemon, "name: cleans\ntasks:\n  - name: one\n    run: 'rm -f /etc/cron.d/nothing'\n")
    assert "schedule" in refused["message"]


DUPLICATED = ("name", "description", "tags", "inputs", "secrets", "output", "tasks", "defaults", "webhooks")


def test_a_duplicate_is_accepted_as_it_was_read(daemon: Daemon, job_id: str) -> None:
    job = get(daemon, f"/jobs/{job_id}")
    definition = {name: job[name] for name in DUPLICATED if name in job}
    assert definition["secrets"] == {"token": "[REDACTED]"}
    twin = daemon.wait(post(daemon, yaml.safe_dump(definition))["id"])
    assert twin["state"] == "COMPLETED"
    hidden = {"id", "createdAt", "startedAt", "completedAt", "execution", "context"}
    assert {name: twin[name] for name in twin if name not in hidden | {"tasks"}} == {
        name: job[name] for name in job if name not in hidden | {"tasks"}
    }


@pytest.mark.parametrize(
    "task",
    [
        {"run": "true", "retry": {"limit": 2, "initialDelay": "1s", "scalingFactor": 2}, "if": "{{ 1 == 1 }}"},
        {"run": "true", "env": {"A": "b"}, "files": {"f": "text"}, "timeout": "10s", "queue": "default", "priority": 3},
        {"each": {"list": "{{ sequence(1,3) }}", "task": {"run": "true"}, "var": "it", "concurrency": 1}},
        {"subjob": {"name": "below", "tasks": [{"name": "one", "run": "true"}], "inputs": {"a": "b"}}},
    ],
    ids=["retry", "plain", "each", "subjob"],
)
def test_every_kind_of_task_can_be_duplicated(daemon: Daemon, task: dict[str, Any]) -> None:
    first = daemon.wait(post(daemon, yaml.safe_dump({"name": "kinds", "tasks": [{"name": "it", **task}]}))["id"])
    again = post(daemon, yaml.safe_dump({name: first[name] for name in DUPLICATED if name in first}))
    twin = daemon.wait(again["id"])
    assert (twin["state"], twin["tasks"]) == ("COMPLETED", first["tasks"])


def test_a_text_with_cron_in_it_becomes_a_scheduled_job_with_buttons(daemon: Daemon) -> None:
    created = post(daemon, "name: by the clock\ntasks:\n  - name: one\n    run: 'true'\nschedule:\n  cron: '@daily'\n")
    assert (created.keys() >= {"id", "cron"}, "message" in created) == (True, False)

    def shown() -> Any:
        (item,) = [item for item in get(daemon, "/scheduled-jobs")["items"] if item["id"] == created["id"]]
        assert item.keys() >= {"id", "name", "createdAt", "cron", "state"}
        return item

    assert (shown()["state"], shown()["cron"]) == ("ACTIVE", "@daily")
    for button, state in (("pause", "PAUSED"), ("resume", "ACTIVE")):
        answer = put(daemon, f"/scheduled-jobs/{created['id']}/{button}")
        assert (answer.status, answer.json) == (200, {"status": "OK"})
        assert shown()["state"] == get(daemon, f"/scheduled-jobs/{created['id']}")["state"] == state
    assert "message" in put(daemon, f"/scheduled-jobs/{created['id']}/resume").json
    started = put(daemon, f"/scheduled-jobs/{created['id']}/run").json
    daemon.wait(started["id"])
    (job,) = [job for job in get(daemon, "/jobs?page=1&q=")["items"] if job["id"] == started["id"]]
    assert job["schedule"] == {"id": created["id"], "cron": "@daily"}
    removed = call(daemon.endpoint, "DELETE", f"/scheduled-jobs/{created['id']}")
    assert (removed.status, removed.json) == (200, {"status": "OK"})
    assert call(daemon.endpoint, "GET", f"/scheduled-jobs/{created['id']}").status == 404
    assert created["id"] not in [item["id"] for item in get(daemon, "/scheduled-jobs")["items"]]


def test_cancel_and_restart_answer_with_json(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-buttons")
    created = call(daemon.endpoint, "POST", "/jobs", as_json(gate.job()), {"Content-Type": "application/json"}).json
    wait_until(lambda: daemon.job(created["id"])["state"] == "RUNNING")
    cancelled = put(daemon, f"/jobs/{created['id']}/cancel")
    assert (cancelled.status, cancelled.json) == (200, {"status": "OK"})
    wait_until(lambda: daemon.job(created["id"])["state"] == "CANCELLED")
    gate.open()
    restarted = put(daemon, f"/jobs/{created['id']}/restart")
    assert (restarted.status, restarted.json) == (200, {"status": "OK"})
    assert daemon.wait(created["id"])["state"] == "COMPLETED"
    refused = put(daemon, f"/jobs/{created['id']}/cancel")
    assert (refused.status, refused.json) == (400, {"message": "job is not running"})


def test_the_page_of_queues_has_what_it_reads(daemon: Daemon) -> None:
    queues = get_list(daemon, "/queues")
    assert all({"name", "size", "subscribers", "unacked"} == queue.keys() for queue in queues)


def test_the_page_of_nodes_has_what_it_reads(daemon: Daemon) -> None:
    nodes = get_list(daemon, "/nodes")
    read = {"id", "name", "hostname", "version", "startedAt", "cpuPercent", "taskCount", "status"}
    assert all(node.keys() >= read for node in nodes)
    assert [node["name"] for node in nodes] == ["Coordinator", "Worker"]


def get_list(daemon: Daemon, path: str) -> list[Any]:
    found = call(daemon.endpoint, "GET", path).json
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("path", ["/jobs", "/jobs/nope", "/nope", "/openapi.json"])
def test_a_browser_of_another_origin_may_read_every_answer(daemon: Daemon, path: str) -> None:
    answer = call(daemon.endpoint, "GET", path, headers=ORIGIN)
    assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == ("*", "Origin")


@pytest.mark.parametrize(("method", "path"), [("POST", "/jobs"), ("PUT", "/jobs/nope/cancel"), ("DELETE", "/queues/x")])
def test_a_browser_may_ask_before_it_changes_something(daemon: Daemon, method: str, path: str) -> None:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
    answer = call(daemon.endpoint, "OPTIONS", path, headers=ORIGIN | asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "*"
    assert answer.headers["access-control-allow-headers"] == "*"
    assert answer.headers["access-control-allow-origin"] == "*"

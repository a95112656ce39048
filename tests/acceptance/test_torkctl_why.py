"""torkctl why against a real daemon: what keeps a job from running, and what it failed of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until

SUBJOB = {"name": "inner", "tasks": [{"name": "deep", "run": "echo the reason; exit 3"}]}
ENDED: dict[str, tuple[dict[str, Any], str, str]] = {
    "failed": (
        {"name": "bad", "run": "echo the reason; exit 7"},
        "task 'bad' failed with exit code 7",
        "the reason",
    ),
    "timed-out": ({"name": "slow", "run": "sleep 60", "timeout": "200ms"}, "task 'slow' timed out after 200ms", ""),
    "sub-job": ({"name": "outer", "subjob": SUBJOB}, "task 'outer/deep' failed with exit code 3", "the reason"),
    "parallel": (
        {"name": "all", "parallel": {"tasks": [{"name": "one", "run": "exit 9"}]}},
        "task 'one' failed with exit code 9",
        "",
    ),
    "expression": ({"name": "odd", "run": "true", "env": {"A": "{{ nothing.here }}"}}, "task 'odd' failed: ", ""),
}


def asked(daemon: Daemon, reference: str) -> dict[str, Any]:
    done = daemon.torkctl("why", reference, "-o", "json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert list(answer) == ["subject", "state", "because", "evidence"]
    return answer


def says(answer: dict[str, Any], about: str) -> str:
    return "\n".join(evidence["says"] for evidence in answer["evidence"] if evidence["about"] == about)


def task_when(daemon: Daemon, job_id: str, is_it: Callable[[Any], bool]) -> Any:
    """The job's task of which that is true, once there is one."""
    found: list[Any] = []

    def there() -> bool:
        found[:] = [task for task in daemon.job(job_id)["execution"] if is_it(task)]
        return bool(found)

    wait_until(there, describe=daemon.told)
    return found[0]


def cancel(daemon: Daemon, job_id: str) -> None:
    daemon.call("PUT", f"/jobs/{job_id}/cancel", b"")
    daemon.wait(job_id)


@pytest.mark.parametrize(("task", "because", "logged"), ENDED.values(), ids=ENDED)
def test_a_failed_job_comes_down_to_the_task_and_the_end_of_its_log(
    daemon: Daemon, task: dict[str, Any], because: str, logged: str
) -> None:
    job_id = daemon.submit({"name": "fails", "tasks": [task]})
    assert daemon.wait(job_id)["state"] == "FAILED"
    answer = asked(daemon, job_id)
    assert answer["state"] == "FAILED"
    assert because in answer["because"]
    assert logged in says(answer, "end of its log")
    assert says(answer, "task").endswith("FAILED")


def test_a_queue_without_a_worker_is_named_with_those_that_have_one(daemon: Daemon) -> None:
    job_id = daemon.submit({"name": "lonely", "tasks": [{"name": "train", "queue": "gpu", "run": "true"}]})
    task = task_when(daemon, job_id, lambda task: task["state"] == "SCHEDULED")
    for reference in (job_id, task["id"]):
        answer = asked(daemon, reference)
        assert answer["because"] == "no worker takes tasks from queue 'gpu', where task 'train' waits"
        assert "default" in says(answer, "queues with workers").split(", ")
    assert daemon.torkctl("skip", task["id"], "--reason", "there is no GPU here").returncode == 0
    daemon.wait(job_id)
    assert asked(daemon, task["id"])["because"] == "somebody skipped task 'train': there is no GPU here"


def test_a_retry_that_waits_tells_which_and_when_and_what_failed(daemon: Daemon) -> None:
    retry = {"limit": 3, "initialDelay": "5m"}
    job_id = daemon.submit({"name": "again", "tasks": [{"name": "flaky", "run": "exit 4", "retry": retry}]})
    waiting = task_when(daemon, job_id, lambda task: task["state"] == "PENDING" and task["retry"].get("attempts"))
    failed = task_when(daemon, job_id, lambda task: task["state"] == "FAILED")
    answer = asked(daemon, job_id)
    assert answer["because"].startswith("task 'flaky' waits for retry 1 of 3 at ")
    assert says(answer, "the run before").startswith("exit code 4")
    assert says(answer, "task") == f"{waiting['id']} PENDING"
    answer = asked(daemon, failed["id"])
    assert answer["because"] == "task 'flaky' failed with exit code 4"
    assert says(answer, "tried again") == f"{waiting['id']} PENDING"
    cancel(daemon, job_id)


def test_the_window_of_an_each_that_is_full_holds_up_the_next(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-window")
    each = {"list": "{{ sequence(1, 4) }}", "concurrency": 2, "task": gate.task("one")}
    job_id = daemon.submit({"name": "wide", "tasks": [{"name": "fan", "each": each}]})
    wait_until(
        lambda: [task["state"] for task in daemon.job(job_id)["execution"]].count("RUNNING") == 3,
        describe=daemon.told,
    )
    held = task_when(daemon, job_id, lambda task: task["state"] == "CREATED")
    answer = asked(daemon, held["id"])
    assert answer["because"].startswith("the concurrency window of task 'fan' is full (2 of 2 are under way)")
    answer = asked(daemon, job_id)
    assert answer["because"].startswith("task 'one' has run for ")
    assert "1 RUNNING" in says(answer, "other tasks under way")
    gate.open()
    assert daemon.wait(job_id)["state"] == "COMPLETED"


def test_a_skipped_task_shows_its_condition_and_a_cancelled_one_who_did_it(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-cancel")
    tasks = [{"name": "maybe", "if": "{{ 1 == 2 }}", "run": "true"}, gate.task()]
    job_id = daemon.submit({"name": "half", "tasks": tasks})
    skipped = task_when(daemon, job_id, lambda task: task["state"] == "SKIPPED")
    answer = asked(daemon, skipped["id"])
    assert answer["because"] == "task 'maybe' was skipped, since its `if` came out as false"
    assert says(answer, "if") == "{{ 1 == 2 }}"
    task_when(daemon, job_id, lambda task: task["state"] == "RUNNING")
    cancel(daemon, job_id)
    cancelled = task_when(daemon, job_id, lambda task: task["state"] == "CANCELLED")
    assert "guest cancelled it at " in asked(daemon, job_id)["because"]
    assert asked(daemon, cancelled["id"])["because"].startswith("task 'waits' was cancelled with its job: guest ")


def test_a_job_that_was_cancelled_from_within_tells_so(daemon: Daemon) -> None:
    inner = {"name": "inner", "tasks": [{"name": "deep", "queue": "nowhere", "run": "true"}]}
    job_id = daemon.submit({"name": "around", "tasks": [{"name": "outer", "subjob": inner}]})
    outer = task_when(daemon, job_id, lambda task: task.get("subjob", {}).get("id"))
    wait_until(lambda: "'outer/deep'" in asked(daemon, job_id)["because"], describe=daemon.told)
    inner_id = outer["subjob"]["id"]
    cancel(daemon, inner_id)
    assert f"guest cancelled it with job {inner_id[:8]} at " in asked(daemon, daemon.wait(job_id)["id"])["because"]
    assert asked(daemon, inner_id)["because"].startswith("guest cancelled it at ")


def test_a_job_that_ended_with_the_one_around_it_tells_what_failed_there(daemon: Daemon) -> None:
    inner = {"name": "inner", "tasks": [{"name": "deep", "queue": "nowhere", "run": "true"}]}
    gate = Gate(daemon.base / "gate-around")
    fails = {"name": "bad", "run": f"while [ ! -e {gate.path} ]; do sleep 0.05; done; exit 5"}
    parts = {"tasks": [{"name": "outer", "subjob": inner}, fails]}
    job_id = daemon.submit({"name": "around", "tasks": [{"name": "both", "parallel": parts}]})
    outer = task_when(daemon, job_id, lambda task: task.get("subjob", {}).get("id"))
    gate.open()
    daemon.wait(job_id)
    answer = asked(daemon, daemon.wait(outer["subjob"]["id"])["id"])
    assert answer["because"].startswith(f"job {job_id[:8]} (around), which it is a part of, failed: ")
    answer = asked(daemon, outer["id"])
    assert answer["because"] == ("task 'outer' was cancelled with its job, since task 'bad' failed with exit code 5")


def test_a_paused_schedule_starts_nothing(daemon: Daemon) -> None:
    job = {"name": "nightly", "schedule": {"cron": "0 3 * * *"}, "tasks": [{"name": "one", "run": "true"}]}
    body = json.dumps(job).encode()
    schedule = daemon.call("POST", "/scheduled-jobs", body, {"Content-Type": "application/json"})["id"]
    assert asked(daemon, schedule)["because"].startswith("it waits for its next time, ")
    daemon.call("PUT", f"/scheduled-jobs/{schedule}/pause", b"")
    assert "it is paused" in asked(daemon, "nightly")["because"]
    daemon.call("DELETE", f"/scheduled-jobs/{schedule}")


@pytest.mark.parametrize("output", ["table", "name", "yaml"])
def test_the_answer_has_every_format(daemon: Daemon, output: str) -> None:
    job_id = daemon.submit({"name": "fine", "tasks": [{"name": "one", "run": "true"}]})
    daemon.wait(job_id)
    done = daemon.torkctl("why", job_id, "-o", output)
    told = {
        "table": f"job {job_id[:8]} (fine) COMPLETED: it ended well after ",
        "name": f"{job_id}\n",
        "yaml": f"subject:\n  kind: job\n  id: {job_id}\n",
    }
    assert done.stdout.startswith(told[output])


def test_what_is_not_there_is_exit_code_4(daemon: Daemon) -> None:
    done = daemon.torkctl("why", "0" * 32)
    assert (done.returncode, done.stdout) == (4, "")
    assert "0" * 32 in done.stderr

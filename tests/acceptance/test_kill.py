"""kill -9 of a whole standalone daemon: every accepted job ends, and every result counts once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

JOBS = 500
TWO_TASKS = {
    "name": "two tasks",
    "tasks": [
        {"name": "first", "run": 'echo "printed by first"; echo -n one > "$TORK_OUTPUT"', "var": "first"},
        {
            "name": "second",
            "env": {"FIRST": "{{ tasks.first }}"},
            "run": 'echo -n "$FIRST and two" > "$TORK_OUTPUT"',
            "var": "second",
        },
    ],
    "output": "{{ tasks.second }}",
}


def test_500_jobs_are_all_completed_after_everything_was_killed_in_their_midst() -> None:
    with Daemon({"TORK_WORKER_QUEUES_DEFAULT": "8"}) as daemon:
        with ThreadPoolExecutor(8) as clients:
            ids = list(clients.map(lambda _: daemon.submit(TWO_TASKS), range(JOBS)))
        wait_until(lambda: _count(daemon, "completed") >= JOBS // 10, timeout=60, describe=daemon.told)
        daemon.kill()
        daemon.start()
        wait_until(lambda: _count(daemon, "completed") == JOBS, timeout=120, describe=daemon.told)

        jobs = [daemon.job(job_id) for job_id in ids]
        assert {job["state"] for job in jobs} == {"COMPLETED"}
        assert {job["result"] for job in jobs} == {"one and two"}
        for job in jobs:
            assert _states_by_position(job) == {(1, "COMPLETED"): 1, (2, "COMPLETED"): 1}
        assert any(task.get("redelivered") for job in jobs for task in job["execution"]), (
            "nothing ran when it was killed"
        )


def _count(daemon: Daemon, state: str) -> int:
    return int(daemon.call("GET", f"/jobs?size=1&state={state.upper()}")["totalItems"])


def _states_by_position(job: Any) -> Counter[tuple[int, str]]:
    return Counter((task["position"], task["state"]) for task in job["execution"])

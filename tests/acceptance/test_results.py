"""What comes out of a job, whatever kind of task is its last: results by `var`, and the job's output."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.daemon import Daemon

SAY = 'printf "%s" "$WHAT" > "$TORK_OUTPUT"'


def saying(what: str, var: str) -> dict[str, Any]:
    return {"name": f"say {var}", "run": SAY, "env": {"WHAT": what}, "var": var}


LAST_TASKS = {
    "regular": saying("it", "said"),
    "parallel": {"name": "both", "parallel": {"tasks": [saying("it", "said"), saying("that", "other")]}},
    "each": {"name": "all", "each": {"list": "{{ ['it', 'that'] }}", "task": saying("{{ item.value }}", "said")}},
    "each-one-at-a-time": {
        "name": "all",
        "each": {"list": "{{ ['that', 'it'] }}", "concurrency": 1, "task": saying("{{ item.value }}", "said")},
    },
    "each-in-parallel": {
        "name": "deep",
        "parallel": {
            "tasks": [
                {"name": "all", "each": {"list": "{{ ['it'] }}", "task": saying("{{ item.value }}", "said")}},
                saying("that", "other"),
            ]
        },
    },
    "subjob": {
        "name": "job",
        "var": "said",
        "subjob": {"name": "inner", "tasks": [saying("it", "inner")], "output": "{{ tasks.inner }}"},
    },
    "subjob-that-ends-with-an-each": {
        "name": "job",
        "var": "said",
        "subjob": {
            "name": "inner",
            "tasks": [
                {"name": "all", "each": {"list": "{{ ['it'] }}", "task": saying("{{ item.value }}", "inner")}},
            ],
            "output": "{{ tasks.inner }}",
        },
    },
    "skipped": {"name": "never", "if": "{{ false }}", "run": "exit 1"},
}


@pytest.mark.parametrize("last", LAST_TASKS.values(), ids=LAST_TASKS)
def test_the_output_is_made_whatever_the_last_task_is(daemon: Daemon, last: dict[str, Any]) -> None:
    job = {
        "name": "output",
        "tasks": [saying("it", "first"), last],
        "output": "{{ tasks.first }} and {{ tasks.said ?? '' }}",
    }
    ended = daemon.wait(daemon.submit(job))
    assert ended["state"] == "COMPLETED"
    values = ("it and it", "it and that") if last["name"] == "all" else ("it and it",)
    assert ended["result"] in (values if last["name"] != "never" else ("it and ",))


def test_a_job_without_output_has_no_result(daemon: Daemon) -> None:
    ended = daemon.wait(daemon.submit({"name": "none", "tasks": [saying("it", "said")]}))
    assert (ended["state"], ended.get("result")) == ("COMPLETED", None)


def test_an_output_that_fails_fails_the_job_with_its_reason(daemon: Daemon) -> None:
    job = {"name": "bad", "tasks": [saying("x", "said")], "output": "{{ int(tasks.said) }}"}
    ended = daemon.wait(daemon.submit(job))
    assert ended["state"] == "FAILED"
    assert "int" in ended["error"]

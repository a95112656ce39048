"""Sub-jobs are part of the job that started them: their log lines, their tasks in the tree, the task that failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl
from torkctl import nesting

OUTER, INNER, DEEPEST = "a" * 32, "b" * 32, "c" * 32
PACKAGE = {"name": "package", "subjob": {"tasks": [{"name": "deep", "subjob": {"tasks": [{"name": "sign"}]}}]}}


def _nest(fake_api: FakeApi, job_id: str, *, detached: bool = False) -> None:
    """The job's one task stands for a job with a task of which one stands for a third, which fails."""
    link = {"id": INNER, "detached": detached}
    error = "exit code 4: signing"
    failed = {"state": "FAILED", "error": error}
    fake_api.jobs[job_id]["tasks"] = [{**PACKAGE, "subjob": {**PACKAGE["subjob"], "detached": detached}}]  # type: ignore[dict-item] # JSON
    fake_api.add_job(INNER, name="inner", tasks=PACKAGE["subjob"]["tasks"])  # type: ignore[index] # JSON
    fake_api.add_job(DEEPEST, name="deepest", tasks=[{"name": "sign"}])
    fake_api.add_task(job_id, "t1", name="package", state="RUNNING", subjob=link)
    fake_api.add_task(INNER, "t2", name="deep", subjob={"id": DEEPEST}, **failed)
    fake_api.add_task(DEEPEST, "t3", name="sign", **failed)
    fake_api.log(DEEPEST, "signing\n", task_id="t3")
    fake_api.end(DEEPEST, "FAILED", error=error)
    fake_api.end(INNER, "FAILED", error=error)
    fake_api.add_task(job_id, "t1", name="package", subjob=link, **failed)
    fake_api.end(job_id, "FAILED", error=error)


@pytest.fixture
def nested_job(fake_api: FakeApi) -> str:
    _nest(fake_api, fake_api.add_job(OUTER))
    return OUTER


TREE = [
    "└── package  [subjob]  FAILED  exit code 4: signing",
    "    └── deep  [subjob]  FAILED  exit code 4: signing",
    "        └── sign  FAILED  exit code 4: signing",
]


def test_following_a_submission_shows_the_lines_the_tree_and_the_culprit_of_sub_jobs(
    fake_api: FakeApi, torkctl: Torkctl
) -> None:
    fake_api.on_submit = lambda job_id: _nest(fake_api, job_id)
    Path("outer.json").write_text(
        '{"name": "etl", "tasks": [{"name": "package", "subjob": {"name": "x", "tasks": [{"name": "y", "run": "z"}]}}]}'
    )
    ran = torkctl("submit", "-f", "outer.json")
    assert (ran.code, ran.out) == (1, "package/deep/sign | signing\n")
    assert ran.err.splitlines()[-4:-1] == TREE
    assert ran.err.splitlines()[-1].endswith("FAILED after 3.2s: task 'package/deep/sign': exit code 4: signing")


@pytest.mark.parametrize("flags", [[], ["-f"], ["-f", "--tail", "5"]], ids=" ".join)
def test_logs_have_the_lines_of_sub_jobs(torkctl: Torkctl, nested_job: str, flags: list[str]) -> None:
    assert torkctl("logs", nested_job, *flags).out == "package/deep/sign | signing\n"


def test_the_tree_of_a_job_has_the_tasks_of_sub_jobs(torkctl: Torkctl, nested_job: str) -> None:
    assert torkctl("get", nested_job).out.splitlines()[-3:] == TREE


def test_a_detached_sub_job_goes_its_own_way(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    fake_api.on_submit = lambda job_id: _nest(fake_api, job_id, detached=True)
    ran = torkctl("submit", "-f", job_file)
    assert ran.out == ""
    assert not fake_api.requests_to(f"/{INNER}/log/stream")
    assert f"package  [detached subjob {INNER}]" in ran.err


def test_a_tree_asks_for_no_more_sub_jobs_than_are_bearable(
    fake_api: FakeApi, torkctl: Torkctl, nested_job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nesting, "MOST_SUB_JOBS", 1)
    torkctl("get", nested_job)
    assert not fake_api.requests_to(DEEPEST)


def test_in_json_lines_the_end_is_that_of_the_job_waited_for_and_comes_last(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str
) -> None:
    fake_api.on_submit = lambda job_id: _nest(fake_api, job_id)
    fake_api.fail("/log/stream", "status", status=503, times=4)
    events = [json.loads(line) for line in torkctl("submit", "-f", "-o", "jsonl", job_file).out.splitlines()]
    assert [event["event"] for event in events].index("end") == len(events) - 1
    assert {event["jobId"] for event in events} >= {INNER, DEEPEST}
    assert [event["data"]["contents"] for event in events if event["event"] == "log"] == ["signing\n"]

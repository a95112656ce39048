"""`torkctl run`: a private engine for one job. The engine here is the fake server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl


class _Engine(NamedTuple):
    endpoint: str
    key: str


@pytest.fixture
def engine(fake_api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened to the private engine."""
    happened: list[str] = []

    @contextmanager
    def run_private(*, queues: frozenset[str]) -> Iterator[_Engine]:
        happened.append(f"started for {sorted(queues)}")
        try:
            yield _Engine(fake_api.url, "the key")
        finally:
            happened.append("stopped")

    module = ModuleType("torkd.standalone")
    module.run_private = run_private  # type: ignore[attr-defined] # a module made by hand
    monkeypatch.setitem(sys.modules, "torkd.standalone", module)
    monkeypatch.setenv("TORK_CLIENT_ENDPOINT", "http://not-this-one:1")
    return happened


def _finish(fake_api: FakeApi, state: str) -> None:
    def finish(job_id: str) -> None:
        fake_api.add_task(job_id, "t1", name="build", state="COMPLETED", completedAt="2026-01-02T03:04:07Z")
        fake_api.log(job_id, "hi\nthere")
        fake_api.end(job_id, state)

    fake_api.on_submit = finish


@pytest.mark.parametrize(("state", "code"), [("COMPLETED", 0), ("FAILED", 1), ("CANCELLED", 3)])
def test_logs_are_on_stdout_the_tree_and_the_end_on_stderr(
    fake_api: FakeApi, torkctl: Torkctl, engine: list[str], job_file: str, state: str, code: int
) -> None:
    _finish(fake_api, state)
    ran = torkctl("run", job_file)
    assert (ran.code, ran.out, engine) == (code, "hi\nthere\n", ["started for []", "stopped"])
    [job_id] = fake_api.jobs
    assert ran.err.splitlines()[-3:] == [
        f"etl  {state}  3.2s",
        "└── build  COMPLETED  1.0s",
        f"job {job_id[:8]} (etl) {state} after 3.2s",
    ]


def test_as_json_stdout_is_the_ended_job_alone(
    fake_api: FakeApi, torkctl: Torkctl, engine: list[str], job_file: str
) -> None:
    _finish(fake_api, "COMPLETED")
    assert json.loads(torkctl("run", job_file, "-o", "json").out)["state"] == "COMPLETED"


def test_time_that_runs_out_stops_the_engine(
    fake_api: FakeApi, torkctl: Torkctl, engine: list[str], job_file: str
) -> None:
    ran = torkctl("run", "--timeout", "50ms", job_file)
    assert (ran.code, engine[-1]) == (124, "stopped")
    assert "goes on" not in ran.err


def test_a_wrong_file_starts_no_engine(torkctl: Torkctl, engine: list[str]) -> None:
    Path("bad.yaml").write_text("name: x\n")
    assert torkctl("run", "bad.yaml").code == 2
    assert engine == []


def test_a_schedule_is_not_for_a_run_and_both_ways_out_are_said(torkctl: Torkctl, engine: list[str]) -> None:
    Path("job.yaml").write_text("name: x\nschedule: {cron: '@daily'}\ntasks: [{name: a, run: z}]\n")
    ran = torkctl("run", "job.yaml")
    assert (ran.code, engine) == (2, [])
    assert "without 'schedule'" in ran.err
    assert "or torkctl submit" in ran.err


def test_permissions_are_no_matter_of_an_engine_that_nobody_else_can_reach(
    fake_api: FakeApi, torkctl: Torkctl, engine: list[str]
) -> None:
    Path("job.yaml").write_text("name: x\npermissions: [{user: bob}]\ntasks: [{name: a, run: z}]\n")
    _finish(fake_api, "COMPLETED")
    assert torkctl("run", "job.yaml").code == 0
    (sent,) = [request for request in fake_api.requests if request.method == "POST"]
    assert b"permissions" not in sent.body


def test_lines_are_named_when_there_are_several_tasks(fake_api: FakeApi, torkctl: Torkctl, engine: list[str]) -> None:
    Path("job.yaml").write_text("name: x\ntasks:\n- name: build\n  run: z\n- name: test\n  run: z\n")
    _finish(fake_api, "COMPLETED")
    assert torkctl("run", "job.yaml").out == "build | hi\nbuild | there\n"


def test_the_engine_serves_the_queues_of_the_file_and_is_asked_with_its_own_key(
    fake_api: FakeApi, torkctl: Torkctl, engine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORK_CLIENT_KEY", "not for this one")
    Path("job.yaml").write_text(
        "name: x\ndefaults: {queue: slow}\ntasks:\n- {name: a, run: z, queue: gpu}\n"
        "- {name: b, run: z, queue: '{{ inputs.q }}'}\n"
        "- name: c\n  subjob: {name: d, tasks: [{name: e, run: z, queue: inner}]}\n"
    )
    _finish(fake_api, "COMPLETED")
    assert torkctl("run", "job.yaml").code == 0
    assert engine[0] == "started for ['gpu', 'inner', 'slow']"
    assert {request.headers["authorization"] for request in fake_api.requests} == {"Bearer the key"}

"""A fake server, and torkctl run against it within this process, its home directory and environment of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.build_servers import EVIL, GITHUB
from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("TORK_", "XDG_")) or name.lower().endswith("_proxy") or name == "NO_COLOR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORK_CLIENT_RETRY_FOR", "20s")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fake_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    server = FakeApi()
    monkeypatch.setenv("TORK_CLIENT_ENDPOINT", server.url)
    yield server
    server.stop()


@pytest.fixture
def torkctl(capsys: pytest.CaptureFixture[str]) -> Torkctl:
    return Torkctl(capsys)


@pytest.fixture
def job_file(tmp_path: Path) -> str:
    path = tmp_path / "job.yaml"
    path.write_text("name: etl\ntasks:\n  - name: build\n    run: echo hi\n")
    return str(path)


def _fail(fake_api: FakeApi, job_id: str) -> None:
    """A job whose second task fails after a retry; the third never runs."""
    tasks = [{"name": "fetch", "run": "true"}, {"name": "test", "run": "x"}, {"name": "deploy", "run": "y"}]
    with fake_api.changed:
        fake_api.jobs[job_id]["tasks"] = tasks
        ended: dict[str, Any] = {"completedAt": "2026-01-02T03:04:07.5Z"}
        failed: dict[str, Any] = {
            "position": 2,
            "name": "test",
            "state": "FAILED",
            "error": "exit code 3: 1 < 2\x1b[31m\x00",
        }
        fake_api.add_task(job_id, "t1", name="fetch", state="COMPLETED", **ended)
        fake_api.add_task(job_id, "t2", retry={"limit": 1, "attempts": 0}, **failed)
        fake_api.add_task(job_id, "t3", retry={"limit": 1, "attempts": 1}, **failed)
        fake_api.log(job_id, "fetched\n", task_id="t1")
        fake_api.log(job_id, "\x1b[31mred\x1b[0m ]]> <&>\x00\n" + EVIL, task_id="t3")
        fake_api.end(job_id, "FAILED", error="exit code 3")


@pytest.fixture
def failing(fake_api: FakeApi) -> FakeApi:
    """The server, on which every job fails."""
    fake_api.on_submit = lambda job_id: _fail(fake_api, job_id)
    return fake_api


@pytest.fixture
def on_github(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The step's summary."""
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


@pytest.fixture
def ended_job(fake_api: FakeApi) -> str:
    """A job that has FAILED, with two tasks and their logs."""
    job_id = fake_api.add_job("a" * 32, taskCount=2, tasks=[{"name": "build"}, {"name": "test"}])
    fake_api.add_task(job_id, "t1", name="build", state="COMPLETED", completedAt="2026-01-02T03:04:07Z")
    fake_api.add_task(job_id, "t2", name="test", position=2, state="FAILED", error="exit code 2:\n  boom")
    fake_api.log(job_id, "one\ntwo\n")
    fake_api.log(job_id, "three\n", task_id="t2", created_at="2126-01-02T03:04:06Z")
    fake_api.log(job_id, "four", task_id="t2", created_at="2126-01-02T03:04:06.5Z")
    fake_api.end(job_id, "FAILED", error="exit code 2: boom", tags=["nightly", "x\x1b[31my"])
    return job_id

"""A fake server, and torkctl run against it within this process, its home directory and environment of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
